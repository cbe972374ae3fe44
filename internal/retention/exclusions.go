package retention

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// settingExclusions is where a registry's settings hold its exclusions, a JSON
// object of times by ARN. Account settings are in capitals, so it is not one.
const settingExclusions = "pullTimeExclusions"

// maxExclusions is ECR's quota.
// Source: Amazon ECR user guide, "Pull time update exclusions".
const maxExclusions = 100

// Exclusions are the users and roles whose pulls do not count, by ARN, with the
// image time at which each was registered.
type Exclusions map[string]time.Time

// ExclusionsOf reads them from the settings of a registry.
func ExclusionsOf(s meta.RegistrySettings) (Exclusions, error) {
	list := Exclusions{}
	if text := s.Settings[settingExclusions]; text != "" {
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			return nil, fmt.Errorf("reading the exclusions from pull times: %w", err)
		}
	}
	return list, nil
}

// Exclude reports whether pulls by p do not count: p, or the role that p uses,
// is excluded.
func (e Exclusions) Exclude(p access.Principal) bool {
	_, excluded := e[p.ARN]
	if !excluded && p.Session != nil {
		_, excluded = e[p.Session.RoleARN]
	}
	return excluded
}

// changeExclusions changes the exclusions of the registry that op is for.
func (c *Caller) changeExclusions(ctx context.Context, op gate.Operation, in ecr.RegistryID, fn func(Exclusions) error) error {
	return c.gate.Change(ctx, op, func(ctx context.Context, tx *gate.Tx) error {
		s, err := tx.EnterRegistry(ctx, in)
		if err != nil {
			return err
		}
		list, err := ExclusionsOf(s.Settings)
		if err != nil {
			return err
		}
		if err := fn(list); err != nil {
			return err
		}
		text, err := json.Marshal(list)
		if err != nil {
			return err
		}
		settings := maps.Clone(s.Settings.Settings)
		if settings == nil {
			settings = map[string]string{}
		}
		settings[settingExclusions] = string(text)
		s.Settings.Settings = settings
		return tx.Registries().PutRegistrySettings(ctx, in, s.Settings)
	})
}

var opRegisterPullTimeExclusion = gate.Op("RegisterPullTimeExclusion", "ecr:RegisterPullTimeUpdateExclusion")

// RegisterPullTimeExclusion makes pulls by a user or role leave the pull times of
// images as they are, and returns when that was. ECR's texts are not known.
// Errors: ExclusionAlreadyExists, LimitExceeded.
func (c *Caller) RegisterPullTimeExclusion(ctx context.Context, in ecr.RegistryID, arn string) (time.Time, error) {
	now := c.s.cfg.Now().Truncate(time.Millisecond)
	return now, c.changeExclusions(ctx, opRegisterPullTimeExclusion, in, func(list Exclusions) error {
		if _, there := list[arn]; there {
			return ecr.Errorf(ecr.CodeExclusionAlreadyExists, "The pull time update exclusion for '%s' already exists in the registry with id '%s'", arn, in.Account)
		}
		if len(list) >= maxExclusions {
			return ecr.Errorf(ecr.CodeLimitExceeded, "The registry with id '%s' already has the maximum number of pull time update exclusions, which is %d", in.Account, maxExclusions)
		}
		list[arn] = now
		return nil
	})
}

var opDeregisterPullTimeExclusion = gate.Op("DeregisterPullTimeExclusion", "ecr:DeregisterPullTimeUpdateExclusion")

// DeregisterPullTimeExclusion makes pulls by a user or role count again.
// Errors: ExclusionNotFound.
func (c *Caller) DeregisterPullTimeExclusion(ctx context.Context, in ecr.RegistryID, arn string) error {
	return c.changeExclusions(ctx, opDeregisterPullTimeExclusion, in, func(list Exclusions) error {
		if _, there := list[arn]; !there {
			return ecr.Errorf(ecr.CodeExclusionNotFound, "The pull time update exclusion for '%s' does not exist in the registry with id '%s'", arn, in.Account)
		}
		delete(list, arn)
		return nil
	})
}

var opListPullTimeExclusions = gate.Op("ListPullTimeExclusions", "ecr:ListPullTimeUpdateExclusions")

// ListPullTimeExclusions returns at most limit of the excluded ARNs after the given
// one, in byte order, and whether there are more.
func (c *Caller) ListPullTimeExclusions(ctx context.Context, in ecr.RegistryID, after string, limit int) (arns []string, more bool, err error) {
	err = c.gate.Read(ctx, opListPullTimeExclusions, func(ctx context.Context, v *gate.View) error {
		s, err := v.EnterRegistry(ctx, in)
		if err != nil {
			return err
		}
		list, err := ExclusionsOf(s.Settings)
		if err != nil {
			return err
		}
		arns = slices.DeleteFunc(slices.Sorted(maps.Keys(list)), func(arn string) bool { return arn <= after })
		if more = len(arns) > limit; more {
			arns = arns[:limit]
		}
		return nil
	})
	return arns, more, err
}
