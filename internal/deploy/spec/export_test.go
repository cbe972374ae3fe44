package spec

import (
	"slices"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
)

// ContentJSON is what s holds, as JSON, whether or not its fields are right.
func ContentJSON(s Source) ([]byte, error) {
	v, errs := lang.Parse(s)
	if len(errs) > 0 {
		return nil, errs
	}
	return v.AppendJSON(nil, nil, nil)
}

// Regions are those that are known.
func Regions() []string { return slices.Clone(regions) }
