package deploy

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"

	kecr "github.com/kontor-registry/kontor/internal/ecr"
)

// Endpoints are the variants of AWS's endpoints that the SDK is told to use.
type Endpoints struct {
	FIPS      bool // AWS_USE_FIPS_ENDPOINT, use_fips_endpoint
	DualStack bool // AWS_USE_DUALSTACK_ENDPOINT, use_dualstack_endpoint: IPv4 and IPv6
}

// EndpointsOf reads the environment, and where that says nothing the profile of
// the AWS configuration, as the SDK does: profile, or if it is "" the one of the
// environment, or the default one. A profile that does not exist says nothing.
// No network is reached.
func EndpointsOf(ctx context.Context, getenv func(string) string, profile string) (Endpoints, error) {
	first := func(fallback string, names ...string) string {
		for _, n := range names {
			if v := getenv(n); v != "" {
				return v
			}
		}
		return fallback
	}
	if profile == "" {
		profile = first(config.DefaultSharedConfigProfile, "AWS_PROFILE", "AWS_DEFAULT_PROFILE")
	}
	shared, err := config.LoadSharedConfigProfile(ctx, profile, func(o *config.LoadSharedConfigOptions) {
		o.ConfigFiles = []string{first(config.DefaultSharedConfigFilename(), "AWS_CONFIG_FILE")}
		o.CredentialsFiles = []string{first(config.DefaultSharedCredentialsFilename(), "AWS_SHARED_CREDENTIALS_FILE")}
		o.Logger = logging.Nop{}
	})
	var missing config.SharedConfigProfileNotExistError
	if err != nil && (!errors.As(err, &missing) || missing.Profile != profile) {
		return Endpoints{}, &Error{Err: err, Message: "reading the AWS configuration: " + oneLine(err.Error())}
	}
	on := func(name string, shared bool) bool {
		if v := getenv(name); v != "" {
			return strings.EqualFold(v, "true")
		}
		return shared
	}
	return Endpoints{
		FIPS:      on("AWS_USE_FIPS_ENDPOINT", shared.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled),
		DualStack: on("AWS_USE_DUALSTACK_ENDPOINT", shared.UseDualStackEndpoint == aws.DualStackEndpointStateEnabled),
	}, nil
}

// Host is the registry's docker host.
func (e Endpoints) Host(id kecr.RegistryID) string { return id.HostWith(e.FIPS, e.DualStack) }
