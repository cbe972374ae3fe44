package registry

import (
	"context"
	"maps"
	"slices"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/policy"
)

// viewRegistry reads in one snapshot, on the registry that op is for.
func (c *Caller) viewRegistry(ctx context.Context, op Operation, in ecr.RegistryID, fn func(s meta.RegistrySettings) error) error {
	return storeError(c.r.cfg.Meta.View(ctx, func(ctx context.Context, r meta.Reader) error {
		if err := c.decideRegistry(op, in.Account); err != nil {
			return err
		}
		s, err := r.RegistrySettings(ctx, in)
		if err != nil {
			return err
		}
		return fn(s)
	}))
}

// updateRegistry changes the settings of the registry that op is for.
func (c *Caller) updateRegistry(ctx context.Context, op Operation, in ecr.RegistryID, fn func(s *meta.RegistrySettings) error) error {
	return storeError(c.r.cfg.Meta.Update(ctx, func(ctx context.Context, tx meta.Tx) error {
		if err := c.decideRegistry(op, in.Account); err != nil {
			return err
		}
		s, err := tx.RegistrySettings(ctx, in)
		if err != nil {
			return err
		}
		if err := fn(&s); err != nil {
			return err
		}
		return tx.PutRegistrySettings(ctx, in, s)
	}))
}

var opDescribeRegistry = Operation{"DescribeRegistry", []access.Action{"ecr:DescribeRegistry"}}

// DescribeRegistry answers whether the caller may look at the registry. There
// is no more to tell: this server replicates nothing.
func (c *Caller) DescribeRegistry(ctx context.Context, in ecr.RegistryID) error {
	return c.viewRegistry(ctx, opDescribeRegistry, in, func(meta.RegistrySettings) error { return nil })
}

var opRegistryScanning = Operation{"RegistryScanning", []access.Action{"ecr:GetRegistryScanningConfiguration"}}

// RegistryScanning answers whether the caller may see how the registry scans.
// There is no more to tell: it has no rules, repositories have their setting.
func (c *Caller) RegistryScanning(ctx context.Context, in ecr.RegistryID) error {
	return c.viewRegistry(ctx, opRegistryScanning, in, func(meta.RegistrySettings) error { return nil })
}

func noRegistryPolicy(in ecr.RegistryID) error {
	return ecr.Errorf(ecr.CodeRegistryPolicyNotFound, "Registry policy does not exist in the registry with id '%s'", in.Account)
}

var opSetRegistryPolicy = Operation{"SetRegistryPolicy", []access.Action{"ecr:PutRegistryPolicy"}}

// SetRegistryPolicy sets the registry policy and returns it as stored.
// Errors: InvalidParameter.
func (c *Caller) SetRegistryPolicy(ctx context.Context, in ecr.RegistryID, text string) (string, error) {
	doc, err := policy.ParseFor([]byte(text), policy.Registry)
	if err != nil {
		e := ecr.InvalidParameter("PolicyText", "Invalid registry policy provided")
		e.Err = err
		return "", e
	}
	stored := doc.Pretty()
	return stored, c.updateRegistry(ctx, opSetRegistryPolicy, in, func(s *meta.RegistrySettings) error {
		s.PolicyText = stored
		return nil
	})
}

var opRegistryPolicy = Operation{"RegistryPolicy", []access.Action{"ecr:GetRegistryPolicy"}}

// RegistryPolicy returns the registry policy. Errors: RegistryPolicyNotFound.
func (c *Caller) RegistryPolicy(ctx context.Context, in ecr.RegistryID) (string, error) {
	var text string
	err := c.viewRegistry(ctx, opRegistryPolicy, in, func(s meta.RegistrySettings) error {
		if text = s.PolicyText; text == "" {
			return noRegistryPolicy(in)
		}
		return nil
	})
	return text, err
}

var opDeleteRegistryPolicy = Operation{"DeleteRegistryPolicy", []access.Action{"ecr:DeleteRegistryPolicy"}}

// DeleteRegistryPolicy removes the registry policy and returns what it was.
// Errors: RegistryPolicyNotFound.
func (c *Caller) DeleteRegistryPolicy(ctx context.Context, in ecr.RegistryID) (string, error) {
	var text string
	err := c.updateRegistry(ctx, opDeleteRegistryPolicy, in, func(s *meta.RegistrySettings) error {
		if text = s.PolicyText; text == "" {
			return noRegistryPolicy(in)
		}
		s.PolicyText = ""
		return nil
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
	"REGISTRY_POLICY_SCOPE":   {"V2", "V1"},
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
		return ecr.Errorf(ecr.CodeValidation, "'%s' is not an account setting; there are %v", name, slices.Sorted(maps.Keys(accountSettings)))
	}
	return nil
}

var opAccountSetting = Operation{"AccountSetting", []access.Action{"ecr:GetAccountSetting"}}

// AccountSetting returns the value of an account setting, its default unless
// it was set. Errors: Validation.
func (c *Caller) AccountSetting(ctx context.Context, in ecr.RegistryID, name string) (string, error) {
	var value string
	err := c.viewRegistry(ctx, opAccountSetting, in, func(s meta.RegistrySettings) error {
		if err := checkSetting(name); err != nil {
			return err
		}
		value = accountSetting(s, name)
		return nil
	})
	return value, err
}

var opSetAccountSetting = Operation{"SetAccountSetting", []access.Action{"ecr:PutAccountSetting"}}

// SetAccountSetting sets an account setting. Errors: Validation.
func (c *Caller) SetAccountSetting(ctx context.Context, in ecr.RegistryID, name, value string) error {
	return c.updateRegistry(ctx, opSetAccountSetting, in, func(s *meta.RegistrySettings) error {
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

var opScanning = Operation{"Scanning", []access.Action{"ecr:BatchGetRepositoryScanningConfiguration"}}

// Scanning returns the named repositories in the order given, and the names
// of which there is no repository.
func (c *Caller) Scanning(ctx context.Context, in ecr.RegistryID, names []ecr.RepositoryName) (list []Repository, missing []ecr.RepositoryName, err error) {
	err = c.r.cfg.Meta.View(ctx, func(ctx context.Context, r meta.Reader) error {
		list, missing = nil, nil
		for _, name := range names {
			at := Repo{in, name}
			row, err := c.load(ctx, r, opScanning, at)
			switch {
			case ecr.CodeOf(err) == ecr.CodeRepositoryNotFound:
				missing = append(missing, name)
			case err != nil:
				return err
			default:
				list = append(list, describe(at, row))
			}
		}
		return nil
	})
	return list, missing, storeError(err)
}
