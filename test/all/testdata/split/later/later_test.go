package later

import "testing"

func Test(*testing.T) {}
