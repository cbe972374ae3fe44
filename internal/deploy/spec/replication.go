package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// replicationRule is an entry of replication.
type replicationRule struct {
	origin     state.Origin
	to         []node
	prefixes   []string
	options    state.ReplicationOptions
	registries setting[[]node]
}

func (r *reader) replicationRules(n node) {
	r.replicationGiven = true
	for _, item := range r.list(n, "rules {to, prefixes}") {
		before := len(r.errs)
		m := r.object(item, "replication")
		if len(r.errs) == before {
			r.need(item, m, "a rule", "to")
		}
		x := replicationRule{origin: item.origin()}
		if v, ok := m["to"]; ok {
			x.to = r.list(v, "registries")
			for _, to := range x.to {
				r.text(to)
			}
			if v.Kind == lang.List && len(x.to) == 0 {
				r.wrong(v, "name at least one registry")
			}
		}
		for field, list := range map[string]*[]string{"prefixes": &x.prefixes, "exclude": &x.options.Exclude} {
			if v, ok := m[field]; ok {
				*list = sorted(r.texts(v, "prefixes of repository names", badReplicationPrefix))
			}
		}
		if v, ok := m["tags"]; ok {
			x.options.Tags = sorted(r.texts(v, "tag patterns", func(s string) string {
				if !fields.ExclusionPattern.MatchString(s) {
					return fmt.Sprintf("%q is not a tag pattern: want letters, digits, '.', '_', '-', and '*' for any characters", lang.Clip(s))
				}
				return ""
			}))
		}
		if v, ok := m["deletions"]; ok {
			x.options.Deletions, _ = r.boolean(v)
		}
		if v, ok := m["registries"]; ok {
			x.registries = given(r.registryNames(v), v)
		}
		if len(r.errs) == before {
			r.replication = append(r.replication, x)
		}
	}
}

