//go:build !linux

package pgtest

import (
	"os/exec"
	"syscall"
)

// dropRoot does nothing: elsewhere tests run as an ordinary user.
func dropRoot(string) (*syscall.SysProcAttr, error) { return nil, nil }

func startBound(cmd *exec.Cmd, exited chan<- error) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { exited <- cmd.Wait() }()
	return nil
}
