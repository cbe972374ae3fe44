package teststarts

import (
	"testing"

	"split/starts"
)

func Test(*testing.T) { starts.Start(func() {}) }
