package outside_test

import "testing"

func Test(*testing.T) { go func() {}() }
