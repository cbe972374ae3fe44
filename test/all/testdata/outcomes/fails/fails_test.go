package fails

import (
	"fmt"
	"testing"
)

func TestPasses(t *testing.T) { t.Log("of a test that passes") }

func TestFails(t *testing.T) {
	fmt.Println("printed by a test that fails")
	t.Run("part", func(t *testing.T) { t.Error("said by a part that fails") })
}
