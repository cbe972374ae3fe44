package deploy

import (
	"fmt"
	"strings"

	kecr "github.com/kontor-registry/kontor/internal/ecr"
)

// Endpoints are the variants of AWS's endpoints that the SDK is told to use.
type Endpoints struct {
	FIPS      bool // AWS_USE_FIPS_ENDPOINT
	DualStack bool // AWS_USE_DUALSTACK_ENDPOINT: IPv4 and IPv6
}

// EndpointsOf reads the environment as the SDK does.
func EndpointsOf(getenv func(string) string) Endpoints {
	on := func(name string) bool { return strings.EqualFold(getenv(name), "true") }
	return Endpoints{FIPS: on("AWS_USE_FIPS_ENDPOINT"), DualStack: on("AWS_USE_DUALSTACK_ENDPOINT")}
}

// Host is the registry's docker host, for example
// "111111111111.dkr-ecr-fips.us-east-1.on.aws". Source: ECR user guide,
// "Amazon ECR endpoints".
func (e Endpoints) Host(id kecr.RegistryID) string {
	fips := ""
	if e.FIPS {
		fips = "-fips"
	}
	if !e.DualStack {
		return fmt.Sprintf("%s.dkr.ecr%s.%s.%s", id.Account, fips, id.Region, id.Region.DNSSuffix())
	}
	suffix := "on.aws"
	if id.Region.Partition() == "aws-cn" {
		suffix = "on.amazonwebservices.com.cn"
	}
	return fmt.Sprintf("%s.dkr-ecr%s.%s.%s", id.Account, fips, id.Region, suffix)
}
