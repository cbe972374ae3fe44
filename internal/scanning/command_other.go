//go:build !unix

package scanning

import "os/exec"

// apart does nothing here.
func apart(*exec.Cmd) {}

// kill stops the program; what it started stays.
func kill(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
