package usesmutex

import "testing"

func Test(*testing.T) {}
