package client

import "testing"

func Test(*testing.T) {}
