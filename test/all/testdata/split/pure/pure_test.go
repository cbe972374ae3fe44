package pure

import "testing"

func Test(*testing.T) {}
