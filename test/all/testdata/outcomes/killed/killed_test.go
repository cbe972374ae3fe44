package killed

import (
	"fmt"
	"os"
	"testing"
	"time"
)

func TestKilled(t *testing.T) {
	fmt.Println("printed by a test that is killed")
	p, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Minute)
}
