package trust

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
)

// predicateSign is the type of the statement that `cosign sign` makes. Statements of
// other types, such as of an SBOM, say something of an image but not that it is good.
const predicateSign = "https://sigstore.dev/cosign/sign/v1"

// Annotations of the layers of cosign's signatures (cosign, specs/SIGNATURE_SPEC.md).
const (
	noteSignature   = "dev.cosignproject.cosign/signature"
	noteCertificate = "dev.sigstore.cosign/certificate"
	noteBundle      = "dev.sigstore.cosign/bundle"
	noteTimestamp   = "dev.sigstore.cosign/rfc3161timestamp"
)

// byKey verifies signatures of a public key in PEM.
func byKey(text string) (func(Image, Signature, time.Time) Verdict, error) {
	key, err := parseKey(text)
	if err != nil {
		return nil, err
	}
	verifiers, err := verifiersOf(key)
	if err != nil {
		return nil, fmt.Errorf("the public key cannot be used: %w", err)
	}
	bundles := make([]*verify.Verifier, len(verifiers))
	for i, v := range verifiers {
		known := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
			return root.NewExpiringKey(v, time.Time{}, time.Time{}), nil
		})
		// A key is trusted because the operator has it: it needs no log and no time.
		if bundles[i], err = verify.NewVerifier(known, verify.WithNoObserverTimestamps()); err != nil {
			return nil, err
		}
	}
	as := "key " + fingerprint(key)
	const wrong = "the signature is not of this key"
	return func(image Image, g Signature, _ time.Time) (v Verdict) {
		if g.Form == Bundle {
			for _, b := range bundles {
				if v = verifyBundle(b, image, g, wrong, verify.WithKey()); v.Refused == "" {
					v.As = as
				}
				if !strings.HasPrefix(v.Refused, wrong) {
					break // the key is not the reason
				}
			}
			return v
		}
		raw, refused := simpleSigning(image, g)
		if refused != "" {
			return Verdict{Refused: refused}
		}
		for _, one := range verifiers {
			if one.VerifySignature(bytes.NewReader(raw), bytes.NewReader(g.Content)) == nil {
				return Verdict{As: as}
			}
		}
		return refuse(wrong)
	}, nil
}

// verifiersOf are those of a key: with the hash that goes with its curve, and with
// SHA-256, which cosign used with every curve.
func verifiersOf(key crypto.PublicKey) (list []signature.Verifier, err error) {
	v, err := signature.LoadDefaultVerifier(key)
	if err != nil {
		return nil, err
	}
	list = append(list, v)
	if k, ok := key.(*ecdsa.PublicKey); ok && k.Curve != elliptic.P256() {
		if v, err = signature.LoadVerifier(key, crypto.SHA256); err == nil {
			list = append(list, v)
		}
	}
	return list, err
}

// fingerprint is the SHA-256 of a key, as `openssl pkey -pubin -outform DER | sha256sum`
// has it.
func fingerprint(key crypto.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(der)
	return "SHA256:" + hex.EncodeToString(sum[:8])
}

// parseKey reads one public key of a kind that signatures are made with.
func parseKey(text string) (crypto.PublicKey, error) {
	if len(text) > MaxKeyBytes {
		return nil, fmt.Errorf("the key has %d bytes; at most %d are read", len(text), MaxKeyBytes)
	}
	block, rest := pem.Decode([]byte(text))
	switch {
	case block == nil:
		return nil, errors.New("the key is not in PEM: it begins with -----BEGIN PUBLIC KEY-----, as cosign.pub does")
	case strings.Contains(block.Type, "PRIVATE"):
		return nil, errors.New("this is a private key: give the public key, such as cosign.pub, and keep the private key to yourself")
	case block.Type != "PUBLIC KEY":
		return nil, fmt.Errorf("the key is a %s and not a PUBLIC KEY", block.Type)
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, errors.New("there is more than one key: make a signer of each")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the key cannot be read: %w", err)
	}
	switch k := key.(type) {
	case *ecdsa.PublicKey, ed25519.PublicKey:
	case *rsa.PublicKey:
		if k.N.BitLen() < 2048 || k.N.BitLen() > 8192 {
			return nil, fmt.Errorf("the RSA key has %d bits: from 2048 to 8192 are accepted", k.N.BitLen())
		}
	default:
		return nil, fmt.Errorf("a key of the kind %T makes no signatures", key)
	}
	return key, nil
}

