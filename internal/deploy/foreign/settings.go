package foreign

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// The types of templates and pull-through cache rules.
const (
	templateType = "aws_ecr_repository_creation_template"
	upstreamType = "aws_ecr_pull_through_cache_rule"

	replicationType = "aws_ecr_replication_configuration"
)

// Template is a repository creation template that the files declare.
type Template struct {
	state.Template
	Account ecr.AccountID
	Region  ecr.Region
	At      state.Position
}

// Upstream is a pull-through cache rule that the files declare.
type Upstream struct {
	state.Upstream
	Account ecr.AccountID
	Region  ecr.Region
	At      state.Position
}

// Replication is what of a registry is replicated, as the files declare it.
type Replication struct {
	state.Replication
	Account ecr.AccountID
	Region  ecr.Region
	At      state.Position
}

// settings reads the templates, rules and replications. One of which a value is not known is left
// out: a file without the value would change it.
func (r *reader) settings() (templates []Template, upstreams []Upstream, replications []Replication) {
	for _, x := range r.resources {
		if x.kind != templateType && x.kind != upstreamType && x.kind != replicationType {
			continue
		}
		if x.kind == upstreamType {
			for _, name := range []string{"credential_arn", "custom_role_arn"} { // what a file does not say of these stays
				if why, bad := x.unknown[name]; bad {
					r.findf(why.Position, "%s: %s: %s; it is not in the file, and stays as it is", x.name, name, why.Message)
					delete(x.unknown, name)
				}
			}
		}
		names := slices.DeleteFunc(slices.Sorted(maps.Keys(x.unknown)), func(name string) bool {
			return !slices.Contains(attributes, name) && !slices.Contains(blocks, name) || name == "region"
		})
		if len(names) > 0 {
			why := x.unknown[names[0]]
			r.findf(why.Position, "%s: %s: %s; it is left out", x.name, names[0], why.Message)
			continue
		}
		account, region := x.registry()
		switch x.kind {
		case templateType:
			templates = append(templates, Template{templateOf(x), account, region, x.at})
		case upstreamType:
			upstreams = append(upstreams, Upstream{upstreamOf(x), account, region, x.at})
		case replicationType:
			if account == "" { // the id of the resource is the account
				account, _ = ecr.ParseAccountID(x.text("id"))
			}
			found, err := x.replication()
			if err != nil {
				r.findf(x.at, "%s: %v; it is left out", x.name, err)
				continue
			}
			replications = append(replications, Replication{found, account, region, x.at})
		}
	}
	return templates, upstreams, replications
}

// objects are the blocks of a kind in v, one or several.
func objects(v any) (list []map[string]any) {
	items, ok := v.([]any)
	if !ok {
		items = []any{v}
	}
	for _, item := range items {
		if m, ok := item.(map[string]any); ok {
			list = append(list, m)
		}
	}
	return list
}

// replication is that of a registry. It is a whole or an error: a rule less would stop
// copies.
func (x *resource) replication() (out state.Replication, err error) {
	for _, c := range objects(x.values["replication_configuration"]) {
		for _, r := range objects(c["rule"]) {
			rule := state.ReplicationRule{Origin: state.Origin{Position: x.at}}
			for _, d := range objects(r["destination"]) {
				account, _ := scalar(d["registry_id"])
				region, _ := scalar(d["region"])
				to := ecr.RegistryID{}
				if to.Account, err = ecr.ParseAccountID(account); err == nil {
					to.Region, err = ecr.ParseRegion(region)
				}
				if err != nil {
					return out, fmt.Errorf("a destination: %w", err)
				}
				if !slices.Contains(rule.To, to) {
					rule.To = append(rule.To, to)
				}
			}
			for _, f := range objects(r["repository_filter"]) {
				if kind, _ := f["filter_type"].(string); kind != "PREFIX_MATCH" {
					return out, fmt.Errorf("a repository filter has the type %q; want PREFIX_MATCH", kind)
				}
				prefix, _ := f["filter"].(string)
				rule.Prefixes = append(rule.Prefixes, prefix)
			}
			slices.Sort(rule.Prefixes)
			out.Rules = append(out.Rules, rule)
		}
	}
	return out, nil
}

func templateOf(x resource) state.Template {
	out := state.Template{Prefix: strings.TrimSuffix(x.text("prefix"), "/"), RoleARN: x.text("custom_role_arn")}
	out.Description, out.Stack = state.Unmarked(x.text("description"))
	list, _ := x.values["applied_for"].([]any)
	for _, v := range list {
		if s, ok := v.(string); ok {
			out.AppliedFor = append(out.AppliedFor, ecr.CreationReason(s))
		}
	}
	out.Repository = state.Repository{
		Name: ecr.RepositoryName(state.Below(out.Prefix)), Tags: map[string]string{}, Mutability: x.mutability(), Encryption: x.encryption(),
		Policy: strings.TrimSpace(x.text("repository_policy")), Lifecycle: strings.TrimSpace(x.text("lifecycle_policy")),
	}
	tags, _ := x.values["resource_tags"].(map[string]any)
	for k, v := range tags {
		if s, ok := scalar(v); ok {
			out.Tags[k] = s
		}
	}
	return out
}

func upstreamOf(x resource) state.Upstream {
	return state.Upstream{
		Prefix: strings.TrimSuffix(x.text("ecr_repository_prefix"), "/"), Host: strings.TrimPrefix(x.text("upstream_registry_url"), "https://"),
		UpstreamPrefix: strings.TrimSuffix(cmp.Or(x.text("upstream_repository_prefix"), ecr.RootPrefix), "/"),
		Credential:     x.text("credential_arn"), RoleARN: x.text("custom_role_arn"),
	}
}

// mutability is that of a repository or a template.
func (x *resource) mutability() ecr.Mutability {
	m := ecr.Mutability{Mode: ecr.TagMutability(cmp.Or(x.text("image_tag_mutability"), string(ecr.Mutable)))}
	filters, _ := x.values["image_tag_mutability_exclusion_filter"].([]any)
	for _, f := range filters {
		if f, ok := f.(map[string]any); ok {
			if s, ok := f["filter"].(string); ok {
				m.Filters = append(m.Filters, s)
			}
		}
	}
	return m
}

// encryption is that of a repository or a template; nil when it does not say.
func (x *resource) encryption() *ecr.Encryption {
	b := x.block("encryption_configuration")
	if b == nil {
		return nil
	}
	kind, _ := b["encryption_type"].(string)
	key, _ := b["kms_key"].(string)
	return &ecr.Encryption{Type: cmp.Or(kind, "AES256"), KMSKey: key}
}
