package replication

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Configuration says what of a registry is replicated where.
type Configuration struct {
	Rules []Rule `json:"rules"`
}

// Rule replicates the repositories whose names begin with one of Prefixes, or all, to
// each of the destinations.
type Rule struct {
	To       []ecr.RegistryID `json:"to"`
	Prefixes []string         `json:"prefixes,omitempty"` // such as "prod", without a slash of its own
}

// Options limit what goes to one destination, beyond what the API of ECR has. The zero
// value is what ECR does.
type Options struct {
	// Tags are wildcards such as "v*", of which one must match a tag. Images without one
	// are left out then, but for those that an index lists and those that refer to an
	// image.
	Tags []string `json:"tags,omitempty"`
	// Exclude are prefixes of repositories that are not replicated.
	Exclude []string `json:"exclude,omitempty"`
	// Deletions replicates deletions of images and tags.
	Deletions bool `json:"deletions,omitempty"`
	// BeforeRule: no rule needs to have the destination yet, so that none sends there what
	// the options leave out.
	BeforeRule bool `json:"-"`
}

// None reports whether o says nothing.
func (o Options) None() bool { return len(o.Tags) == 0 && len(o.Exclude) == 0 && !o.Deletions }

// stored is what a registry's settings hold of replication.
type stored struct {
	Configuration
	// Options by destination, as ecr.RegistryID.String names it.
	Options map[string]Options `json:"options,omitempty"`
}

// setting is where a registry's settings hold it: the decision about a push reads the
// settings, so a registry without rules pays nothing.
const setting = "replicationConfiguration"

// read reads the configuration out of the settings of a registry.
func read(s meta.RegistrySettings) (c stored, err error) {
	if text := s.Settings[setting]; text != "" {
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			return c, fmt.Errorf("reading the replication configuration: %w", err)
		}
	}
	return c, nil
}

// ConfigurationOf reads the configuration out of the settings of a registry.
func ConfigurationOf(s meta.RegistrySettings) (Configuration, error) {
	c, err := read(s)
	return c.Configuration, err
}

// The limits of ECR. Source: user guide, "Amazon ECR service quotas".
const (
	maxRules        = 10
	maxDestinations = 25
	maxPrefixes     = 100
)

// destinations are those that the rules send the repository to, in order, each once.
func (c stored) destinations(name ecr.RepositoryName) []ecr.RegistryID {
	var all []ecr.RegistryID
	for _, r := range c.Rules {
		if !r.matches(name) {
			continue
		}
		for _, to := range r.To {
			if !slices.Contains(all, to) && !hasPrefix(name, c.Options[to.String()].Exclude) {
				all = append(all, to)
			}
		}
	}
	return all
}

// names reports whether a rule has the destination.
func (c stored) names(to ecr.RegistryID) bool {
	return slices.ContainsFunc(c.Rules, func(r Rule) bool { return slices.Contains(r.To, to) })
}

// wants reports whether an image with the tag, or without one, goes to the destination for
// its own sake.
func (c stored) wants(to ecr.RegistryID, tag ecr.Tag) bool {
	tags := c.Options[to.String()].Tags
	return len(tags) == 0 || slices.ContainsFunc(tags, func(w string) bool { return tag != "" && ecr.MatchWildcard(w, string(tag)) })
}

// takes is wants, or whether it may go there with the image that it refers to, by its
// subject or by its tag.
func (c stored) takes(to ecr.RegistryID, tag ecr.Tag, subject ecr.Digest) bool {
	return c.wants(to, tag) || subject != "" || subjectOf(tag) != ""
}

// subjectOf is the image that a tag such as "sha256-1f2e...c4.sig" belongs to, as cosign
// and the OCI specification's fallback name them; "" for other tags.
func subjectOf(tag ecr.Tag) ecr.Digest {
	const hexes = 64
	rest, ok := strings.CutPrefix(string(tag), "sha256-")
	if !ok || len(rest) < hexes || len(rest) > hexes && rest[hexes] != '.' {
		return ""
	}
	d, err := ecr.ParseDigest("sha256:" + rest[:hexes])
	if err != nil {
		return ""
	}
	return d
}

// referrerTags are the tags that may belong to an image, as subjectOf reads them.
func referrerTags(d ecr.Digest) []ecr.Tag {
	rest, ok := strings.CutPrefix(string(d), "sha256:")
	if !ok {
		return nil
	}
	var all []ecr.Tag
	for _, suffix := range []string{"", ".sig", ".att", ".sbom"} {
		all = append(all, ecr.Tag("sha256-"+rest+suffix))
	}
	return all
}

// matches reports whether the rule is for a repository. Source: user guide: a filter is
// the beginning of the name; that no slash needs to follow is a guess.
func (r Rule) matches(name ecr.RepositoryName) bool {
	return len(r.Prefixes) == 0 || hasPrefix(name, r.Prefixes)
}

func hasPrefix(name ecr.RepositoryName, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(string(name), p) })
}