// simpleSigning reads a signature in cosign's older form, and what it is of.
func simpleSigning(image Image, g Signature) (raw []byte, refused string) {
	var payload struct {
		Critical struct {
			Image struct {
				Digest string `json:"docker-manifest-digest"`
			} `json:"image"`
			Type string `json:"type"`
		} `json:"critical"`
	}
	if err := json.Unmarshal(g.Content, &payload); err != nil {
		return nil, "the payload of the signature is not JSON"
	}
	if payload.Critical.Image.Digest != string(image.Digest) {
		return nil, fmt.Sprintf("it is a signature of %s, which is another image", orNothing(payload.Critical.Image.Digest))
	}
	text := g.Annotations[noteSignature]
	if text == "" {
		return nil, "the signature is missing: the annotation " + noteSignature + " of its layer is empty"
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, "the signature is not in base64"
	}
	return raw, ""
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}

// byIdentity verifies signatures with certificates of a Sigstore instance.
func byIdentity(k Keyless) (func(Image, Signature, time.Time) Verdict, error) {
	switch {
	case k.Issuer == "":
		return nil, errors.New("a keyless identity needs an issuer, such as https://token.actions.githubusercontent.com")
	case k.Identity == "" || strings.Trim(k.Identity, "*") == "":
		return nil, errors.New("a keyless identity needs an identity, such as https://github.com/example/app/.github/workflows/release.yaml@refs/heads/main")
	case k.TrustedRoot == "":
		return nil, errors.New("a keyless identity needs the trusted root of its Sigstore instance; `cosign trusted-root create` makes one")
	case len(k.TrustedRoot) > MaxRootBytes:
		return nil, fmt.Errorf("the trusted root has %d bytes; at most %d are read", len(k.TrustedRoot), MaxRootBytes)
	}
	trusted, err := root.NewTrustedRootFromJSON([]byte(k.TrustedRoot))
	if err != nil {
		return nil, fmt.Errorf("the trusted root cannot be read: %w", err)
	}
	if len(trusted.FulcioCertificateAuthorities()) == 0 {
		return nil, errors.New("the trusted root has no certificate authority")
	}
	options, err := demands(trusted)
	if err != nil {
		return nil, err
	}
	v, err := verify.NewVerifier(trusted, options...)
	if err != nil {
		return nil, err
	}
	exact, pattern := k.Identity, ""
	if strings.Contains(k.Identity, "*") {
		exact, pattern = "", wildcard(k.Identity)
	}
	identity, err := verify.NewShortCertificateIdentity(k.Issuer, "", exact, pattern)
	if err != nil {
		return nil, err
	}
	policy := verify.WithCertificateIdentity(identity)
	return func(image Image, g Signature, _ time.Time) Verdict {
		const wrong = "the signature is not of this identity"
		if g.Form == Bundle {
			return verifyBundle(v, image, g, wrong, policy)
		}
		raw, refused := simpleSigning(image, g)
		if refused != "" {
			return Verdict{Refused: refused}
		}
		entity, refused := bundled(g, raw)
		if refused != "" {
			return Verdict{Refused: refused}
		}
		result, err := v.Verify(entity, verify.NewPolicy(verify.WithArtifact(bytes.NewReader(g.Content)), policy))
		if err != nil {
			return refuse("%s: %s", wrong, clip(err))
		}
		return Verdict{As: subject(result)}
	}, nil
}

// demands are what a signature must prove, by what the instance has to prove it with:
// when it was made, while its certificate, which holds for some minutes, was good.
func demands(trusted *root.TrustedRoot) (options []verify.VerifierOption, err error) {
	if len(trusted.CTLogs()) > 0 {
		options = append(options, verify.WithSignedCertificateTimestamps(1))
	}
	switch {
	case len(trusted.RekorLogs()) > 0:
		return append(options, verify.WithTransparencyLog(1), verify.WithObserverTimestamps(1)), nil
	case len(trusted.TimestampingAuthorities()) > 0:
		return append(options, verify.WithSignedTimestamps(1)), nil
	}
	return nil, errors.New("the trusted root has neither a transparency log nor a timestamp authority, one of which must say when a signature was made")
}

func subject(r *verify.VerificationResult) string {
	if r.Signature == nil || r.Signature.Certificate == nil {
		return ""
	}
	return r.Signature.Certificate.SubjectAlternativeName
}

// clip is an error in one line that fits into an answer.
func clip(err error) string {
	s := strings.Join(strings.Fields(err.Error()), " ")
	if len(s) > 400 {
		s = strings.ToValidUTF8(s[:400], "") + "..."
	}
	return s
}

