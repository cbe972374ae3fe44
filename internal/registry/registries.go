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

// scopeV1 is the value of settingPolicyScope for which a registry policy governs
// a few actions only (Amazon ECR user guide, "Private registry permissions").
const scopeV1 = "V1"

// governs reports whether the registry policy has a say about the action.
func governs(s meta.RegistrySettings, action access.Action) bool {
	a, _ := policy.LookupAction(string(action))
	return a.RegistryV1 || accountSetting(s, settingPolicyScope) != scopeV1
}

// enterRegistry decides about op where no repository is named.
func (c *Caller) enterRegistry(ctx context.Context, r meta.RegistryReader, op Operation, in ecr.RegistryID) (s scene, grant string, err error) {
	s.at.In = in
	// Read for the server's own jobs, too: this is what op is about.
	if s.settings, err = r.RegistrySettings(ctx, in); err != nil {
		return scene{}, "", err
	}
	grant, err = c.decide(s, op.Actions...)
	return s, grant, err
}

// viewRegistry reads in one snapshot, on the registry that op is for.
func (c *Caller) viewRegistry(ctx context.Context, op Operation, in ecr.RegistryID, fn func(r meta.Reader, s meta.RegistrySettings) error) error {
	return c.read(ctx, op, Repo{In: in}, func(ctx context.Context, r meta.Reader) (string, error) {
		s, grant, err := c.enterRegistry(ctx, r, op, in)
		if err != nil {
			return "", err
		}
		return grant, fn(r, s.settings)
	})
}

// updateRegistry changes the settings of the registry that op is for.
func (c *Caller) updateRegistry(ctx context.Context, op Operation, in ecr.RegistryID, fn func(tx meta.Tx, s *meta.RegistrySettings) error) error {
	return c.change(ctx, op, Repo{In: in}, func(ctx context.Context, tx meta.Tx) (string, error) {
		s, grant, err := c.enterRegistry(ctx, tx, op, in)
		if err != nil {
			return "", err
		}
		if err := fn(tx, &s.settings); err != nil {
			return "", err
		}
		return grant, tx.PutRegistrySettings(ctx, in, s.settings)
	})
}

var opDescribeRegistry = Operation{"DescribeRegistry", []access.Action{"ecr:DescribeRegistry"}}

// DescribeRegistry answers whether the caller may look at the registry. There
// is no more to tell: this server replicates nothing.
func (c *Caller) DescribeRegistry(ctx context.Context, in ecr.RegistryID) error {
	return c.viewRegistry(ctx, opDescribeRegistry, in, func(meta.Reader, meta.RegistrySettings) error { return nil })
}

func noRegistryPolicy(in ecr.RegistryID) error {
	return ecr.Errorf(ecr.CodeRegistryPolicyNotFound, "Registry policy does not exist in the registry with id '%s'", in.Account)
}

var opSetRegistryPolicy = Operation{"SetRegistryPolicy", []access.Action{"ecr:PutRegistryPolicy"}}

// SetRegistryPolicy sets the registry policy and returns it as RegistryPolicy
// will. It refuses a policy under which the caller could not set the next one:
// ECR has no force here, and it is not known what it does.
// Errors: InvalidParameter.
func (c *Caller) SetRegistryPolicy(ctx context.Context, in ecr.RegistryID, text string) (string, error) {
	doc, err := policy.ParseFor([]byte(text), policy.Registry)
	if err == nil {
		err = checkKeys(doc)
	}
	if err != nil {
		return "", invalidPolicy("registry", err)
	}
	doc = withRootARNs(in.Region.Partition(), doc)
	return doc.Pretty(), c.change(ctx, opSetRegistryPolicy, Repo{In: in}, func(ctx context.Context, tx meta.Tx) (string, error) {
		s, grant, err := c.enterRegistry(ctx, tx, opSetRegistryPolicy, in)
		if err != nil {
			return "", err
		}
		if accountSetting(s.settings, settingPolicyScope) == scopeV1 {
			if err := policy.Validate(doc, policy.RegistryV1); err != nil {
				return "", invalidPolicy("registry", err)
			}
		}
		bound, err := bind(ctx, tx, in.Region.Partition(), doc)
		if err != nil {
			return "", err
		}
		s.settings.PolicyText = bound.Pretty()
		if _, locked := c.decide(s, opSetRegistryPolicy.Actions...); locked != nil {
			return "", lockedOut(locked, "")
		}
		return grant, tx.PutRegistrySettings(ctx, in, s.settings)
	})
}

var opRegistryPolicy = Operation{"RegistryPolicy", []access.Action{"ecr:GetRegistryPolicy"}}

// RegistryPolicy returns the registry policy. Errors: RegistryPolicyNotFound.
func (c *Caller) RegistryPolicy(ctx context.Context, in ecr.RegistryID) (string, error) {
	var text string
	err := c.viewRegistry(ctx, opRegistryPolicy, in, func(r meta.Reader, s meta.RegistrySettings) (err error) {
		if s.PolicyText == "" {
			return noRegistryPolicy(in)
		}
		text, err = shown(ctx, r, in.Region.Partition(), s.PolicyText)
		return err
	})
	return text, err
}

var opDeleteRegistryPolicy = Operation{"DeleteRegistryPolicy", []access.Action{"ecr:DeleteRegistryPolicy"}}

// DeleteRegistryPolicy removes the registry policy and returns what it was.
// Errors: RegistryPolicyNotFound.
func (c *Caller) DeleteRegistryPolicy(ctx context.Context, in ecr.RegistryID) (string, error) {
	var text string
	err := c.updateRegistry(ctx, opDeleteRegistryPolicy, in, func(tx meta.Tx, s *meta.RegistrySettings) (err error) {
		if s.PolicyText == "" {
			return noRegistryPolicy(in)
		}
		text, err = shown(ctx, tx, in.Region.Partition(), s.PolicyText)
		s.PolicyText = ""
		return err
	})
	return text, err
}

// SettingBlobMounting is the account setting that allows mounts in CompatECR;
// its values are "ENABLED" and "DISABLED".
const SettingBlobMounting = "BLOB_MOUNTING"

// settingPolicyScope is the account setting that says what registry policies
// govern.
const settingPolicyScope = "REGISTRY_POLICY_SCOPE"

// accountSettings are ECR's account settings with their values; the first is
// the default. Which it is for BLOB_MOUNTING AWS does not document: clients
// do not notice, they upload what is not mounted.
var accountSettings = map[string][]string{
	"BASIC_SCAN_TYPE_VERSION": {"AWS_NATIVE", "CLAIR"},
	settingPolicyScope:        {"V2", scopeV1},
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
	err := c.asking(asked{setting: name}).viewRegistry(ctx, opAccountSetting, in, func(_ meta.Reader, s meta.RegistrySettings) error {
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
	return c.asking(asked{setting: name}).updateRegistry(ctx, opSetAccountSetting, in, func(_ meta.Tx, s *meta.RegistrySettings) error {
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
