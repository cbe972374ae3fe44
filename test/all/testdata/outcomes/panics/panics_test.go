package panics

import (
	"fmt"
	"testing"
)

func TestPanics(t *testing.T) {
	fmt.Println("printed by a test that panics")
	go panicsHere()
	select {} // a test that ended while the panic unwinds might count as passed
}

func panicsHere() { panic("on purpose") }