// verifyBundle verifies a Sigstore bundle.
func verifyBundle(v *verify.Verifier, image Image, g Signature, wrong string, who verify.PolicyOption) Verdict {
	var b bundle.Bundle
	if err := b.UnmarshalJSON(g.Content); err != nil {
		return refuse("the bundle cannot be read: %s", clip(err))
	}
	algorithm, text, _ := strings.Cut(string(image.Digest), ":")
	digest, err := hex.DecodeString(text)
	if err != nil {
		return refuse("the image has the digest %s, which is not hexadecimal", image.Digest)
	}
	result, err := v.Verify(&b, verify.NewPolicy(verify.WithArtifactDigest(algorithm, digest), who))
	if err != nil {
		if other := subjectOf(&b, text); other != "" {
			return refuse("it is a signature of %s, which is another image", other)
		}
		return refuse("%s: %s", wrong, clip(err))
	}
	if s := result.Statement; s != nil && s.GetPredicateType() != predicateSign {
		return refuse("it is a statement of the type %s about the image, and not a signature (%s)", orNothing(s.GetPredicateType()), predicateSign)
	}
	return Verdict{As: subject(result)}
}

// subjectOf is the first digest that the statement of b is about, "" where there is no
// statement, or where digest is among them. It is for people: nothing of it is verified.
func subjectOf(b *bundle.Bundle, digest string) string {
	content, err := b.SignatureContent()
	if err != nil || content.EnvelopeContent() == nil {
		return ""
	}
	statement, err := content.EnvelopeContent().Statement()
	if err != nil {
		return ""
	}
	first := ""
	for _, s := range statement.GetSubject() {
		for algorithm, d := range s.GetDigest() {
			if d == digest {
				return ""
			}
			if first == "" {
				first = orNothing(algorithm + ":" + d)
			}
		}
	}
	return first
}

// bundled puts what cosign's older form has in annotations into a bundle, so that both
// forms are verified alike.
func bundled(g Signature, raw []byte) (*bundle.Bundle, string) {
	block, _ := pem.Decode([]byte(g.Annotations[noteCertificate]))
	if block == nil {
		return nil, "the signature has no certificate, so it was made with a key"
	}
	sum := sha256.Sum256(g.Content)
	b := &protobundle.Bundle{
		MediaType: "application/vnd.dev.sigstore.bundle+json;version=0.1",
		Content: &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
			MessageDigest: &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_256, Digest: sum[:]}, Signature: raw,
		}},
		VerificationMaterial: &protobundle.VerificationMaterial{
			Content: &protobundle.VerificationMaterial_X509CertificateChain{X509CertificateChain: &protocommon.X509CertificateChain{
				Certificates: []*protocommon.X509Certificate{{RawBytes: block.Bytes}},
			}},
		},
	}
	if text := g.Annotations[noteBundle]; text != "" {
		entry, err := logEntry(text)
		if err != nil {
			return nil, "the entry of the transparency log in the annotation " + noteBundle + " cannot be read: " + clip(err)
		}
		b.VerificationMaterial.TlogEntries = []*protorekor.TransparencyLogEntry{entry}
	}
	if text := g.Annotations[noteTimestamp]; text != "" {
		var stamp struct{ SignedRFC3161Timestamp []byte }
		if err := json.Unmarshal([]byte(text), &stamp); err != nil {
			return nil, "the time stamp in the annotation " + noteTimestamp + " cannot be read"
		}
		b.VerificationMaterial.TimestampVerificationData = &protobundle.TimestampVerificationData{
			Rfc3161Timestamps: []*protocommon.RFC3161SignedTimestamp{{SignedTimestamp: stamp.SignedRFC3161Timestamp}},
		}
	}
	out, err := bundle.NewBundle(b)
	if err != nil {
		return nil, "the signature cannot be read: " + clip(err)
	}
	return out, ""
}

// logEntry reads what Rekor said of a signature.
func logEntry(text string) (*protorekor.TransparencyLogEntry, error) {
	var entry struct {
		SignedEntryTimestamp []byte
		Payload              struct {
			Body           string `json:"body"`
			IntegratedTime int64  `json:"integratedTime"`
			LogIndex       int64  `json:"logIndex"`
			LogID          string `json:"logID"`
		}
	}
	if err := json.Unmarshal([]byte(text), &entry); err != nil {
		return nil, err
	}
	body, err := base64.StdEncoding.DecodeString(entry.Payload.Body)
	if err != nil {
		return nil, err
	}
	var kind struct {
		Kind    string `json:"kind"`
		Version string `json:"apiVersion"`
	}
	if err := json.Unmarshal(body, &kind); err != nil {
		return nil, err
	}
	id, err := hex.DecodeString(entry.Payload.LogID)
	if err != nil {
		return nil, err
	}
	return &protorekor.TransparencyLogEntry{
		LogIndex: entry.Payload.LogIndex, LogId: &protocommon.LogId{KeyId: id}, IntegratedTime: entry.Payload.IntegratedTime,
		KindVersion:      &protorekor.KindVersion{Kind: kind.Kind, Version: kind.Version},
		InclusionPromise: &protorekor.InclusionPromise{SignedEntryTimestamp: entry.SignedEntryTimestamp}, CanonicalizedBody: body,
	}, nil
}