// invalid refuses a configuration. The words about a destination that is the source are
// ECR's as other programs have them; the others are not known.
func invalid(format string, args ...any) error {
	return ecr.InvalidParameter("replicationConfiguration", format, args...)
}

// check checks a configuration of the registry in. A destination may be one that this
// server cannot reach, as with ECR: its images fail then. Errors: InvalidParameter.
func check(in ecr.RegistryID, c Configuration) error {
	if len(c.Rules) > maxRules {
		return invalid("The maximum number of rules is %d, and there are %d", maxRules, len(c.Rules))
	}
	all := map[ecr.RegistryID]bool{}
	for i, r := range c.Rules {
		if len(r.Prefixes) > maxPrefixes {
			return invalid("The maximum number of repository filters of a rule is %d, and rule %d has %d", maxPrefixes, i+1, len(r.Prefixes))
		}
		for _, to := range r.To {
			all[to] = true
			switch {
			case to == in:
				return invalid("Replication destination cannot be the same as the source registry")
			case to.Region.Partition() != in.Region.Partition():
				return invalid("The destination %s is in the partition %s, and the registry in %s: images are replicated within a partition", to, to.Region.Partition(), in.Region.Partition())
			}
		}
	}
	if len(all) > maxDestinations {
		return invalid("The maximum number of destinations of a registry is %d, and there are %d", maxDestinations, len(all))
	}
	return nil
}

var opDescribeRegistry = gate.Op("DescribeRegistry", "ecr:DescribeRegistry")

// DescribeRegistry returns what of a registry is replicated.
func (c *Caller) DescribeRegistry(ctx context.Context, in ecr.RegistryID) (found Configuration, err error) {
	err = c.gate.Read(ctx, opDescribeRegistry, func(ctx context.Context, v *gate.View) error {
		s, err := v.EnterRegistry(ctx, in)
		if err == nil {
			found, err = ConfigurationOf(s.Settings)
		}
		return err
	})
	return found, err
}

var opPutReplication = gate.Op("PutReplication", "ecr:PutReplicationConfiguration")

// PutReplication replaces the whole configuration of a registry; without rules nothing is
// replicated. Images that wait for a destination that is gone from it are not copied.
// Options of destinations stay. Errors: InvalidParameter.
func (c *Caller) PutReplication(ctx context.Context, in ecr.RegistryID, to Configuration) error {
	return c.change(ctx, opPutReplication, in, func(now *stored) error {
		if err := check(in, to); err != nil {
			return err
		}
		now.Configuration = to
		return nil
	})
}

var opSetReplicationOptions = gate.Op("SetReplicationOptions", "kontor:PutReplicationOptions")

// maxOptions bounds the tags and the excluded prefixes of a destination.
const maxOptions = 100

// SetReplicationOptions replaces the options of a destination that a rule has; those that
// say nothing remove them. Errors: InvalidParameter.
func (c *Caller) SetReplicationOptions(ctx context.Context, in, to ecr.RegistryID, o Options) error {
	return c.change(ctx, opSetReplicationOptions, in, func(now *stored) error {
		switch {
		case !o.BeforeRule && !now.names(to) && !o.None():
			return ecr.InvalidParameter("destination", "no rule of the registry %s replicates to %s: add it with PutReplicationConfiguration first", in, to)
		case len(o.Tags) > maxOptions || len(o.Exclude) > maxOptions:
			return ecr.InvalidParameter("options", "Member must have length less than or equal to %d", maxOptions)
		case slices.Contains(o.Tags, "") || slices.Contains(o.Exclude, ""):
			return ecr.InvalidParameter("options", "an empty pattern matches nothing, or everything: leave it out")
		}
		now.Options = maps.Clone(now.Options)
		if now.Options == nil {
			now.Options = map[string]Options{}
		}
		now.Options[to.String()] = o
		return nil
	})
}

// change changes what the settings of a registry hold.
func (c *Caller) change(ctx context.Context, op gate.Operation, in ecr.RegistryID, fn func(*stored) error) error {
	return c.gate.Change(ctx, op, func(ctx context.Context, tx *gate.Tx) error {
		s, err := tx.EnterRegistry(ctx, in)
		if err != nil {
			return err
		}
		now, err := read(s.Settings)
		if err == nil {
			err = fn(&now)
		}
		if err != nil {
			return err
		}
		maps.DeleteFunc(now.Options, func(_ string, o Options) bool { return o.None() })
		settings := maps.Clone(s.Settings.Settings)
		if settings == nil {
			settings = map[string]string{}
		}
		if len(now.Rules) == 0 && len(now.Options) == 0 {
			delete(settings, setting)
		} else {
			text, err := json.Marshal(now)
			if err != nil {
				return err
			}
			settings[setting] = string(text)
		}
		s.Settings.Settings = settings
		return tx.Registries().PutRegistrySettings(ctx, in, s.Settings)
	})
}
