package inspect

import (
	"context"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/manifest"
)

var opInspectPlatforms = gate.Op("Platforms", batchGetImage)

// Platforms returns, of each of the images that an index of the repository lists, the
// platform that the first such index in byte order gives it, such as linux/arm64/v8. It
// reads one index for each of them at most. Errors: RepositoryNotFound.
func (c *Caller) Platforms(ctx context.Context, at ecr.Repo, ds []ecr.Digest) (map[ecr.Digest]string, error) {
	out := map[ecr.Digest]string{}
	err := c.gate.Read(ctx, opInspectPlatforms, func(ctx context.Context, v *gate.View) error {
		s, err := v.Enter(ctx, at)
		if err != nil {
			return err
		}
		clear(out)
		read := map[ecr.Digest]map[ecr.Digest]string{}
		for _, d := range ds {
			indexes, err := v.Parents(ctx, s.Row.ID, d)
			if err != nil {
				return err
			}
			if len(indexes) == 0 {
				continue
			}
			list, ok := read[indexes[0]]
			if !ok {
				m, err := v.Manifest(ctx, s.Row.ID, indexes[0])
				if err != nil {
					return err
				}
				list = platformsOf(m.Body, m.Image.MediaType)
				read[indexes[0]] = list
			}
			if p := list[d]; p != "" {
				out[d] = p
			}
		}
		return nil
	})
	return out, err
}

// platformsOf are the platforms of what an index lists, as far as it says.
func platformsOf(body []byte, mediaType string) map[ecr.Digest]string {
	out := map[ecr.Digest]string{}
	m, err := manifest.Parse(body, mediaType)
	if err != nil {
		return out // it was stored by another version
	}
	for _, c := range m.Children {
		if c.Platform == nil {
			continue
		}
		out[c.Digest] = c.Platform.OS + "/" + c.Platform.Architecture
		if c.Platform.Variant != "" {
			out[c.Digest] += "/" + c.Platform.Variant
		}
	}
	return out
}
