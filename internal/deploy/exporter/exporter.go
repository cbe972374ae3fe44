// Package exporter writes repositories, creation templates, pull-through cache rules
// and the replication of registries for other tools: Terraform, CloudFormation and the
// AWS CLI.
//
// What it writes describes the repositories completely, so that the other tool
// takes them over without a change: nothing is created or deleted. The
// same repositories give the same bytes. It is pure, and does not write other settings
// of registries, such as their policies.
//
// Sources: Terraform AWS provider 6, resources aws_ecr_repository,
// aws_ecr_lifecycle_policy, aws_ecr_repository_policy,
// aws_ecr_repository_creation_template, aws_ecr_pull_through_cache_rule and
// aws_ecr_replication_configuration; CloudFormation registry schema,
// AWS::ECR::Repository, AWS::ECR::RepositoryCreationTemplate,
// AWS::ECR::PullThroughCacheRule and AWS::ECR::ReplicationConfiguration; ECR API model.
package exporter

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/lifecycle"
	"github.com/kontor-registry/kontor/policy"
)

// Registry is a registry and what it has. Encryption and ScanOnPush of the
// repositories are those of ECR's defaults where they are nil.
type Registry struct {
	Target       state.Target
	Repositories []state.Repository
	// Templates have the mark of their stack in what is written; the Credential of
	// Upstreams is an ARN or "".
	Templates []state.Template
	Upstreams []state.Upstream
	// Replication is written where it has rules; its options are not, which only Kontor
	// has.
	Replication *state.Replication
}

// rules are those of the replication of r.
func (r Registry) rules() []state.ReplicationRule {
	if r.Replication == nil {
		return nil
	}
	return r.Replication.Rules
}

// File is a file to write. Name has slashes, and is below a folder of the user's.
type File struct {
	Name       string
	Data       []byte
	Executable bool
}

// sorted are the repositories of r by name.
func (r Registry) sorted() []state.Repository {
	return slices.SortedFunc(slices.Values(r.Repositories), func(a, b state.Repository) int { return cmp.Compare(a.Name, b.Name) })
}

func encryption(r state.Repository) ecr.Encryption {
	if r.Encryption == nil || r.Encryption.Type == "" {
		return ecr.Encryption{Type: "AES256"}
	}
	return *r.Encryption
}

func scans(r state.Repository) bool { return r.ScanOnPush != nil && *r.ScanOnPush }

// tags are the keys of the tags that can be set, sorted.
func tags(r state.Repository) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(r.Tags)), func(k string) bool { return strings.HasPrefix(strings.ToLower(k), "aws:") })
}

// lifecycleText is a lifecycle policy with its rules in the order of their
// priorities, in which Terraform compares them.
func lifecycleText(r state.Repository) (string, error) {
	p, err := lifecycle.Decode([]byte(r.Lifecycle))
	if err != nil {
		return "", fmt.Errorf("the lifecycle policy of repository %s: %w", r.Name, err)
	}
	slices.SortFunc(p.Rules, func(a, b lifecycle.Rule) int { return cmp.Compare(a.Priority, b.Priority) })
	return p.String(), nil
}

func policyText(r state.Repository) (string, error) {
	d, err := policy.Parse([]byte(r.Policy))
	if err != nil {
		return "", fmt.Errorf("the policy of repository %s: %w", r.Name, err)
	}
	return d.String(), nil
}

// names gives each thing a unique name: one that is taken gets
// a number, after the string before.
type names map[string]bool

func (n names) unique(name, before string) string {
	out := name
	for i := 2; n[out]; i++ {
		out = fmt.Sprintf("%s%s%d", name, before, i)
	}
	n[out] = true
	return out
}

// indented is v as JSON that people read.
func indented(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
