package registry

import (
	"context"
	"maps"
	"slices"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/policy"
)

// viewRegistry reads in one snapshot, on the registry that op is for.
func viewRegistry(ctx context.Context, c *gate.Caller, op gate.Operation, in ecr.RegistryID, fn func(v *gate.View, s meta.RegistrySettings) error) error {
	return c.Read(ctx, op, func(ctx context.Context, v *gate.View) error {
		s, err := v.EnterRegistry(ctx, in)
		if err != nil {
			return err
		}
		return fn(v, s.Settings)
	})
}

// updateRegistry changes the settings of the registry that op is for.
func updateRegistry(ctx context.Context, c *gate.Caller, op gate.Operation, in ecr.RegistryID, fn func(tx *gate.Tx, s *meta.RegistrySettings) error) error {
	return c.Change(ctx, op, func(ctx context.Context, tx *gate.Tx) error {
		s, err := tx.EnterRegistry(ctx, in)
		if err != nil {
			return err
		}
		if err := fn(tx, &s.Settings); err != nil {
			return err
		}
		return tx.Registries().PutRegistrySettings(ctx, in, s.Settings)
	})
}

func noRegistryPolicy(in ecr.RegistryID) error {
	return ecr.Errorf(ecr.CodeRegistryPolicyNotFound, "Registry policy does not exist in the registry with id '%s'", in.Account)
}

var opSetRegistryPolicy = gate.Op("SetRegistryPolicy", "ecr:PutRegistryPolicy")

// SetRegistryPolicy sets the registry policy and returns it as RegistryPolicy
// will. It refuses a policy under which the caller could not set the next one:
// ECR has no force here, and it is not known what it does.
// Errors: InvalidParameter.
func (c *Caller) SetRegistryPolicy(ctx context.Context, in ecr.RegistryID, text string) (string, error) {
	doc, err := policy.ParseFor([]byte(text), policy.Registry)
	if err == nil {
		err = c.r.checkKeys(doc)
	}
	if err != nil {
		return "", invalidPolicy("registry", err)
	}
	doc = withRootARNs(in.Region.Partition(), doc)
	return doc.Pretty(), c.gate.Change(ctx, opSetRegistryPolicy, func(ctx context.Context, tx *gate.Tx) error {
		s, err := tx.EnterRegistry(ctx, in)
		if err != nil {
			return err
		}
		if s.Settings.Settings[gate.SettingPolicyScope] == gate.ScopeV1 {
			if err := policy.Validate(doc, policy.RegistryV1); err != nil {
				return invalidPolicy("registry", err)
			}
		}
		bound, err := bind(ctx, tx.Identities(), in.Region.Partition(), doc)
		if err != nil {
			return err
		}
		s.Settings.PolicyText = bound.Pretty()
		if locked := tx.Would(s, opSetRegistryPolicy.Actions...); locked != nil {
			return lockedOut(locked, "")
		}
		tx.Emit(events.Event{Type: events.PolicyChanged, Registry: in, Policy: "registry"})
		return tx.Registries().PutRegistrySettings(ctx, in, s.Settings)
	})
}

var opRegistryPolicy = gate.Op("RegistryPolicy", "ecr:GetRegistryPolicy")

// RegistryPolicy returns the registry policy. Errors: RegistryPolicyNotFound.
func (c *Caller) RegistryPolicy(ctx context.Context, in ecr.RegistryID) (string, error) {
	var text string
	err := viewRegistry(ctx, c.gate, opRegistryPolicy, in, func(v *gate.View, s meta.RegistrySettings) (err error) {
		if s.PolicyText == "" {
			return noRegistryPolicy(in)
		}
		text, err = shown(ctx, v.Identities(), in.Region.Partition(), s.PolicyText)
		return err
	})
	return text, err
}

var opDeleteRegistryPolicy = gate.Op("DeleteRegistryPolicy", "ecr:DeleteRegistryPolicy")

// DeleteRegistryPolicy removes the registry policy and returns what it was.
// Errors: RegistryPolicyNotFound.
func (c *Caller) DeleteRegistryPolicy(ctx context.Context, in ecr.RegistryID) (string, error) {
	var text string
	err := updateRegistry(ctx, c.gate, opDeleteRegistryPolicy, in, func(tx *gate.Tx, s *meta.RegistrySettings) (err error) {
		if s.PolicyText == "" {
			return noRegistryPolicy(in)
		}
		text, err = shown(ctx, tx.Identities(), in.Region.Partition(), s.PolicyText)
		s.PolicyText = ""
		tx.Emit(events.Event{Type: events.PolicyChanged, Registry: in, Policy: "registry", Deleted: true})
		return err
	})
	return text, err
}

// SettingBlobMounting is the account setting that allows mounts in CompatECR;
// its values are "ENABLED" and "DISABLED".
const SettingBlobMounting = "BLOB_MOUNTING"

// accountSettings are ECR's account settings with their values; the first is
// the default. Which it is for BLOB_MOUNTING AWS does not document: clients
// do not notice, they upload what is not mounted.
var accountSettings = map[string][]string{
	"BASIC_SCAN_TYPE_VERSION": {"AWS_NATIVE", "CLAIR"},
	gate.SettingPolicyScope:   {"V2", gate.ScopeV1},
	SettingBlobMounting:       {"ENABLED", "DISABLED"},
}

// accountSetting is the value of a setting that exists.
func accountSetting(s meta.RegistrySettings, name string) string {
	if v := s.Settings[name]; v != "" {
		return v
	}
	return accountSettings[name][0]
}

// checkSetting refuses names that are none. ECR's text is not known.
func checkSetting(name string) error {
	if accountSettings[name] == nil {
		return ecr.Errorf(ecr.CodeInvalidParameter, "'%s' is not an account setting; there are %v", name, slices.Sorted(maps.Keys(accountSettings)))
	}
	return nil
}

var opAccountSetting = gate.Op("AccountSetting", "ecr:GetAccountSetting")

// AccountSetting returns the value of an account setting, its default unless
// it was set. Errors: InvalidParameter.
func (c *Caller) AccountSetting(ctx context.Context, in ecr.RegistryID, name string) (string, error) {
	var value string
	err := viewRegistry(ctx, c.gate.Saying(gate.Said{AccountSetting: name}), opAccountSetting, in, func(_ *gate.View, s meta.RegistrySettings) error {
		if err := checkSetting(name); err != nil {
			return err
		}
		value = accountSetting(s, name)
		return nil
	})
	return value, err
}

var opSetAccountSetting = gate.Op("SetAccountSetting", "ecr:PutAccountSetting")

// SetAccountSetting sets an account setting.
// Errors: InvalidParameter for the name, Validation for the value.
func (c *Caller) SetAccountSetting(ctx context.Context, in ecr.RegistryID, name, value string) error {
	return updateRegistry(ctx, c.gate.Saying(gate.Said{AccountSetting: name}), opSetAccountSetting, in, func(_ *gate.Tx, s *meta.RegistrySettings) error {
		if err := checkSetting(name); err != nil {
			return err
		}
		if values := accountSettings[name]; !slices.Contains(values, value) {
			return ecr.Errorf(ecr.CodeValidation, "'%s' is not a value of the account setting %s; it takes %v", value, name, values)
		}
		s.Settings = maps.Clone(s.Settings)
		if s.Settings == nil {
			s.Settings = map[string]string{}
		}
		s.Settings[name] = value
		return nil
	})
}
