package starts

import "testing"

func Test(*testing.T) {}
