package mutex

import "testing"

func Test(*testing.T) {}
