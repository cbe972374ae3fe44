package usesusesstarts

import "testing"

func Test(*testing.T) {}
