// Package trust says whose signatures of images are trusted, and verifies them.
//
// A Signer is a name for one key, one identity of a certificate authority, or one set
// of root certificates. Verify tells whether a signature of an image is of that signer.
// It is pure: it reads no network and no clock, and what it is given is all that counts.
// A signature that is not accepted has a reason that a person can act on.
//
// The forms of signatures are those of cosign (a tag or a referrer with simple signing
// payloads, and Sigstore bundles) and of the Notary Project (JWS and COSE envelopes).
// Signatures of cosign are verified by sigstore-go, envelopes by notation-core-go.
//
// Left out: the revocation of certificates and the time stamps of notation, which need
// other servers, and plugins.
package trust

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/lazyregexp"
)

// Limits of a signer.
const (
	MaxNameLength   = 64
	MaxKeyBytes     = 16 << 10
	MaxPatterns     = 100
	MaxCertificates = 20
	// MaxRootBytes bounds a trusted root, and the certificates of a signer. The public
	// instance of Sigstore has one of some 7 KB.
	MaxRootBytes = 256 << 10
)

// Signer is someone whose signatures are trusted, in the repositories whose names match
// one of Repositories, all without one. It has exactly one of Key, Keyless and
// Certificates.
type Signer struct {
	// Name is what policies call it (kontor:SignedBy), such as "release".
	Name string `json:"name"`
	// Repositories are patterns of repository names; * stands for any characters.
	Repositories []string `json:"repositories,omitempty"`
	// Key is a public key in PEM, such as cosign.pub.
	Key string `json:"key,omitempty"`
	// Keyless are identities that a certificate authority of Sigstore vouches for.
	Keyless *Keyless `json:"keyless,omitempty"`
	// Certificates are root certificates in PEM, for notation. Subject limits them to
	// certificates whose subject has these attributes, such as
	// "C=DE, O=Example, CN=release".
	Certificates string `json:"certificates,omitempty"`
	Subject      string `json:"subject,omitempty"`
}

// Keyless is an identity in certificates of a Sigstore instance.
type Keyless struct {
	// Issuer is who knows the identity, such as
	// "https://token.actions.githubusercontent.com".
	Issuer string `json:"issuer"`
	// Identity is the subject of the certificate, an address or a URL. A * in it stands
	// for any characters.
	Identity string `json:"identity"`
	// TrustedRoot is the trusted_root.json of the instance.
	TrustedRoot string `json:"trustedRoot"`
}

// Kind is what a signer is known by.
type Kind string

// The kinds of signers.
const (
	ByKey         Kind = "key"
	ByIdentity    Kind = "keyless"
	ByCertificate Kind = "certificates"
)

// Kind returns what s is known by.
func (s Signer) Kind() Kind {
	switch {
	case s.Key != "":
		return ByKey
	case s.Keyless != nil:
		return ByIdentity
	}
	return ByCertificate
}

// namePattern is that of the names of AWS Signer's profiles, as which
// DescribeImageSigningStatus has them.
var namePattern = lazyregexp.New(`^[a-zA-Z0-9_]{2,64}$`)

// ErrName says what a name must be.
var ErrName = errors.New("a signer's name has 2 to 64 letters, digits and underscores")

// CheckName checks the name of a signer.
func CheckName(name string) error {
	if !namePattern.MatchString(name) {
		return ErrName
	}
	return nil
}

// For reports whether s is trusted in a repository.
func (s Signer) For(name ecr.RepositoryName) bool {
	return len(s.Repositories) == 0 || slices.ContainsFunc(s.Repositories, func(p string) bool { return ecr.MatchWildcard(p, string(name)) })
}

// ARN is what stands for s in DescribeImageSigningStatus.
func ARN(in ecr.RegistryID, name string) string {
	return fmt.Sprintf("arn:%s:signer:%s:%s:/signing-profiles/%s", in.Region.Partition(), in.Region, in.Account, name)
}

// Form is how a signature is stored.
type Form string

// The forms of signatures.
const (
	CosignTag      Form = "cosign tag"
	CosignReferrer Form = "cosign referrer"
	Bundle         Form = "sigstore bundle"
	Notation       Form = "notation"
)

// Media types of signatures, and of their layers.
const (
	TypeSimpleSigning  = "application/vnd.dev.cosign.simplesigning.v1+json"
	TypeCosignArtifact = "application/vnd.dev.cosign.artifact.sig.v1+json"
	TypeBundlePrefix   = "application/vnd.dev.sigstore.bundle"
	TypeNotation       = "application/vnd.cncf.notary.signature"
	TypeJWS            = "application/jose+json"
	TypeCOSE           = "application/cose"
)

