//go:build !windows

package part

import "syscall"

func do() { _ = syscall.Kill }
