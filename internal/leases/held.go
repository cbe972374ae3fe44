package leases

import (
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/lifecycle"
)

// Held are the images of repo that leases name, by digest or by tag, each with
// who uses it: of several, the first in byte order. Without a repository all
// leases are meant to be on the images. What belongs to them is not among
// them, see lifecycle.Held.Close.
func Held(list []Lease, repo ecr.RepositoryName, images []lifecycle.Image) lifecycle.Held {
	byTag, known := map[ecr.Tag]string{}, map[string]bool{}
	for _, m := range images {
		known[m.Digest] = true
		for _, t := range m.Tags {
			byTag[ecr.Tag(t)] = m.Digest
		}
	}
	held := lifecycle.Held{}
	for _, l := range list {
		if repo != "" && l.Repository != repo {
			continue
		}
		for _, d := range []string{string(l.Image.Digest), byTag[l.Image.Tag]} {
			if by, ok := held[d]; known[d] && (!ok || l.User < by) {
				held[d] = l.User
			}
		}
	}
	return held
}
