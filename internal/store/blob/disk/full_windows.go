package disk

import "syscall"

// fullErrors are the errors that mean that the medium, or the user's share of
// it, is full: ERROR_HANDLE_DISK_FULL, ERROR_DISK_FULL and
// ERROR_DISK_QUOTA_EXCEEDED. The ones of POSIX are for other implementations
// of FS.
var fullErrors = []error{
	syscall.Errno(39), syscall.Errno(112), syscall.Errno(1295),
	syscall.ENOSPC, syscall.EDQUOT,
}
