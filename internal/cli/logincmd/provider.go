package logincmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/deploy/tokens"
)

// The kubelet's protocol: Kubernetes API reference, "Kubelet Credential
// Provider (v1)" and "Kubelet Configuration (v1)", CredentialProviderConfig.
const (
	providerGroup   = "credentialprovider.kubelet.k8s.io/"
	maxProviderData = 1 << 20
)

// providerVersions are those whose request and response are as here.
var providerVersions = []string{"v1", "v1beta1", "v1alpha1"}

// providerRequest is what the kubelet asks. Members we do not know are newer
// than this and left alone.
type providerRequest struct {
	Kind       string `json:"kind"`
	APIVersion string `json:"apiVersion"`
	Image      string `json:"image"`
}

// providerResponse is the answer.
type providerResponse struct {
	Kind          string                  `json:"kind"`
	APIVersion    string                  `json:"apiVersion"`
	CacheKeyType  string                  `json:"cacheKeyType"`
	CacheDuration string                  `json:"cacheDuration"` // as Go writes durations: "5h59m59s"
	Auth          map[string]providerAuth `json:"auth"`
}

// providerAuth is the login for the registries that its key matches.
type providerAuth struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// CredentialProvider is kontor credential-provider.
func CredentialProvider(e *command.Env) *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "credential-provider [flags]",
		Short: "Provide registry passwords to a kubelet (image credential provider)",
		Long: `Read a CredentialProviderRequest of the kubelet from stdin and write the response
to stdout: a password for the image's registry, which the kubelet caches for half
of its lifetime.

Hosts of Amazon ECR need no configuration: the account and region are in the host
name, and the credentials are those of the node's role. To use other hosts,
profiles or roles, list them in the file that $KONTOR_CREDENTIALS names (default
$XDG_CONFIG_HOME/kontor/credentials.json). The registry of --data is recognized by
its host. kontor credential-provider config prints the configuration to install.`,
		Example: `  kontor credential-provider config > /etc/kubernetes/credential-provider.yaml
  echo '{"kind":"CredentialProviderRequest","apiVersion":"credentialprovider.kubelet.k8s.io/v1","image":"localhost:5050/web"}' |
    kontor credential-provider`,
		Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			request, err := readProviderRequest(e.Stdin)
			if err != nil {
				return err
			}
			hosts, err := NewHosts(e, data, false)
			if err != nil {
				return err
			}
			host := tokens.ImageHost(request.Image)
			token, err := hosts.Get(cmd.Context(), host)
			if errors.Is(err, tokens.ErrUnknownHost) {
				return fmt.Errorf("unknown registry %s: add it to the file that %s names, or remove it from the provider's matchImages", host, envCredentials)
			}
			if err != nil {
				return err
			}
			return json.NewEncoder(e.Stdout).Encode(providerResponse{
				Kind: "CredentialProviderResponse", APIVersion: request.APIVersion,
				CacheKeyType: "Registry", CacheDuration: token.Life(e.Now()).Truncate(time.Second).String(),
				Auth: map[string]providerAuth{host: {token.User, token.Password}},
			})
		},
	}
	command.DataFlag(e, cmd, &data)
	cmd.AddCommand(credentialProviderConfigCommand(e))
	return cmd
}

// readProviderRequest reads and checks a request. The errors hold nothing of
// it but kind and version: it may come with a service account's token.
func readProviderRequest(r io.Reader) (q providerRequest, err error) {
	b, err := io.ReadAll(io.LimitReader(r, maxProviderData+1))
	switch {
	case err != nil:
		return q, fmt.Errorf("reading the request: %w", err)
	case len(b) > maxProviderData:
		return q, fmt.Errorf("the request is larger than %d bytes", maxProviderData)
	case json.Unmarshal(b, &q) != nil:
		return q, errors.New("the request on stdin is not a CredentialProviderRequest in JSON: this command is for the kubelet")
	case q.Kind != "CredentialProviderRequest":
		return q, fmt.Errorf("the request's kind is %q, want CredentialProviderRequest", q.Kind)
	case q.Image == "":
		return q, errors.New("the request does not name an image")
	}
	if v, ok := strings.CutPrefix(q.APIVersion, providerGroup); !ok || !slices.Contains(providerVersions, v) {
		return q, fmt.Errorf("the request's version is %q, want %sv1: give apiVersion %sv1 in the CredentialProviderConfig", q.APIVersion, providerGroup, providerGroup)
	}
	return q, nil
}
