package faults

import (
	"bufio"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// A pipe that is held says nothing and closes nothing; what came meanwhile is delivered
// when it goes on. Drop closes what is open, and new connections work.
func TestPipe(t *testing.T) {
	behind, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 8)
	go func() {
		for {
			c, err := behind.Accept()
			if err != nil {
				return
			}
			go func() {
				for lines := bufio.NewScanner(c); lines.Scan(); {
					got <- lines.Text()
					_, _ = c.Write([]byte("answer to " + lines.Text() + "\n"))
				}
			}()
		}
	}()
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := NewPipe(front, func() (net.Conn, error) { return net.Dial("tcp", behind.Addr().String()) })
	dial := func() (net.Conn, *bufio.Reader) {
		c, err := net.Dial("tcp", p.Addr().String())
		if err == nil {
			err = c.SetDeadline(time.Now().Add(time.Minute))
		}
		if err != nil {
			t.Fatal(err)
		}
		return c, bufio.NewReader(c)
	}
	ask := func(c net.Conn, text string) {
		if _, err := c.Write([]byte(text + "\n")); err != nil {
			t.Fatal(err)
		}
	}
	want := func(r *bufio.Reader, text string) {
		t.Helper()
		if line, err := r.ReadString('\n'); err != nil || strings.TrimSpace(line) != "answer to "+text {
			t.Fatalf("%q, %v", line, err)
		}
	}
	c, r := dial()
	ask(c, "one")
	want(r, "one")
	if g := <-got; g != "one" {
		t.Errorf("got %q", g)
	}
	p.Hold(true)
	ask(c, "two")
	other, otherReader := dial()
	ask(other, "three")
	if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadByte(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a held pipe: %v", err)
	}
	select {
	case g := <-got:
		t.Errorf("a held pipe forwards %q", g)
	default:
	}
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	p.Hold(false)
	want(r, "two")
	want(otherReader, "three")
	p.Drop()
	if _, err := r.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a dropped connection: %v", err)
	}
	c, r = dial()
	ask(c, "four")
	want(r, "four")
	if err := errors.Join(p.Close(), behind.Close()); err != nil {
		t.Error(err)
	}
	if _, err := r.ReadByte(); err == nil {
		t.Error("a connection of a closed pipe is open")
	}
}
