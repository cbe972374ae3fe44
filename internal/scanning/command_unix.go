//go:build unix

package scanning

import (
	"os/exec"
	"syscall"
)

// apart gives the program a process group, so that it can be stopped with all that it
// starts.
func apart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// kill stops the program and all that it started.
func kill(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
