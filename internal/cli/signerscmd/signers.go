// Package signerscmd is kontor signers: whose signatures of images a registry trusts,
// and who signed an image.
package signerscmd

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/signing/trust"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// Signers is kontor signers.
func Signers(e *command.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "signers",
		Short: "Manage whose signatures of images are trusted",
		Long: `Manage whose signatures of images a registry trusts. Policies name signers with the
condition key kontor:SignedBy, so that only signed images can be pulled. The guide
docs/guides/signatures.md shows how.`,
		Example: `  kontor signers put release --key cosign.pub
  kontor signers verify website:1.4.2`,
		Args: cobra.ArbitraryArgs,
		RunE: command.RunGroup,
	}
	cmd.AddCommand(listCommand(e), putCommand(e), deleteCommand(e), verifyCommand(e))
	return cmd
}

func listCommand(e *command.Env) *cobra.Command {
	return command.AdminCall(e, &cobra.Command{
		Use: "list [flags]", Short: "List the signers",
		Long:    "List the signers of the registry, what each is known by, and where it is trusted.",
		Example: "  kontor signers list", Args: command.NoArgs,
	}, func(ctx context.Context, c *command.AdminClient, _ []string) (command.Shown, error) {
		var out admin.ListSignersResponse
		err := c.Call(ctx, "ListSigners", admin.ListSignersRequest{}, &out)
		return command.Shown{JSON: out, Text: func(w io.Writer, o render.Options) error { return render.Signers(w, out.Signers, o) }}, err
	})
}

func putCommand(e *command.Env) *cobra.Command {
	var in admin.Signer
	var key, certificates, root string
	var keyless admin.Keyless
	cmd := command.AdminCall(e, &cobra.Command{
		Use: "put NAME [flags]", Short: "Trust a signer",
		Long: `Trust a signer, in place of the one that has the name. NAME has letters, digits and
underscores. A signer is known by one of three things:

  --key           a public key, such as the cosign.pub of cosign generate-key-pair
  --identity      an identity in the certificates of a Sigstore instance, with --issuer
                  and --trusted-root; nothing is looked up over the network
  --certificates  root certificates, for signatures of notation

A * in --identity and --repository stands for any characters.`,
		Example: `  kontor signers put release --key cosign.pub
  kontor signers put release --key cosign.pub --repository 'prod/*'
  kontor signers put ci --identity 'https://github.com/example/app/*' --issuer https://token.actions.githubusercontent.com --trusted-root trusted_root.json
  kontor signers put ops --certificates ca.crt --subject 'C=DE, O=Example, CN=release'`,
		Args:              command.Between(1, 1),
		ValidArgsFunction: command.CompleteSigners(e, &command.FileOptions{}),
	}, func(ctx context.Context, c *command.AdminClient, args []string) (command.Shown, error) {
		in.Name = args[0]
		for file, to := range map[*string]*string{&key: &in.Key, &certificates: &in.Certificates, &root: &keyless.TrustedRoot} {
			if *file == "" {
				continue
			}
			text, err := read(*file)
			if err != nil {
				return command.Shown{}, err
			}
			*to = text
		}
		if keyless != (admin.Keyless{}) {
			in.Keyless = &keyless
		}
		var out admin.PutSignerResponse
		err := c.Call(ctx, "PutSigner", admin.PutSignerRequest{Signer: in}, &out)
		return said(out, "%s is trusted in %s", in.Name, render.Where(in.Repositories)), err
	})
	cmd.PreRunE = func(_ *cobra.Command, args []string) error {
		if err := trust.CheckName(args[0]); err != nil {
			return command.Usagef("%q: %v", args[0], err)
		}
		given := 0
		for _, there := range []bool{key != "", certificates != "", keyless.Identity != "" || keyless.Issuer != "" || root != ""} {
			if there {
				given++
			}
		}
		if given != 1 {
			return command.Usagef("give one of --key, --certificates and --identity")
		}
		if keyless.Identity != "" && (keyless.Issuer == "" || root == "") || keyless.Identity == "" && (keyless.Issuer != "" || root != "") {
			return command.Usagef("--identity, --issuer and --trusted-root go together")
		}
		return nil
	}
	f := cmd.Flags()
	f.StringVar(&key, "key", "", "know the signer by the public key in `FILE`, in PEM (default none)")
	f.StringVar(&keyless.Identity, "identity", "", "know the signer by the `SUBJECT` of its certificates, an address or a URL (default none)")
	f.StringVar(&keyless.Issuer, "issuer", "", "the identity is one of the OpenID Connect issuer `URL` (default none)")
	f.StringVar(&root, "trusted-root", "", "the certificates are of the Sigstore instance whose trusted root is in `FILE` (default none)")
	f.StringVar(&certificates, "certificates", "", "know the signer by the root certificates in `FILE`, in PEM (default none)")
	f.StringVar(&in.Subject, "subject", "", "accept only certificates whose subject has these `ATTRIBUTES` (default any)")
	f.StringArrayVar(&in.Repositories, "repository", nil, "trust the signer in repositories that match `PATTERN`; may be given several times (default all)")
	return cmd
}

