package logincmd

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/deploy/tokens"
	"github.com/kontor-registry/kontor/internal/render"
)

// providerConfig is a CredentialProviderConfig.
type providerConfig struct {
	APIVersion string     `json:"apiVersion"`
	Kind       string     `json:"kind"`
	Providers  []provider `json:"providers"`
}

type provider struct {
	Name                 string             `json:"name"`
	APIVersion           string             `json:"apiVersion"`
	MatchImages          []string           `json:"matchImages"`
	DefaultCacheDuration string             `json:"defaultCacheDuration"`
	Args                 []string           `json:"args"`
	Env                  []providerVariable `json:"env,omitempty"`
}

type providerVariable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func credentialProviderConfigCommand(e *command.Env) *cobra.Command {
	var (
		match  []string
		binary string
	)
	cmd := &cobra.Command{
		Use:   "config [flags]",
		Short: "Print the CredentialProviderConfig to install on nodes",
		Long: `Print a CredentialProviderConfig for the kubelet's
--image-credential-provider-config. With it, the kubelet asks kontor for the hosts
of Amazon ECR, those in the credentials file, and those given with --match. The
output is JSON, which is also valid YAML.

The kubelet looks for the program in --image-credential-provider-bin-dir. If
$KONTOR_CREDENTIALS is set, the configuration passes it on to the program.`,
		Example: `  kontor credential-provider config > /etc/kubernetes/credential-provider.yaml
  KONTOR_CREDENTIALS=/etc/kontor/credentials.json kontor credential-provider config --match registry.example:5000`,
		Args: command.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			hosts, err := NewHosts(e, "", false)
			if err != nil {
				return err
			}
			images := tokens.Patterns()
			for _, entry := range hosts.Config.Entries {
				images = append(images, entry.Match...)
			}
			p := provider{
				Name: binary, APIVersion: providerGroup + "v1", DefaultCacheDuration: "1h0m0s", Args: []string{"credential-provider"},
			}
			for _, m := range append(images, match...) {
				if !slices.Contains(p.MatchImages, m) {
					p.MatchImages = append(p.MatchImages, m)
				}
			}
			if name, given := credentialsFile(e); given {
				p.Env = []providerVariable{{envCredentials, name}}
			}
			return render.JSON(e.Stdout, providerConfig{
				APIVersion: "kubelet.config.k8s.io/v1", Kind: "CredentialProviderConfig", Providers: []provider{p},
			})
		},
	}
	cmd.Flags().StringArrayVar(&match, "match", nil, "also ask kontor for `HOST`, where '*' matches one part between dots; may be given several times (default none)")
	cmd.Flags().StringVar(&binary, "name", "kontor", "the program's `NAME` in the kubelet's provider folder")
	return cmd
}
