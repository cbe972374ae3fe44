package ecr

import (
	"regexp"
	"strings"
	"sync"
)

// Host is what the name of an Amazon ECR registry says.
type Host struct {
	Account         AccountID
	Region          Region
	FIPS, DualStack bool
}

// Registry is the registry that the host serves.
func (h Host) Registry() RegistryID { return RegistryID{Account: h.Account, Region: h.Region} }

// Forms of host names: ECR user guide, "Making requests to Amazon ECR" and
// "Amazon ECR endpoints"; partitions that are not public as in the
// regular expressions of AWS's own helpers.
var hostForms = sync.OnceValues(func() (singleStack, dualStack *regexp.Regexp) {
	return regexp.MustCompile(`^([0-9]{12})\.dkr\.ecr(-fips)?\.([a-z0-9][a-z0-9-]{1,24})\.(amazonaws\.com|amazonaws\.com\.cn|amazonaws\.eu|c2s\.ic\.gov|sc2s\.sgov\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)$`),
		regexp.MustCompile(`^([0-9]{12})\.dkr-ecr(-fips)?\.([a-z0-9][a-z0-9-]{1,24})\.(on\.aws|on\.amazonwebservices\.com\.cn)$`)
})

// ParseHost reads the name of a registry of Amazon ECR. ok is false for every
// other host, public.ecr.aws among them: it needs no password.
func ParseHost(host string) (h Host, ok bool) {
	host = strings.TrimSuffix(strings.ToLower(host), ":443")
	singleStack, dualStack := hostForms()
	m := singleStack.FindStringSubmatch(host)
	if m == nil {
		if m = dualStack.FindStringSubmatch(host); m == nil {
			return Host{}, false
		}
		h.DualStack = true
	}
	h.Account, h.Region, h.FIPS = AccountID(m[1]), Region(m[3]), m[2] != ""
	return h, true
}
