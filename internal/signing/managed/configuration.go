package managed

import (
	"context"
	"encoding/json"
	"errors"
	"maps"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// maxRules is ECR's limit. Source: ECR user guide, "Amazon ECR service quotas".
const maxRules = 10

func noConfiguration(in ecr.RegistryID) error {
	return ecr.Errorf(ecr.CodeSigningConfigurationNotFound, "Signing configuration does not exist in the registry with id '%s'", in.Account)
}

var opSigningConfiguration = gate.Op("SigningConfiguration", "ecr:GetSigningConfiguration")

// SigningConfiguration returns what is signed with what.
// Errors: SigningConfigurationNotFound.
func (c *Caller) SigningConfiguration(ctx context.Context, in ecr.RegistryID) (found Configuration, err error) {
	err = c.gate.Read(ctx, opSigningConfiguration, func(ctx context.Context, v *gate.View) error {
		s, err := v.EnterRegistry(ctx, in)
		if err != nil {
			return err
		}
		var ok bool
		if found, ok, err = ConfigurationOf(s.Settings); err == nil && !ok {
			err = noConfiguration(in)
		}
		return err
	})
	return found, err
}

var opPutSigningConfiguration = gate.Op("PutSigningConfiguration", "ecr:PutSigningConfiguration")

// PutSigningConfiguration replaces what is signed with what. It counts for what is pushed
// from then on. Errors: Validation, where a profile does not exist.
func (c *Caller) PutSigningConfiguration(ctx context.Context, in ecr.RegistryID, to Configuration) error {
	if to.Rules == nil {
		to.Rules = []Rule{}
	}
	return c.gate.Change(ctx, opPutSigningConfiguration, func(ctx context.Context, tx *gate.Tx) error {
		s, err := tx.EnterRegistry(ctx, in)
		if err != nil {
			return err
		}
		if len(to.Rules) > maxRules {
			return ecr.Errorf(ecr.CodeValidation, "The maximum number of signing rules of a registry is %d, and there are %d", maxRules, len(to.Rules))
		}
		for _, r := range to.Rules {
			if err := exists(ctx, tx, in, r.Profile); err != nil {
				return err
			}
		}
		text, err := json.Marshal(to)
		if err != nil {
			return err
		}
		return put(ctx, tx, in, s.Settings, string(text))
	})
}

// exists makes sure that a profile is one of the registry.
func exists(ctx context.Context, tx *gate.Tx, in ecr.RegistryID, arn string) error {
	name, ok := ProfileName(in, arn)
	if !ok {
		return ecr.Errorf(ecr.CodeValidation, "The signing profile '%s' is not one of the registry with id '%s' in %s: images are signed with profiles of the registry", arn, in.Account, in.Region)
	}
	_, err := tx.Registries().Signings().Profile(ctx, in, name)
	if errors.Is(err, meta.ErrNotFound) {
		return ecr.Errorf(ecr.CodeValidation, "The signing profile '%s' does not exist. Create it with kontor admin signing-profile create %s", arn, name)
	}
	return err
}

// put changes the setting; text is "" for none.
func put(ctx context.Context, tx *gate.Tx, in ecr.RegistryID, s meta.RegistrySettings, text string) error {
	settings := maps.Clone(s.Settings)
	if settings == nil {
		settings = map[string]string{}
	}
	if settings[setting] = text; text == "" {
		delete(settings, setting)
	}
	s.Settings = settings
	return tx.Registries().PutRegistrySettings(ctx, in, s)
}

var opDeleteSigningConfiguration = gate.Op("DeleteSigningConfiguration", "ecr:DeleteSigningConfiguration")

// DeleteSigningConfiguration removes what is signed with what, and returns what it was.
// What waits to be signed is signed. Errors: SigningConfigurationNotFound.
func (c *Caller) DeleteSigningConfiguration(ctx context.Context, in ecr.RegistryID) (was Configuration, err error) {
	err = c.gate.Change(ctx, opDeleteSigningConfiguration, func(ctx context.Context, tx *gate.Tx) error {
		s, err := tx.EnterRegistry(ctx, in)
		if err != nil {
			return err
		}
		var ok bool
		if was, ok, err = ConfigurationOf(s.Settings); err != nil {
			return err
		}
		if !ok {
			return noConfiguration(in)
		}
		return put(ctx, tx, in, s.Settings, "")
	})
	return was, err
}
