package plan

import (
	"fmt"
	"maps"
	"slices"

	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// End says which repositories of the stack a plan deletes.
type End string

// The ends.
const (
	// Nothing is deleted.
	Nothing End = ""
	// LeftFile: those that the file no longer names.
	LeftFile End = "left-file"
	// Everything that carries the stack's tag, and nothing else is done.
	Everything End = "everything"
)

// Options change what DiffWith plans.
type Options struct {
	// RefreshOnly: the plan shows drift, which is whatever apply would do, and
	// cannot be carried out.
	RefreshOnly bool
	// End says what is deleted. Images must then hold what is in each of
	// Ending's repositories.
	End    End
	Images map[ecr.RepositoryName]Images
	// DeleteImages allows to delete repositories that hold images.
	DeleteImages bool
}

// Ending lists the repositories, in byte order, that DiffWith would delete.
func Ending(desired state.Desired, observed state.Observed, e End) []ecr.RepositoryName {
	desired = desired.For(observed.Target)
	var out []ecr.RepositoryName
	if e == Nothing || desired.Stack == "" {
		return nil
	}
	wanted := map[ecr.RepositoryName]bool{}
	if e == LeftFile {
		for _, r := range desired.Repositories {
			wanted[r.Name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(observed.Repositories)) {
		if !wanted[name] && observed.Repositories[name].Tags[state.TagStack] == desired.Stack {
			out = append(out, name)
		}
	}
	return out
}

// Unprotected reports whether the tags of a repository allow to delete it.
func Unprotected(tags map[string]string) bool { return tags[state.TagProtection] == "off" }

// end plans the deletion of r, which is the stack's. One that cannot go is not
// touched: it is an error of the plan.
func end(r state.Repository, o Options) (Change, []Finding) {
	none := Change{Repository: r.Name, Op: OpNone}
	if !Unprotected(r.Tags) {
		return none, []Finding{{
			Code: CodeProtected, Severity: Error, Repository: r.Name,
			Message: fmt.Sprintf("repository %s is protected and is not deleted; to delete it, apply the file with delete_protection: false for it first", quoted(r.Name)),
		}}
	}
	images := o.Images[r.Name]
	what := fmt.Sprintf("repository %s: would delete %d images (%d bytes)", quoted(r.Name), images.Count, images.SizeBytes)
	if images.Count == 1 {
		what = fmt.Sprintf("repository %s: would delete 1 image (%d bytes)", quoted(r.Name), images.SizeBytes)
	}
	if images.Count > 0 && !o.DeleteImages {
		return none, []Finding{{
			Code: CodeNotEmpty, Severity: Error, Repository: r.Name,
			Message: what + "; give --delete-images if they may go, or empty it first",
		}}
	}
	before := settingsOf(r, nil)
	c := Change{Repository: r.Name, Op: OpDelete, Before: &before}
	if images.Count == 0 {
		return c, nil
	}
	c.Images = &images
	return c, []Finding{{Code: CodeDeletesImages, Severity: Warning, Repository: r.Name, Message: what}}
}
