package skips

import "testing"

func TestPasses(*testing.T) {}

func TestSkips(t *testing.T) { t.Skip("no reason is good enough") }
