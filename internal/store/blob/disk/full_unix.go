//go:build !windows

package disk

import "syscall"

// fullErrors are the errors that mean that the medium, or the user's share of
// it, is full.
var fullErrors = []error{syscall.ENOSPC, syscall.EDQUOT}
