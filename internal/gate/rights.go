package gate

import (
	"context"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Rights says which of the actions the caller may do on a repository, on all ("*"), or
// with the name "" in the registry. It asks for nothing and records nothing: it is for
// pages that leave out what would be denied. Callers learn no more from it than
// from trying.
func (c *Caller) Rights(ctx context.Context, at ecr.Repo, actions ...access.Action) (map[access.Action]bool, error) {
	may := map[access.Action]bool{}
	err := c.view(ctx, func(ctx context.Context, r meta.Reader) error {
		clear(may)
		q := &Inquiry{c: c, r: sceneReader{r, r.Registries()}}
		s := Scene{At: at}
		var err error
		if at.Name == "" || at.Name == "*" {
			s.Settings, err = q.settings(ctx, at.In)
		} else {
			s, _, err = q.scene(ctx, at)
		}
		if err != nil {
			return err
		}
		for _, a := range actions {
			may[a] = q.Would(s, a) == nil
		}
		return nil
	})
	return may, c.g.explained(err)
}
