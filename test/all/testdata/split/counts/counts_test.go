package counts

import "testing"

func Test(*testing.T) {}
