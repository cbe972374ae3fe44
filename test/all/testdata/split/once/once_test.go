package once

import "testing"

func Test(*testing.T) {}
