package state

// Signer is someone whose signatures of images a Kontor registry trusts. It has exactly
// one of Key, Identity and Certificates.
type Signer struct {
	Name string
	// Repositories are patterns; none for all.
	Repositories []string
	Key          string // a public key in PEM
	// Identity is the subject of certificates that the Sigstore instance of TrustedRoot
	// makes, and Issuer who knows it.
	Identity, Issuer, TrustedRoot string
	Certificates                  string // in PEM
	Subject                       string
	// Removed: the signer is to go. Desired only.
	Removed bool
	Origin  Origin
}

// Where is what Repositories mean in a word.
func (s Signer) Where() string {
	if len(s.Repositories) == 0 {
		return "all repositories"
	}
	where := ""
	for i, p := range s.Repositories {
		if i > 0 {
			where += ", "
		}
		where += p
	}
	return where
}

// Known is what s is known by, in a word.
func (s Signer) Known() string {
	switch {
	case s.Key != "":
		return "public key"
	case s.Identity != "":
		return "identity " + s.Identity + " of " + s.Issuer
	case s.Subject != "":
		return "certificates with the subject " + s.Subject
	}
	return "certificates"
}
