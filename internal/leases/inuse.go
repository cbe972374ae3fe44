package leases

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// InUse is what one file says is in use.
type InUse struct {
	name   string
	uses   []Use
	leases []Lease // of the one registry that the file is about
}

// ParseInUse reads a file that says what is in use, in any of the forms that
// kontor lease takes and prints: kubectl's JSON, that of `kontor lease list`,
// or a plain list. name is the file's, for errors.
func ParseInUse(name string, text []byte) (InUse, error) {
	u := InUse{name: name}
	err := u.parse(text)
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return u, err
}

func (u *InUse) parse(text []byte) (err error) {
	if !bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		u.uses, err = List(u.name, text)
		return err
	}
	var listed struct {
		Leases *[]admin.Lease `json:"leases"`
	}
	if json.Unmarshal(text, &listed) == nil && listed.Leases != nil {
		u.leases, err = FromWire(*listed.Leases)
		return err
	}
	objects, err := Kubernetes(text)
	u.uses = objects.Uses
	return err
}

// On are the leases on the registry that hosts are the names of; nil hosts
// match any registry.
func (u InUse) On(hosts []string) ([]Lease, error) {
	s, err := Select(u.uses, hosts)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", u.name, err)
	}
	return append(s.Leases, u.leases...), nil
}

// AllOn are the leases of all files on the registry.
func AllOn(files []InUse, hosts []string) ([]Lease, error) {
	var out []Lease
	for _, f := range files {
		list, err := f.On(hosts)
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}

// FromWire checks leases as the admin API has them.
func FromWire(list []admin.Lease) ([]Lease, error) {
	out := make([]Lease, 0, len(list))
	for _, l := range list {
		name, err := ecr.ParseRepositoryName(l.RepositoryName)
		if err != nil {
			return nil, fmt.Errorf("a lease on %q: that is not the name of a repository", l.RepositoryName)
		}
		lease := Lease{Repository: name, User: l.User}
		if l.Collector != "" {
			lease.User = l.Collector + ": " + l.User
		}
		if l.ImageDigest != "" {
			if lease.Image.Digest, err = ecr.ParseDigest(l.ImageDigest); err != nil {
				return nil, fmt.Errorf("a lease on %s: %q is not a digest", name, l.ImageDigest)
			}
		}
		if l.ImageTag != "" {
			if lease.Image.Tag, err = ecr.ParseTag(l.ImageTag); err != nil {
				return nil, fmt.Errorf("a lease on %s: %q is not a tag", name, l.ImageTag)
			}
		}
		if lease.Image == (ecr.ImageID{}) {
			return nil, fmt.Errorf("a lease on %s names no image", name)
		}
		if lease.User == "" {
			return nil, fmt.Errorf("a lease on %s does not say who uses the image", name)
		}
		out = append(out, lease)
	}
	return out, nil
}
