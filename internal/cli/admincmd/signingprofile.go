package admincmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/signing/trust"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func signingProfileCommand(e *command.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "signing-profile",
		Short: "Manage the keys that the registry signs images with",
		Long: `Manage signing profiles: the keys that the registry signs images with when they are
pushed. Which profile signs the images of which repositories is the registry's signing
configuration, which the command rules, Terraform and the AWS CLI set. The guide
docs/guides/managed-signing.md shows how.`,
		Example: `  kontor admin signing-profile create release
  kontor admin signing-profile rules 'release=prod/*'`,
		Args: cobra.ArbitraryArgs,
		RunE: command.RunGroup,
	}
	cmd.AddCommand(profileCreateCommand(e), profileListCommand(e), profileShowCommand(e), profileDeleteCommand(e), profileRulesCommand(e))
	return cmd
}

func profileCreateCommand(e *command.Env) *cobra.Command {
	var in admin.CreateSigningProfileRequest
	var key, certificates string
	cmd := command.AdminCall(e, &cobra.Command{
		Use: "create NAME [flags]", Short: "Create a signing profile",
		Long: `Create a signing profile and print its ARN. NAME has letters, digits and underscores.

The registry makes a key, and a certificate that the key signs itself. With --key and
--certificates, it takes a private key with its certificate chain: the certificate of the
key first, and the root last. The server stores the key encrypted with its master key, and
never gives it out.

With --replace, the profile that has the name gets another key, such as when its
certificate expires. What was signed before stays signed with the old one.`,
		Example: `  kontor admin signing-profile create release
  kontor admin signing-profile create release --subject 'C=DE, ST=HH, O=Example, CN=release'
  kontor admin signing-profile create release --key release.key --certificates chain.pem`,
		Args: command.Between(1, 1),
		PreRunE: func(_ *cobra.Command, _ []string) error {
			if (key == "") != (certificates == "") {
				return command.Usagef("--key and --certificates go together")
			}
			if key != "" && (in.Subject != "" || in.Days != 0) {
				return command.Usagef("--subject and --days are for a certificate that the registry makes, and --certificates is given")
			}
			return nil
		},
	}, func(ctx context.Context, c *command.AdminClient, args []string) (command.Shown, error) {
		in.Name = args[0]
		for file, to := range map[*string]*string{&key: &in.Key, &certificates: &in.Certificates} {
			if *file == "" {
				continue
			}
			text, err := readPEM(*file)
			if err != nil {
				return command.Shown{}, err
			}
			*to = text
		}
		var out admin.CreateSigningProfileResponse
		err := c.Call(ctx, "CreateSigningProfile", in, &out)
		return said(out, "%s", out.Profile.ARN), err
	})
	f := cmd.Flags()
	f.StringVar(&key, "key", "", "sign with the private key in `FILE`, in PEM (default: a key that the registry makes)")
	f.StringVar(&certificates, "certificates", "", "certificates of the key in `FILE`, in PEM, up to the root (default: one that the registry makes)")
	f.StringVar(&in.Subject, "subject", "", "subject `ATTRIBUTES` of the certificate that is made (default C=XX, ST=REGION, O=ACCOUNT, CN=NAME)")
	f.IntVar(&in.Days, "days", 0, "the certificate that is made is valid for `N` days (default 3650)")
	f.BoolVar(&in.Replace, "replace", false, "replace the key of the profile that has the name (default false)")
	return cmd
}

// readPEM reads a file that is no larger than what a profile may have.
func readPEM(file string) (_ string, err error) {
	f, err := os.Open(filepath.Clean(file))
	if err != nil {
		return "", err
	}
	defer command.Closing(&err, f.Close)
	text, err := io.ReadAll(io.LimitReader(f, trust.MaxRootBytes+1))
	if err == nil && len(text) > trust.MaxRootBytes {
		err = fmt.Errorf("%s: more than %d bytes", file, trust.MaxRootBytes)
	}
	return string(text), err
}

func profileListCommand(e *command.Env) *cobra.Command {
	return command.AdminCall(e, &cobra.Command{
		Use: "list [flags]", Short: "List the signing profiles",
		Long:    "List the signing profiles of the registry, whose certificate each has, and until when it is valid.",
		Example: "  kontor admin signing-profile list --json", Args: command.NoArgs,
	}, func(ctx context.Context, c *command.AdminClient, _ []string) (command.Shown, error) {
		var out admin.ListSigningProfilesResponse
		err := c.Call(ctx, "ListSigningProfiles", admin.ListSigningProfilesRequest{}, &out)
		return command.Show(out, render.SigningProfiles), err
	})
}

func profileShowCommand(e *command.Env) *cobra.Command {
	certificates := false
	cmd := command.AdminCall(e, &cobra.Command{
		Use: "show NAME [flags]", Short: "Show a signing profile and its certificates",
		Long: `Show a signing profile. With --certificates, print its certificates in PEM, for the
trust store of notation and for kontor signers put.`,
		Example: `  kontor admin signing-profile show release
  kontor admin signing-profile show release --certificates >release.crt`,
		Args: command.Between(1, 1),
	}, func(ctx context.Context, c *command.AdminClient, args []string) (command.Shown, error) {
		var out admin.ListSigningProfilesResponse
		if err := c.Call(ctx, "ListSigningProfiles", admin.ListSigningProfilesRequest{Name: args[0]}, &out); err != nil {
			return command.Shown{}, err
		}
		if certificates {
			return said(out.Profiles[0], "%s", strings.TrimSpace(out.Profiles[0].Certificates)), nil
		}
		return command.Shown{JSON: out.Profiles[0], Text: func(w io.Writer, o render.Options) error { return render.SigningProfiles(w, out, o) }}, nil
	})
	cmd.Flags().BoolVar(&certificates, "certificates", false, "print the certificates only (default false)")
	return cmd
}

