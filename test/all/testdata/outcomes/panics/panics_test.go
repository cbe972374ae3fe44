package panics

import (
	"fmt"
	"testing"
)

func TestPanics(t *testing.T) {
	fmt.Println("printed by a test that panics")
	done := make(chan bool)
	go func() {
		defer close(done)
		panicsHere()
	}()
	<-done
}

func panicsHere() { panic("on purpose") }
