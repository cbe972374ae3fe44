package usesstarts

import "testing"

func Test(*testing.T) {}
