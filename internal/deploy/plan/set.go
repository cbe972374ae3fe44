package plan

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// SetVersion is the version of a Set's JSON form. docs/plan.schema.json
// describes it.
const SetVersion = 1

// Set is what one run plans: a plan for each registry that could be read. Its
// JSON form is published, and is a plan file.
type Set struct {
	Version int    `json:"version"`
	Stack   string `json:"stack"`
	// Files are the names that the file was read under.
	Files []string `json:"files,omitempty"`
	Plans []Plan   `json:"plans"`
	// Failures are the registries that could not be read.
	Failures []Failure `json:"failures,omitempty"`
	// Clusters are those whose accounts could be read, ClusterFailures the
	// others.
	Clusters        []Cluster `json:"clusters,omitempty"`
	ClusterFailures []Failure `json:"cluster_failures,omitempty"`
}

// Failure is a registry, or a cluster's account, that could not be read.
type Failure struct {
	Target Target `json:"target"`
	Error  string `json:"error"`
}

// TargetOf is t as plans have it.
func TargetOf(t state.Target) Target { return targetOf(t) }

// Pending counts the changes of all plans.
func (s Set) Pending() int {
	n := 0
	for _, p := range s.Plans {
		n += p.Work()
	}
	for _, c := range s.Clusters {
		n += len(c.Pending())
	}
	return n
}

// Refused are the plans that cannot be carried out because of an error.
func (s Set) Refused() []Plan {
	var out []Plan
	for _, p := range s.Plans {
		if len(p.Errors()) > 0 {
			out = append(out, p)
		}
	}
	return out
}

// ParseSet reads a plan file. The errors name it.
func ParseSet(name string, b []byte) (Set, error) {
	var s Set
	if err := json.Unmarshal(b, &s); err != nil {
		return Set{}, fmt.Errorf("%s is not a plan of kontor plan --output: %w", name, err)
	}
	if s.Version != SetVersion {
		return Set{}, fmt.Errorf("%s is not a plan of kontor plan --output: it has version %d, this is for version %d", name, s.Version, SetVersion)
	}
	for _, p := range s.Plans {
		if p.Version != Version {
			return Set{}, fmt.Errorf("%s: the plan for %s has version %d, this is for version %d: plan again", name, p.Target.Name, p.Version, Version)
		}
		if err := p.Check(); err != nil {
			return Set{}, fmt.Errorf("%s: the plan for %s: %w", name, p.Target.Name, err)
		}
	}
	for _, c := range s.Clusters {
		if err := c.Check(s.Stack); err != nil {
			return Set{}, fmt.Errorf("%s: the plan for cluster %s: %w", name, c.Target.Name, err)
		}
	}
	return s, nil
}

// check refuses what DiffWith would not have planned and what carrying out c
// relies on.
func (c Change) check(p Plan) error {
	if _, err := ecr.ParseRepositoryName(string(c.Repository)); err != nil {
		return err
	}
	switch c.Op {
	case OpNone:
		return nil
	case OpCreate, OpAdopt, OpUpdate:
		if err := sides(c.Op, c.Before, c.After); err != nil {
			return err
		}
		if c.After.Tags[state.TagStack] != p.Stack {
			return fmt.Errorf("it would not belong to stack %s", p.Stack)
		}
		return nil
	case OpDelete:
		switch {
		case c.Before == nil || c.After != nil:
			return errors.New("a deletion without what was there")
		case p.End == Nothing || p.Stack == "" || c.Before.Tags[state.TagStack] != p.Stack || !Unprotected(c.Before.Tags):
			return errors.New("it may not be deleted")
		}
		return nil
	}
	return fmt.Errorf("unknown operation %q", c.Op)
}

// sides refuses a change that is no deletion and has not the sides of its operation.
func sides[T any](op Op, before, after *T) error {
	if after == nil || (op == OpCreate) != (before == nil) {
		return fmt.Errorf("%s without what was there and what will be", op)
	}
	return nil
}

// Check refuses a plan that DiffWith would not have made.
func (p Plan) Check() error {
	for _, c := range p.Changes {
		if err := c.check(p); err != nil {
			return fmt.Errorf("repository %s: %w", quoted(c.Repository), err)
		}
	}
	for _, c := range p.Templates {
		if err := c.check(p); err != nil {
			return fmt.Errorf("the template for %s: %w", state.Below(c.Prefix), err)
		}
	}
	for _, c := range p.Upstreams {
		if err := c.check(); err != nil {
			return fmt.Errorf("the upstream rule %s: %w", c.Prefix, err)
		}
	}
	if p.Replication != nil {
		if err := p.Replication.check(); err != nil {
			return fmt.Errorf("the replication: %w", err)
		}
	}
	return errors.Join(checkNamed(p.Signers), checkNamed(p.Receivers))
}
