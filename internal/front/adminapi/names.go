package adminapi

import (
	"maps"
	"slices"
)

// Operations lists the operations by name.
func Operations() []string { return slices.Sorted(maps.Keys(served)) }