// FormOf is the form of the signatures in artifacts of a type, "" for none.
func FormOf(artifactType string) Form {
	switch {
	case artifactType == TypeCosignArtifact:
		return CosignReferrer
	case artifactType == TypeNotation:
		return Notation
	case strings.HasPrefix(artifactType, TypeBundlePrefix):
		return Bundle
	}
	return ""
}

// Fits reports whether layers of a type are signatures of the form.
func (f Form) Fits(mediaType string) bool {
	switch f {
	case CosignTag, CosignReferrer:
		return mediaType == TypeSimpleSigning
	case Bundle:
		return strings.HasPrefix(mediaType, TypeBundlePrefix)
	case Notation:
		return mediaType == TypeJWS || mediaType == TypeCOSE
	}
	return false
}

// Image is what is signed.
type Image struct {
	Digest    ecr.Digest
	MediaType string
	SizeBytes int64
}

// Signature is one signature of an image as it was found: the layer of a manifest.
type Signature struct {
	Form        Form
	MediaType   string // of the layer
	Content     []byte // of the layer
	Annotations map[string]string
}

// Verdict is whether a signature is one of a signer.
type Verdict struct {
	// Refused is why it is not one; "" if it is.
	Refused string
	// As is what the signature says of who signed, such as the subject of a certificate,
	// as far as it could be read.
	As string
	// Until is when the verdict ends, such as with a certificate; zero for never.
	Until time.Time
}

// Verifier verifies signatures of one signer. It is safe for concurrent use.
type Verifier struct {
	Signer
	// Version names the trust: another for every change of what is trusted.
	Version string
	verify  func(Image, Signature, time.Time) Verdict
}

// Verify says whether g is a signature of image by v's signer at now.
func (v *Verifier) Verify(image Image, g Signature, now time.Time) Verdict {
	if !v.Takes(g.Form) {
		return refuse("the signer %s is known by %s, and this is a signature in the form %s", v.Name, v.Kind(), g.Form)
	}
	return v.verify(image, g, now)
}

// Takes reports whether the signer can have made signatures of the form.
func (v *Verifier) Takes(f Form) bool { return (v.Kind() == ByCertificate) == (f == Notation) }

func refuse(format string, args ...any) Verdict {
	return Verdict{Refused: fmt.Sprintf(format, args...)}
}

// Compile checks s and prepares to verify its signatures.
func Compile(s Signer) (*Verifier, error) {
	if err := CheckName(s.Name); err != nil {
		return nil, err
	}
	if len(s.Repositories) > MaxPatterns {
		return nil, fmt.Errorf("a signer has at most %d patterns of repositories", MaxPatterns)
	}
	for _, p := range s.Repositories {
		if !patternPattern.MatchString(p) {
			return nil, fmt.Errorf("%q is not a pattern of repository names: write a name, such as team/app, in which * stands for any characters", p)
		}
	}
	given := 0
	for _, there := range []bool{s.Key != "", s.Keyless != nil, s.Certificates != ""} {
		if there {
			given++
		}
	}
	if given != 1 {
		return nil, errors.New("a signer has either a key, a keyless identity or certificates")
	}
	if s.Subject != "" && s.Certificates == "" {
		return nil, errors.New("a subject goes with certificates only")
	}
	v := &Verifier{Signer: s, Version: version(s)}
	var err error
	switch s.Kind() {
	case ByKey:
		v.verify, err = byKey(s.Key)
	case ByIdentity:
		v.verify, err = byIdentity(*s.Keyless)
	case ByCertificate:
		v.verify, err = byCertificates(s.Certificates, s.Subject)
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// patternPattern: what can match a repository name.
var patternPattern = lazyregexp.New(`^[a-z0-9*][a-z0-9*._/-]{0,255}$`)

// version is a digest of what is trusted: not of the name, nor of where.
func version(s Signer) string {
	s.Name, s.Repositories = "", nil
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings only
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// wildcard is a pattern in which * stands for any characters, as an expression.
func wildcard(pattern string) string {
	parts := strings.Split(pattern, "*")
	for i, p := range parts {
		parts[i] = regexp.QuoteMeta(p)
	}
	return "^" + strings.Join(parts, ".*") + "$"
}
