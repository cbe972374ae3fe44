package receives

import "testing"

func Test(*testing.T) {}
