package identity

import "io/fs"

func ownedByRoot(fs.FileInfo) bool { return false }