func profileDeleteCommand(e *command.Env) *cobra.Command {
	return command.AdminCall(e, &cobra.Command{
		Use: "delete NAME [flags]", Short: "Delete a signing profile and its key",
		Long: `Delete a signing profile and its key, which cannot be restored. A profile that the
signing configuration names is not deleted. Signatures that were made with it stay.`,
		Example: "  kontor admin signing-profile delete release", Args: command.Between(1, 1),
	}, func(ctx context.Context, c *command.AdminClient, args []string) (command.Shown, error) {
		var out admin.DeleteSigningProfileResponse
		err := c.Call(ctx, "DeleteSigningProfile", admin.DeleteSigningProfileRequest{Name: args[0]}, &out)
		return said(out, "%s is deleted", args[0]), err
	})
}

func profileRulesCommand(e *command.Env) *cobra.Command {
	none := false
	cmd := command.AdminCall(e, &cobra.Command{
		Use: "rules [NAME[=PATTERN,...]]... [flags]", Short: "Show or set which profiles sign the images of which repositories",
		Long: `Show the signing configuration of the registry, or replace it. Each argument is a rule:
the name of a profile, and patterns of the repositories whose images it signs when they are
pushed. A * in a pattern stands for any characters. Without a pattern, the profile signs
the images of all repositories. With --none, nothing is signed.

Amazon ECR, Terraform and the AWS CLI call the same setting PutSigningConfiguration.`,
		Example: `  kontor admin signing-profile rules
  kontor admin signing-profile rules 'release=prod/*,base/*' all
  kontor admin signing-profile rules --none`,
		Args: cobra.ArbitraryArgs,
		PreRunE: func(_ *cobra.Command, args []string) error {
			if none && len(args) > 0 {
				return command.Usagef("--none removes all rules, and there are arguments: give one of them")
			}
			return nil
		},
	}, func(ctx context.Context, c *command.AdminClient, args []string) (command.Shown, error) {
		out, err := signingRules(ctx, c, args, none)
		if err != nil {
			return command.Shown{}, inOwnWords(err)
		}
		return command.Show(out, render.SigningRules), nil
	})
	cmd.Flags().BoolVar(&none, "none", false, "remove all rules (default false)")
	return cmd
}

// signingRules sets the rules of the arguments, if there are any, and returns those that
// hold.
func signingRules(ctx context.Context, c *command.AdminClient, args []string, none bool) ([]render.SigningRule, error) {
	api, noneYet := c.ECR(), new(types.SigningConfigurationNotFoundException)
	switch {
	case none:
		_, err := api.DeleteSigningConfiguration(ctx, &awsecr.DeleteSigningConfigurationInput{})
		if err != nil && !errors.As(err, &noneYet) {
			return nil, err
		}
	case len(args) > 0:
		var profiles admin.ListSigningProfilesResponse
		if err := c.Call(ctx, "ListSigningProfiles", admin.ListSigningProfilesRequest{}, &profiles); err != nil {
			return nil, err
		}
		to := types.SigningConfiguration{Rules: []types.SigningRule{}}
		for _, arg := range args {
			name, patterns, limited := strings.Cut(arg, "=")
			i := slices.IndexFunc(profiles.Profiles, func(p admin.SigningProfile) bool { return p.Name == name || p.ARN == name })
			if i < 0 {
				return nil, fmt.Errorf("there is no signing profile %q: create it with kontor admin signing-profile create", name)
			}
			rule := types.SigningRule{SigningProfileArn: &profiles.Profiles[i].ARN}
			if limited {
				for _, p := range strings.Split(patterns, ",") {
					rule.RepositoryFilters = append(rule.RepositoryFilters, types.SigningRepositoryFilter{Filter: &p, FilterType: types.SigningRepositoryFilterTypeWildcardMatch})
				}
			}
			to.Rules = append(to.Rules, rule)
		}
		if _, err := api.PutSigningConfiguration(ctx, &awsecr.PutSigningConfigurationInput{SigningConfiguration: &to}); err != nil {
			return nil, err
		}
	}
	out, err := api.GetSigningConfiguration(ctx, &awsecr.GetSigningConfigurationInput{})
	if errors.As(err, &noneYet) {
		return []render.SigningRule{}, nil
	}
	if err != nil {
		return nil, err
	}
	list := []render.SigningRule{}
	for _, r := range out.SigningConfiguration.Rules {
		rule := render.SigningRule{Profile: aws.ToString(r.SigningProfileArn)}
		for _, f := range r.RepositoryFilters {
			rule.Patterns = append(rule.Patterns, aws.ToString(f.Filter))
		}
		list = append(list, rule)
	}
	return list, nil
}
