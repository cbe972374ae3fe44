// Package leases finds out which images are in use: from Kubernetes objects as
// `kubectl get -o json` or a cluster's API prints them, and from plain lists.
// It is pure: bytes in, references out.
//
// It guarantees that no image is missed: a container whose image is not a valid
// reference is an error that names the object, and objects that it leaves out
// (objects without containers, pods that have ended, images of other registries) are
// counted. If a reference can be read in several ways, it takes all of them, because
// an unnecessary lease only keeps an unused image, while a missing lease loses an
// image in use.
//
// Sources: Kubernetes API v1 (Pod, PodTemplateSpec, ContainerStatus), the
// reference grammar of the OCI distribution specification 1.1 and of docker.
package leases

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// Use is one image as something that uses it names it.
type Use struct {
	// Image is a reference, for example "localhost:5050/team/app:v1" or
	// "localhost:5050/team/app@sha256:...".
	Image string
	// User says who uses it, for example "Deployment shop/web, container app".
	User string
}

// Lease is an image of a registry of ours that is in use.
type Lease struct {
	Repository ecr.RepositoryName
	// Image has a digest, a tag, or both: then the digest is what counts and
	// the tag is how it was asked for.
	Image ecr.ImageID
	User  string
}

// Reference is an image's name taken apart.
type Reference struct {
	Host       string // lower-case, with its port; "docker.io" where none is written
	Repository string
	Image      ecr.ImageID // tag "latest" where neither half is written
}

// dockerHost is the registry of references that name none.
const dockerHost = "docker.io"

// ParseReference takes [HOST/]REPOSITORY[:TAG][@DIGEST] apart, as container
// runtimes do: the first part is a host when it holds a dot or a colon or is
// "localhost". The repository is checked by whoever has the registry.
func ParseReference(s string) (Reference, error) {
	bad := func(why string) (Reference, error) {
		return Reference{}, fmt.Errorf("%q is not the name of an image: %s", s, why)
	}
	rest, digest, hasDigest := strings.Cut(s, "@")
	r := Reference{Host: dockerHost}
	if hasDigest {
		d, err := ecr.ParseDigest(digest)
		if err != nil {
			return bad("want a digest such as sha256: and 64 digits after the @")
		}
		r.Image.Digest = d
	}
	if host, path, ok := strings.Cut(rest, "/"); ok && (strings.ContainsAny(host, ".:") || strings.EqualFold(host, "localhost")) {
		r.Host, rest = strings.ToLower(host), path
	}
	name, tag, hasTag := strings.Cut(rest, ":")
	if hasTag {
		t, err := ecr.ParseTag(tag)
		if err != nil {
			return bad("the text after the colon is not a tag")
		}
		r.Image.Tag = t
	}
	if name == "" || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return bad("want HOST/REPOSITORY:TAG or HOST/REPOSITORY@DIGEST")
	}
	if r.Repository = name; r.Image == (ecr.ImageID{}) {
		r.Image.Tag = "latest"
	}
	return r, nil
}

// Selected is what Select finds.
type Selected struct {
	// Leases are in byte order of repository, digest, tag and user, each once.
	Leases []Lease
	// Others are the hosts of images of other registries, in byte order, and
	// how many uses there are of each.
	Others []Other
}

// Other is a registry that is not ours.
type Other struct {
	Host string `json:"host"`
	Uses int    `json:"uses"`
}

// Select returns the leases on the registry that hosts are the names of, such
// as "localhost:5050"; nil hosts represent all there are. A use that is no
// reference is an error that names its user.
func Select(uses []Use, hosts []string) (Selected, error) {
	ours := map[string]bool{}
	for _, h := range hosts {
		ours[strings.ToLower(h)] = true
	}
	others := map[string]int{}
	var out Selected
	for _, u := range uses {
		r, err := ParseReference(u.Image)
		if err != nil {
			return Selected{}, fmt.Errorf("%s: %w", u.User, err)
		}
		if hosts != nil && !ours[r.Host] {
			others[r.Host]++
			continue
		}
		name, err := ecr.ParseRepositoryName(r.Repository)
		if err != nil {
			return Selected{}, fmt.Errorf("%s: %q: %q is not the name of a repository", u.User, u.Image, r.Repository)
		}
		out.Leases = append(out.Leases, Lease{Repository: name, Image: r.Image, User: u.User})
	}
	for h, n := range others {
		out.Others = append(out.Others, Other{h, n})
	}
	slices.SortFunc(out.Others, func(a, b Other) int { return cmp.Compare(a.Host, b.Host) })
	slices.SortFunc(out.Leases, compare)
	out.Leases = slices.Compact(out.Leases)
	return out, nil
}

func compare(a, b Lease) int {
	return cmp.Or(cmp.Compare(a.Repository, b.Repository), cmp.Compare(a.Image.Digest, b.Image.Digest),
		cmp.Compare(a.Image.Tag, b.Image.Tag), cmp.Compare(a.User, b.User))
}

// Hosts are the names under which Amazon ECR serves in: that of its docker
// endpoint, its FIPS endpoint and its dual-stack endpoint.
func Hosts(in ecr.RegistryID) []string {
	return []string{in.Host(), in.HostWith(true, false), in.HostWith(false, true), in.HostWith(true, true)}
}
