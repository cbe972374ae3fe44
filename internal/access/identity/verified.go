package identity

import (
	"crypto/sha256"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/memo"
)

// verifiedTable keeps whom docker tokens were found to belong to, by the hash of the
// token, for the stamp of the identities that it was found in: when any user, role,
// policy or key changes, in any process, all is found out again. What depends on time
// is not remembered, but looked at each time.
type verifiedTable = memo.Table[[sha256.Size]byte, string, verified]

// verifiedBytes bounds the memory of what is remembered.
const verifiedBytes = 8 << 20

// verified is what is known of a token whose content is ours.
type verified struct {
	expires time.Time
	region  ecr.Region
	// p is shared by all requests with the token, so nobody changes what it refers to.
	p access.Principal
}

// size is what v needs in memory, about.
func (v verified) size() int {
	n := 512 + len(v.p.ARN)
	documents := v.p.Documents
	if v.p.Boundary != nil {
		documents = append(documents[:len(documents):len(documents)], *v.p.Boundary)
	}
	if v.p.Session != nil {
		n += 256 + len(v.p.Session.Token)
		documents = append(documents[:len(documents):len(documents)], v.p.Session.Policies...)
	}
	for _, d := range documents {
		n += 64 + len(d.Name) + len(d.Text)
	}
	for name, value := range v.p.Tags {
		n += 64 + len(name) + len(value)
	}
	return n + 64*len(v.p.Policies)
}

// usable is an error when the token is not, or not any longer, good for region.
func (v verified) usable(now time.Time, region ecr.Region) error {
	if !now.Before(v.expires) {
		return ecr.Errorf(ecr.CodeExpiredToken, "Your authorization token has expired. Reauthenticate and try again.")
	}
	if v.region != region {
		return ecr.Errorf(ecr.CodeAccessDenied,
			"The authorization token was issued for the region '%s'; this endpoint serves '%s'. Reauthenticate and try again.", v.region, region)
	}
	return nil
}