func sorted(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// badReplicationPrefix: source: ECR API model, RepositoryFilterValue.
func badReplicationPrefix(s string) string {
	if len(s) < fields.MinReplicationPrefix || len(s) > fields.MaxReplicationPrefix || !fields.ReplicationPrefix.MatchString(s) {
		return fmt.Sprintf("%q is not a prefix; want %d to %d characters with which names of repositories begin, such as prod/", lang.Clip(s), fields.MinReplicationPrefix, fields.MaxReplicationPrefix)
	}
	return ""
}

// checkReplication finds destinations that are none.
func (r *reader) checkReplication() {
	for _, x := range r.replication {
		for _, v := range x.registries.value {
			r.registryExists(v, v.Text)
		}
		for _, v := range x.to {
			if slices.ContainsFunc(r.registries, func(reg registry) bool { return reg.Name == v.Text }) {
				continue
			}
			if account, region, ok := strings.Cut(v.Text, "/"); ok {
				if _, err := ecr.ParseAccountID(account); err != nil || badRegion(region) != "" {
					r.wrong(v, "%q is not a destination; want the name of a registry of the file, ACCOUNT/REGION, or REGION for the registry's own account", lang.Clip(v.Text))
				}
			} else if badRegion(v.Text) != "" {
				r.registryExists(v, v.Text)
			}
		}
	}
}

// destination is where v says, seen from the registry of t.
func destination(v node, t state.Target, targets []state.Target) ecr.RegistryID {
	for _, other := range targets {
		if other.Name == v.Text && !other.Local {
			return other.Registry
		}
	}
	if account, region, ok := strings.Cut(v.Text, "/"); ok {
		return ecr.RegistryID{Account: ecr.AccountID(account), Region: ecr.Region(region)}
	}
	return ecr.RegistryID{Account: t.Registry.Account, Region: ecr.Region(v.Text)}
}

// replicationOf is what the registry of t replicates, and what is wrong with it, by the rule.
func (f *File) replicationOf(t state.Target, targets []state.Target, wrong func(o state.Origin, format string, args ...any)) *state.Replication {
	out := &state.Replication{Options: map[ecr.RegistryID]state.ReplicationOptions{}}
	first := map[ecr.RegistryID]replicationRule{}
	for _, x := range f.replication {
		if x.registries.given && !t.Local && !slices.ContainsFunc(x.registries.value, func(n node) bool { return n.Text == t.Name }) {
			continue
		}
		rule := state.ReplicationRule{Prefixes: x.prefixes, Origin: x.origin}
		for _, v := range x.to {
			to := destination(v, t, targets)
			if to == t.Registry || slices.Contains(rule.To, to) {
				continue // a registry of the rule may be a destination of the others
			}
			rule.To = append(rule.To, to)
			if was, twice := first[to]; twice && !was.options.Equal(x.options) {
				wrong(x.origin, "%s has other values for tags, exclude and deletions in %s: they are for a destination, so give the same in each of its rules", to, was.origin.Field)
			}
			first[to] = x
			if !x.options.None() {
				out.Options[to] = x.options
			}
			if t.Registry.Region != "" && to.Region.Partition() != t.Registry.Region.Partition() {
				wrong(x.origin, "%s is in partition %s, and registry %s in %s: images are replicated within a partition", to, to.Region.Partition(), t.Name, t.Registry.Region.Partition())
			}
		}
		if len(rule.To) > 0 {
			slices.SortFunc(rule.To, compareRegistries)
			out.Rules = append(out.Rules, rule)
		} else if x.registries.given || len(targets) == 1 {
			wrong(x.origin, "registry %s is its own destination: name another one in to", t.Name)
		}
		if len(x.prefixes) > fields.MaxReplicationPrefixes {
			wrong(x.origin, "the rule has %d prefixes; ECR allows %d", len(x.prefixes), fields.MaxReplicationPrefixes)
		}
	}
	if n := len(out.Rules); n > fields.MaxReplicationRules {
		wrong(out.Rules[n-1].Origin, "registry %s would have %d rules; ECR allows %d", t.Name, n, fields.MaxReplicationRules)
	}
	if n := len(first); n > fields.MaxReplicationDestinations {
		wrong(out.Rules[0].Origin, "registry %s would have %d destinations; ECR allows %d", t.Name, n, fields.MaxReplicationDestinations)
	}
	return out
}

func compareRegistries(a, b ecr.RegistryID) int { return strings.Compare(a.String(), b.String()) }

// addReplication adds what the targets replicate, and who replicates into them.
func (f *File) addReplication(targets []state.Target, byTarget map[string]state.Wanted) {
	if !f.replicationGiven {
		return
	}
	from := map[ecr.RegistryID]map[ecr.AccountID]*state.ReplicationSource{}
	for _, t := range targets {
		w := byTarget[t.Name]
		w.Replication = f.replicationOf(t, targets, func(state.Origin, string, ...any) {})
		byTarget[t.Name] = w
		for _, rule := range w.Replication.Rules {
			for _, to := range rule.To {
				if to.Account == t.Registry.Account {
					continue
				}
				if from[to] == nil {
					from[to] = map[ecr.AccountID]*state.ReplicationSource{}
				}
				s := from[to][t.Registry.Account]
				if s == nil {
					s = &state.ReplicationSource{Account: t.Registry.Account, Name: t.Name, Prefixes: rule.Prefixes}
					from[to][t.Registry.Account] = s
				} else if len(s.Prefixes) > 0 {
					s.Prefixes = sorted(slices.Concat(s.Prefixes, rule.Prefixes))
				}
				if len(rule.Prefixes) == 0 {
					s.Prefixes = nil
				}
				s.Deletions = s.Deletions || w.Replication.Options[to].Deletions
			}
		}
	}
	for _, t := range targets {
		w := byTarget[t.Name]
		for _, account := range slices.Sorted(maps.Keys(from[t.Registry])) {
			w.ReplicatedFrom = append(w.ReplicatedFrom, *from[t.Registry][account])
		}
		for _, other := range targets {
			if other.Registry.Account != t.Registry.Account {
				w.ReplicationAccounts = append(w.ReplicationAccounts, other.Registry.Account)
			}
			if bothWays(w.Replication.Rules, t.Registry, byTarget[other.Name].Replication.Rules, other.Registry) {
				w.BothWays = append(w.BothWays, other.Name)
			}
		}
		byTarget[t.Name] = w
	}
}

// bothWays reports whether rules of a, which are those of the registry in, and rules of
// b copy a repository to each other.
func bothWays(a []state.ReplicationRule, in ecr.RegistryID, b []state.ReplicationRule, other ecr.RegistryID) bool {
	overlap := func(x, y state.ReplicationRule) bool {
		return len(x.Prefixes) == 0 || len(y.Prefixes) == 0 || slices.ContainsFunc(x.Prefixes, func(p string) bool {
			return slices.ContainsFunc(y.Prefixes, func(q string) bool { return strings.HasPrefix(p, q) || strings.HasPrefix(q, p) })
		})
	}
	return in != other && slices.ContainsFunc(a, func(x state.ReplicationRule) bool {
		return slices.Contains(x.To, other) && slices.ContainsFunc(b, func(y state.ReplicationRule) bool { return slices.Contains(y.To, in) && overlap(x, y) })
	})
}
