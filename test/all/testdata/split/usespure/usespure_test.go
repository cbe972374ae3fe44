package usespure

import "testing"

func Test(*testing.T) {}
