package trust

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/notaryproject/notation-core-go/signature"
	_ "github.com/notaryproject/notation-core-go/signature/cose" // registers the envelope
	_ "github.com/notaryproject/notation-core-go/signature/jws"  // registers the envelope
	notaryx509 "github.com/notaryproject/notation-core-go/x509"
)

// TypePayload is what envelopes of the Notary Project hold.
const TypePayload = "application/vnd.cncf.notary.payload.v1+json"

// byCertificates verifies envelopes of the Notary Project with root certificates.
func byCertificates(text, subject string) (func(Image, Signature, time.Time) Verdict, error) {
	roots, err := ParseCertificates(text)
	if err != nil {
		return nil, err
	}
	want, err := attributes(subject)
	if err != nil {
		return nil, err
	}
	return func(image Image, g Signature, now time.Time) Verdict {
		return verifyEnvelope(roots, want, image, g, now)
	}, nil
}

// ParseCertificates reads certificates in PEM, at most MaxCertificates.
func ParseCertificates(text string) (roots []*x509.Certificate, err error) {
	if len(text) > MaxRootBytes {
		return nil, fmt.Errorf("the certificates have %d bytes; at most %d are read", len(text), MaxRootBytes)
	}
	rest := []byte(text)
	for len(bytes.TrimSpace(rest)) > 0 {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		switch {
		case block == nil:
			return nil, errors.New("the certificates are not in PEM: each begins with -----BEGIN CERTIFICATE-----")
		case block.Type != "CERTIFICATE":
			return nil, fmt.Errorf("there is a %s among the certificates: give certificates only", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d cannot be read: %w", len(roots)+1, err)
		}
		if len(roots) == MaxCertificates {
			return nil, fmt.Errorf("a signer has at most %d certificates", MaxCertificates)
		}
		roots = append(roots, c)
	}
	if len(roots) == 0 {
		return nil, errors.New("there is no certificate")
	}
	return roots, nil
}

// attribute is one of a subject.
type attribute struct{ name, value string }

// attributes reads a subject such as "C=DE, O=Example, CN=release"; \ stands before a
// comma that is part of a value.
func attributes(subject string) (list []attribute, err error) {
	if strings.TrimSpace(subject) == "" {
		return nil, nil
	}
	var parts []string
	var part strings.Builder
	for i := 0; i < len(subject); i++ {
		switch c := subject[i]; {
		case c == '\\' && i+1 < len(subject):
			i++
			part.WriteByte(subject[i])
		case c == ',':
			parts = append(parts, part.String())
			part.Reset()
		default:
			part.WriteByte(c)
		}
	}
	for _, p := range append(parts, part.String()) {
		name, value, ok := strings.Cut(strings.TrimSpace(p), "=")
		a := attribute{strings.ToUpper(strings.TrimSpace(name)), strings.TrimSpace(value)}
		if a.name == "S" {
			a.name = "ST"
		}
		if !ok || a.value == "" || fields[a.name] == nil {
			return nil, fmt.Errorf("the subject %q cannot be read at %q: write attributes such as C=DE, ST=HH, L=Hamburg, O=Example, OU=Ops, CN=release", subject, strings.TrimSpace(p))
		}
		list = append(list, a)
	}
	return list, nil
}

// ParseSubject reads a subject such as "C=DE, ST=HH, O=Example, CN=release".
func ParseSubject(subject string) (n pkix.Name, err error) {
	list, err := attributes(subject)
	if err != nil {
		return n, err
	}
	many := map[string]*[]string{"C": &n.Country, "ST": &n.Province, "L": &n.Locality, "O": &n.Organization, "OU": &n.OrganizationalUnit}
	for _, a := range list {
		if to := many[a.name]; to != nil {
			*to = append(*to, a.value)
		} else {
			n.CommonName = a.value
		}
	}
	return n, nil
}

// fields are the values of an attribute in the subject of a certificate.
var fields = map[string]func(n pkix.Name) []string{
	"C": func(n pkix.Name) []string { return n.Country }, "ST": func(n pkix.Name) []string { return n.Province },
	"L": func(n pkix.Name) []string { return n.Locality }, "O": func(n pkix.Name) []string { return n.Organization },
	"OU": func(n pkix.Name) []string { return n.OrganizationalUnit }, "CN": func(n pkix.Name) []string { return []string{n.CommonName} },
}

func verifyEnvelope(roots []*x509.Certificate, want []attribute, image Image, g Signature, now time.Time) Verdict {
	envelope, err := signature.ParseEnvelope(g.MediaType, g.Content)
	if err != nil {
		return refuse("the envelope of the type %s cannot be read: %s", orNothing(g.MediaType), clip(err))
	}
	content, err := envelope.Verify()
	if err != nil {
		return refuse("the signature is broken: %s", clip(err))
	}
	info := &content.SignerInfo
	chain := info.CertificateChain
	if len(chain) == 0 {
		return refuse("the envelope has no certificate")
	}
	leaf := chain[0]
	v := Verdict{As: leaf.Subject.String()}
	no := func(format string, args ...any) Verdict {
		v.Refused = fmt.Sprintf(format, args...)
		return v
	}
	if digest, why := ofImage(image, content.Payload); why != "" {
		return no("%s", why)
	} else if digest != string(image.Digest) {
		return no("it is a signature of %s, which is another image", orNothing(digest))
	}
	if s := info.SignedAttributes.SigningScheme; s != signature.SigningSchemeX509 {
		return no("it was made under the signing scheme %s, which is not supported: sign with %s", s, signature.SigningSchemeX509)
	}
	for _, a := range info.SignedAttributes.ExtendedAttributes {
		if a.Critical {
			return no("it has the critical attribute %v, which is not supported", a.Key)
		}
	}
	if !slices.ContainsFunc(roots, func(r *x509.Certificate) bool {
		return slices.ContainsFunc(chain, r.Equal)
	}) {
		return no("none of the certificates of the signer is in the chain of the signature, which ends at %s", chain[len(chain)-1].Subject)
	}
	for _, a := range want {
		if !slices.Contains(fields[a.name](leaf.Subject), a.value) {
			return no("the certificate is of %s, and not of one with %s=%s", leaf.Subject, a.name, a.value)
		}
	}
	for _, c := range chain {
		switch {
		case now.After(c.NotAfter):
			return no("the certificate of %s expired on %s: sign the image again with a new certificate", c.Subject, day(c.NotAfter))
		case now.Before(c.NotBefore):
			v.Until = c.NotBefore
			return no("the certificate of %s is valid from %s on", c.Subject, day(c.NotBefore))
		}
		v.Until = earliest(v.Until, c.NotAfter)
	}
	if err := notaryx509.ValidateCodeSigningCertChain(chain, &now); err != nil {
		return no("the certificates are not good for signing: %s", clip(err))
	}
	if end := info.SignedAttributes.Expiry; !end.IsZero() {
		if now.After(end) {
			return no("the signature expired on %s: sign the image again", day(end))
		}
		v.Until = earliest(v.Until, end)
	}
	return v
}

// ofImage is the digest that the payload is about.
func ofImage(image Image, p signature.Payload) (digest, refused string) {
	if p.ContentType != TypePayload {
		return "", fmt.Sprintf("the envelope holds %s, which says nothing of an image", orNothing(p.ContentType))
	}
	var payload struct {
		TargetArtifact struct {
			MediaType string `json:"mediaType"`
			Digest    string `json:"digest"`
			Size      int64  `json:"size"`
		} `json:"targetArtifact"`
	}
	if err := json.Unmarshal(p.Content, &payload); err != nil {
		return "", "the payload of the signature cannot be read: " + clip(err)
	}
	t := payload.TargetArtifact
	if t.Digest == string(image.Digest) && (t.MediaType != image.MediaType || t.Size != image.SizeBytes) {
		return "", fmt.Sprintf("it is a signature of %d bytes of the type %s, and the image has %d of the type %s", t.Size, orNothing(t.MediaType), image.SizeBytes, image.MediaType)
	}
	return t.Digest, ""
}

func day(t time.Time) string { return t.UTC().Format(time.DateTime + " UTC") }

// earliest is the earlier of two times; zero is never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