// read reads a file that is no larger than what a signer may have.
func read(file string) (_ string, err error) {
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

// said is shown for a command that has one line to say.
func said(v any, format string, args ...any) command.Shown {
	return command.Shown{JSON: v, Text: func(w io.Writer, _ render.Options) error {
		_, err := fmt.Fprintf(w, format+"\n", args...)
		return err
	}}
}

func deleteCommand(e *command.Env) *cobra.Command {
	return command.AdminCall(e, &cobra.Command{
		Use: "delete NAME [flags]", Short: "Stop trusting a signer",
		Long: `Stop trusting a signer. Images that it signed count as not signed by it from then on,
so policies that ask for it deny their pulls.`,
		Example: "  kontor signers delete release", Args: command.Between(1, 1),
		ValidArgsFunction: command.CompleteSigners(e, &command.FileOptions{}),
	}, func(ctx context.Context, c *command.AdminClient, args []string) (command.Shown, error) {
		var out admin.DeleteSignerResponse
		err := c.Call(ctx, "DeleteSigner", admin.DeleteSignerRequest{Name: args[0]}, &out)
		return said(out, "%s is no longer trusted", args[0]), err
	})
}

func verifyCommand(e *command.Env) *cobra.Command {
	var by string
	cmd := command.AdminCall(e, &cobra.Command{
		Use: "verify IMAGE [flags]", Short: "Show who signed an image, and which signatures are refused",
		Long: `Show whose signatures an image has, as the registry verified them with the signers that
are trusted in the repository, and why others are refused. A signature of an index is
one of each image that the index lists. IMAGE is REPOSITORY:TAG or REPOSITORY@DIGEST,
with or without the host of the registry.

The exit code is 1 if no trusted signer signed the image, or not the one of --by.`,
		Example: `  kontor signers verify website:1.4.2
  kontor signers verify website:1.4.2 --by release`,
		Args:              command.Between(1, 1),
		ValidArgsFunction: command.CompleteRepository(e, &command.FileOptions{}),
	}, func(ctx context.Context, c *command.AdminClient, args []string) (command.Shown, error) {
		image := strings.TrimPrefix(args[0], c.Host+"/")
		var in admin.ListImageSignaturesRequest
		if name, digest, ok := strings.Cut(image, "@"); ok {
			in.RepositoryName, in.ImageDigest = name, digest
		} else if name, tag, ok := strings.Cut(image, ":"); ok {
			in.RepositoryName, in.ImageTag = name, tag
		} else {
			return command.Shown{}, command.Usagef("%q names no image: write REPOSITORY:TAG or REPOSITORY@DIGEST", args[0])
		}
		var out admin.ListImageSignaturesResponse
		if err := c.Call(ctx, "ListImageSignatures", in, &out); err != nil {
			return command.Shown{}, err
		}
		shown := command.Shown{JSON: out, Text: func(w io.Writer, o render.Options) error { return render.Signatures(w, args[0], out, o) }}
		good := len(out.SignedBy) > 0
		if by != "" {
			good = false
			for _, name := range out.SignedBy {
				good = good || name == by
			}
		}
		if !good {
			shown.Code = command.ExitFailed
		}
		return shown, nil
	})
	cmd.Flags().StringVar(&by, "by", "", "succeed only if the signer `NAME` signed the image (default any signer)")
	command.Must(cmd.RegisterFlagCompletionFunc("by", command.CompleteSigners(e, &command.FileOptions{})))
	return cmd
}
