package channel

import "testing"

func Test(*testing.T) {}
