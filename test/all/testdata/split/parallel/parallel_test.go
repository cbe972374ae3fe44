package parallel

import "testing"

func Test(t *testing.T) { t.Parallel() }
