package hangs

import (
	"fmt"
	"testing"
)

func TestHangs(t *testing.T) {
	fmt.Println("printed by a test that hangs")
	t.Run("part", func(*testing.T) { hangsHere() })
}

func hangsHere() { <-make(chan bool) }
