package trust_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	notary "github.com/notaryproject/notation-core-go/signature"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore/pkg/signature"
	sigdsse "github.com/sigstore/sigstore/pkg/signature/dsse"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/signing/trust"
)

const (
	ociManifest = "application/vnd.oci.image.manifest.v1+json"
	bundleType  = "application/vnd.dev.sigstore.bundle.v0.3+json"
)

var (
	image = trust.Image{Digest: ecr.DigestOf([]byte("image")), MediaType: ociManifest, SizeBytes: 5}
	other = trust.Image{Digest: ecr.DigestOf([]byte("other")), MediaType: ociManifest, SizeBytes: 5}
	now   = time.Now()
)

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func publicPEM(t *testing.T, key crypto.Signer) string {
	t.Helper()
	return pemOf("PUBLIC KEY", must[[]byte](t)(x509.MarshalPKIXPublicKey(key.Public())))
}

func compile(t *testing.T, s trust.Signer) *trust.Verifier {
	t.Helper()
	if s.Name == "" {
		s.Name = "release"
	}
	return must[*trust.Verifier](t)(trust.Compile(s))
}

// payload is what cosign signs of an image in its older form.
func payload(of trust.Image, repository string) []byte {
	return fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":%q},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`, repository, of.Digest)
}

// statement is what cosign signs of an image in bundles.
func statement(of trust.Image, predicate string) []byte {
	_, hex, _ := strings.Cut(string(of.Digest), ":")
	return fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":%q}}],"predicateType":%q,"predicate":{}}`, hex, predicate)
}

const sign = "https://sigstore.dev/cosign/sign/v1"

// simple is a signature in cosign's older form.
func simple(t *testing.T, signer signature.Signer, of trust.Image) trust.Signature {
	t.Helper()
	content := payload(of, "example.com/app")
	raw := must[[]byte](t)(signer.SignMessage(bytes.NewReader(content)))
	return trust.Signature{Form: trust.CosignTag, MediaType: trust.TypeSimpleSigning, Content: content,
		Annotations: map[string]string{"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(raw)}}
}

// bundled is a signature in a bundle that a key made.
func bundled(t *testing.T, signer signature.Signer, key crypto.PublicKey, body []byte) trust.Signature {
	t.Helper()
	s := must[*dsse.EnvelopeSigner](t)(dsse.NewEnvelopeSigner(&sigdsse.SignerAdapter{SignatureSigner: signer, Pub: key}))
	e := must[*dsse.Envelope](t)(s.SignPayload(context.Background(), "application/vnd.in-toto+json", body))
	return bundleOf(t, e, &protobundle.VerificationMaterial{Content: &protobundle.VerificationMaterial_PublicKey{PublicKey: &protocommon.PublicKeyIdentifier{Hint: "hint"}}})
}

func bundleOf(t *testing.T, e *dsse.Envelope, m *protobundle.VerificationMaterial) trust.Signature {
	t.Helper()
	body := must[[]byte](t)(base64.StdEncoding.DecodeString(e.Payload))
	raw := must[[]byte](t)(base64.StdEncoding.DecodeString(e.Signatures[0].Sig))
	b := &protobundle.Bundle{MediaType: bundleType, VerificationMaterial: m, Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
		Payload: body, PayloadType: e.PayloadType, Signatures: []*protodsse.Signature{{Sig: raw}},
	}}}
	return trust.Signature{Form: trust.Bundle, MediaType: bundleType, Content: must[[]byte](t)(protojson.Marshal(b))}
}

// want checks a verdict: refused for a reason that has text, or accepted without one.
func want(t *testing.T, v trust.Verdict, text string) {
	t.Helper()
	switch {
	case text == "" && v.Refused != "":
		t.Errorf("refused: %s", v.Refused)
	case text == "" && v.As == "":
		t.Error("it does not say who signed")
	case text != "" && !strings.Contains(v.Refused, text):
		t.Errorf("refused because of %q, want %q", v.Refused, text)
	}
}

func TestKeys(t *testing.T) {
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	elliptical := func(c elliptic.Curve) crypto.Signer {
		return must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(c, rand.Reader))
	}
	for name, key := range map[string]crypto.Signer{
		"P-256": elliptical(elliptic.P256()), "P-384": elliptical(elliptic.P384()), "Ed25519": edwards,
		"RSA": must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 2048)),
	} {
		t.Run(name, func(t *testing.T) {
			v := compile(t, trust.Signer{Key: publicPEM(t, key)})
			stranger := compile(t, trust.Signer{Key: publicPEM(t, elliptical(elliptic.P256()))})
			signers := map[string]signature.Signer{"default": must[signature.SignerVerifier](t)(signature.LoadDefaultSignerVerifier(key))}
			signers["SHA-256"] = must[signature.SignerVerifier](t)(signature.LoadSignerVerifier(key, crypto.SHA256))
			for hash, s := range signers {
				t.Run(hash, func(t *testing.T) {
					g := simple(t, s, image)
					want(t, v.Verify(image, g, now), "")
					want(t, stranger.Verify(image, g, now), "not of this key")
					want(t, v.Verify(other, g, now), "it is a signature of "+string(image.Digest)+", which is another image")

					b := bundled(t, s, key.Public(), statement(image, sign))
					want(t, v.Verify(image, b, now), "")
					want(t, stranger.Verify(image, b, now), "not of this key")
					want(t, v.Verify(other, b, now), "it is a signature of "+string(image.Digest)+", which is another image")
					want(t, v.Verify(image, bundled(t, s, key.Public(), statement(image, "https://spdx.dev/Document")), now), "it is a statement of the type https://spdx.dev/Document")
				})
			}
		})
	}
}

// A payload of another image, or of another repository, is another payload: whoever
// puts it next to a signature gets nothing.
func TestTamperedSignatures(t *testing.T) {
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	v := compile(t, trust.Signer{Key: publicPEM(t, key)})
	s := must[signature.SignerVerifier](t)(signature.LoadDefaultSignerVerifier(key))
	good := simple(t, s, image)
	for name, tt := range map[string]struct {
		change func(g *trust.Signature)
		want   string
	}{
		"good":                         {func(*trust.Signature) {}, ""},
		"another image's payload":      {func(g *trust.Signature) { g.Content = payload(other, "example.com/app") }, "another image"},
		"another repository's payload": {func(g *trust.Signature) { g.Content = payload(image, "example.com/elsewhere") }, "not of this key"},
		"digest changed":               {func(g *trust.Signature) { *g = simple(t, s, other); g.Content = payload(image, "example.com/app") }, "not of this key"},
		"no JSON":                      {func(g *trust.Signature) { g.Content = []byte("{") }, "not JSON"},
		"no digest":                    {func(g *trust.Signature) { g.Content = []byte("{}") }, "it is a signature of nothing"},
		"no signature":                 {func(g *trust.Signature) { g.Annotations = nil }, "dev.cosignproject.cosign/signature"},
		"no base64":                    {func(g *trust.Signature) { g.Annotations = map[string]string{"dev.cosignproject.cosign/signature": "?"} }, "base64"},
		"no bundle":                    {func(g *trust.Signature) { g.Form = trust.Bundle }, "the bundle cannot be read"},
		"notation":                     {func(g *trust.Signature) { g.Form = trust.Notation }, "the signer release is known by key"},
	} {
		t.Run(name, func(t *testing.T) {
			g := good
			tt.change(&g)
			want(t, v.Verify(image, g, now), tt.want)
		})
	}
	b := bundled(t, s, key.Public(), statement(image, sign))
	b.Content = bytes.Replace(b.Content, []byte(base64.StdEncoding.EncodeToString(statement(image, sign))), []byte(base64.StdEncoding.EncodeToString(statement(other, sign))), 1)
	want(t, v.Verify(other, b, now), "not of this key")
}

// sigstore is a Sigstore instance with a trusted root.
type sigstore struct {
	*ca.VirtualSigstore
	root string
}

func newSigstore(t *testing.T) sigstore {
	t.Helper()
	s := must[*ca.VirtualSigstore](t)(ca.NewVirtualSigstore())
	logs := s.RekorLogs()
	for id, l := range logs { // in digits there, in bytes in files
		l.ID = must[[]byte](t)(hex.DecodeString(id))
	}
	trusted := must[*root.TrustedRoot](t)(root.NewTrustedRoot(root.TrustedRootMediaType01, s.FulcioCertificateAuthorities(), nil, s.TimestampingAuthorities(), logs))
	return sigstore{s, string(must[[]byte](t)(trusted.MarshalJSON()))}
}

const (
	issuer   = "https://token.actions.example.com"
	workflow = "https://github.com/example/app/.github/workflows/release.yaml@refs/heads/main"
)

// entry is what the log has of a signature, with its promise and its proof.
func (s sigstore) entry(t *testing.T, e *ca.TestEntity) *protorekor.TransparencyLogEntry {
	t.Helper()
	entries := must[[]*tlog.Entry](t)(e.TlogEntries())
	entry := entries[0].TransparencyLogEntry()
	var kind struct{ Kind, APIVersion string }
	if err := json.Unmarshal(entry.GetCanonicalizedBody(), &kind); err != nil {
		t.Fatal(err)
	}
	entry.KindVersion = &protorekor.KindVersion{Kind: kind.Kind, Version: kind.APIVersion}
	id := must[string](t)(s.RekorLogID())
	entry.LogId = &protocommon.LogId{KeyId: must[[]byte](t)(hex.DecodeString(id))}
	entry.InclusionPromise = &protorekor.InclusionPromise{SignedEntryTimestamp: must[[]byte](t)(s.RekorSignPayload(tlog.RekorPayload{
		Body: base64.StdEncoding.EncodeToString(entry.GetCanonicalizedBody()), IntegratedTime: entry.GetIntegratedTime(), LogIndex: entry.GetLogIndex(), LogID: id,
	}))}
	proof := must[*models.InclusionProof](t)(s.GetInclusionProof(entry.GetCanonicalizedBody()))
	entry.InclusionProof = &protorekor.InclusionProof{LogIndex: *proof.LogIndex, TreeSize: *proof.TreeSize,
		RootHash: must[[]byte](t)(hex.DecodeString(*proof.RootHash)), Checkpoint: &protorekor.Checkpoint{Envelope: *proof.Checkpoint}}
	return entry
}

// simple is a signature of cosign with a certificate and an entry in the log, which was
// made at that time.
func (s sigstore) simple(t *testing.T, of trust.Image, identity string, at time.Time) trust.Signature {
	t.Helper()
	content := payload(of, "example.com/app")
	e := must[*ca.TestEntity](t)(s.SignAtTime(identity, issuer, content, at))
	v := must[interface {
		Certificate() *x509.Certificate
	}](t)(e.VerificationContent())
	c := must[interface{ Signature() []byte }](t)(e.SignatureContent())
	entry := s.entry(t, e)
	note := must[[]byte](t)(json.Marshal(map[string]any{
		"SignedEntryTimestamp": entry.GetInclusionPromise().GetSignedEntryTimestamp(),
		"Payload": map[string]any{
			"body": base64.StdEncoding.EncodeToString(entry.GetCanonicalizedBody()), "integratedTime": entry.GetIntegratedTime(),
			"logIndex": entry.GetLogIndex(), "logID": hex.EncodeToString(entry.GetLogId().GetKeyId()),
		},
	}))
	return trust.Signature{Form: trust.CosignTag, MediaType: trust.TypeSimpleSigning, Content: content, Annotations: map[string]string{
		"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(c.Signature()),
		"dev.sigstore.cosign/certificate":    pemOf("CERTIFICATE", v.Certificate().Raw),
		"dev.sigstore.cosign/bundle":         string(note),
	}}
}

// bundle is the same as a bundle.
func (s sigstore) bundle(t *testing.T, of trust.Image, identity string, at time.Time) trust.Signature {
	t.Helper()
	e := must[*ca.TestEntity](t)(s.AttestAtTime(identity, issuer, statement(of, sign), at, true))
	v := must[interface {
		Certificate() *x509.Certificate
	}](t)(e.VerificationContent())
	c, err := e.SignatureContent()
	if err != nil {
		t.Fatal(err)
	}
	return bundleOf(t, c.EnvelopeContent().RawEnvelope(), &protobundle.VerificationMaterial{
		Content:     &protobundle.VerificationMaterial_Certificate{Certificate: &protocommon.X509Certificate{RawBytes: v.Certificate().Raw}},
		TlogEntries: []*protorekor.TransparencyLogEntry{s.entry(t, e)},
	})
}

func TestKeyless(t *testing.T) {
	s, elsewhere := newSigstore(t), newSigstore(t)
	signer := func(identity, issuer, root string) *trust.Verifier {
		return compile(t, trust.Signer{Keyless: &trust.Keyless{Issuer: issuer, Identity: identity, TrustedRoot: root}})
	}
	v := signer(workflow, issuer, s.root)
	during := time.Now().Add(5 * time.Minute) // its certificates hold from now on for ten minutes
	for form, make := range map[string]func(s sigstore, of trust.Image, identity string, at time.Time) trust.Signature{
		"simple": func(s sigstore, of trust.Image, identity string, at time.Time) trust.Signature {
			return s.simple(t, of, identity, at)
		},
		"bundle": func(s sigstore, of trust.Image, identity string, at time.Time) trust.Signature {
			return s.bundle(t, of, identity, at)
		},
	} {
		t.Run(form, func(t *testing.T) {
			g := make(s, image, workflow, during)
			got := v.Verify(image, g, now)
			want(t, got, "")
			if got.As != workflow {
				t.Errorf("signed by %q", got.As)
			}
			want(t, signer("https://github.com/example/*/.github/workflows/*", issuer, s.root).Verify(image, g, now), "")
			want(t, v.Verify(other, g, now), "another image")
			want(t, signer("https://github.com/example/other*", issuer, s.root).Verify(image, g, now), "expected SAN value to match regex")
			want(t, signer(workflow+"x", issuer, s.root).Verify(image, g, now), "expected SAN value")
			want(t, signer(workflow, "https://accounts.example.com", s.root).Verify(image, g, now), "expected issuer value")
			want(t, signer(workflow, issuer, elsewhere.root).Verify(image, g, now), "not enough verified log entries")
			want(t, v.Verify(image, make(elsewhere, image, workflow, during), now), "not enough verified log entries")
			// The certificate had expired when the signature was made.
			want(t, v.Verify(image, make(s, image, workflow, time.Now().Add(time.Hour)), now), "integrated time outside certificate validity")
		})
	}
	g := s.simple(t, image, workflow, during)
	delete(g.Annotations, "dev.sigstore.cosign/bundle")
	want(t, v.Verify(image, g, now), "not enough verified log entries")
	delete(g.Annotations, "dev.sigstore.cosign/certificate")
	want(t, v.Verify(image, g, now), "made with a key")
	// What the log has is of another signature.
	g = s.simple(t, image, workflow, during)
	g.Annotations["dev.sigstore.cosign/bundle"] = s.simple(t, image, workflow, during).Annotations["dev.sigstore.cosign/bundle"]
	want(t, v.Verify(image, g, now), "transparency log signature does not match")
}

// notaryKey is a certificate of notation with its root.
type notaryKey struct {
	key   *ecdsa.PrivateKey
	chain []*x509.Certificate
}

// newNotary makes a chain that holds from an hour before until an hour after at.
func newNotary(t *testing.T, at time.Time) notaryKey {
	t.Helper()
	subject := func(name string) pkix.Name {
		return pkix.Name{Country: []string{"DE"}, Province: []string{"HH"}, Organization: []string{"Example, Inc."}, CommonName: name}
	}
	ca := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	top := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: subject("root"), NotBefore: at.Add(-time.Hour), NotAfter: at.Add(time.Hour),
		KeyUsage: x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: subject("release"), NotBefore: at.Add(-time.Hour), NotAfter: at.Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}, BasicConstraintsValid: true}
	make := func(c, parent *x509.Certificate, of *ecdsa.PrivateKey) *x509.Certificate {
		return must[*x509.Certificate](t)(x509.ParseCertificate(must[[]byte](t)(x509.CreateCertificate(rand.Reader, c, parent, of.Public(), ca))))
	}
	r := make(top, top, ca)
	return notaryKey{key, []*x509.Certificate{make(leaf, r, key), r}}
}

func (k notaryKey) pem() string { return pemOf("CERTIFICATE", k.chain[1].Raw) }

func (k notaryKey) sign(t *testing.T, envelope string, of trust.Image, change func(r *notary.SignRequest)) trust.Signature {
	t.Helper()
	s := must[notary.LocalSigner](t)(notary.NewLocalSigner(k.chain, k.key))
	body := fmt.Appendf(nil, `{"targetArtifact":{"mediaType":%q,"digest":%q,"size":%d}}`, of.MediaType, of.Digest, of.SizeBytes)
	r := &notary.SignRequest{Payload: notary.Payload{ContentType: "application/vnd.cncf.notary.payload.v1+json", Content: body}, Signer: s,
		SigningTime: k.chain[0].NotBefore.Add(time.Minute), SigningScheme: notary.SigningSchemeX509}
	if change != nil {
		change(r)
	}
	e := must[notary.Envelope](t)(notary.NewEnvelope(envelope))
	return trust.Signature{Form: trust.Notation, MediaType: envelope, Content: must[[]byte](t)(e.Sign(r))}
}

func TestNotation(t *testing.T) {
	for name, envelope := range map[string]string{"JWS": trust.TypeJWS, "COSE": trust.TypeCOSE} {
		t.Run(name, func(t *testing.T) {
			k, elsewhere, old := newNotary(t, now), newNotary(t, now), newNotary(t, now.Add(-48*time.Hour))
			v := compile(t, trust.Signer{Certificates: k.pem() + elsewhere.pem()})
			of := func(subject string) *trust.Verifier {
				return compile(t, trust.Signer{Certificates: k.pem(), Subject: subject})
			}
			g := k.sign(t, envelope, image, nil)
			got := v.Verify(image, g, now)
			want(t, got, "")
			if !got.Until.Equal(k.chain[0].NotAfter) || !strings.Contains(got.As, "CN=release") {
				t.Errorf("%+v", got)
			}
			want(t, of(`CN=release, O=Example\, Inc.`).Verify(image, g, now), "")
			want(t, of("CN=build").Verify(image, g, now), "and not of one with CN=build")
			want(t, v.Verify(other, g, now), "another image")
			want(t, compile(t, trust.Signer{Certificates: elsewhere.pem()}).Verify(image, g, now), "none of the certificates of the signer")
			want(t, compile(t, trust.Signer{Certificates: old.pem()}).Verify(image, old.sign(t, envelope, image, nil), now), "expired on")
			want(t, v.Verify(image, g, now.Add(2*time.Hour)), "expired on")
			want(t, v.Verify(image, g, now.Add(-2*time.Hour)), "is valid from")
			larger := image
			larger.SizeBytes++
			want(t, v.Verify(larger, g, now), "and the image has 6")
			broken := g
			broken.Content = bytes.Replace(bytes.Clone(g.Content), g.Content[len(g.Content)-40:len(g.Content)-36], []byte("AAAA"), 1)
			if got := v.Verify(image, broken, now); got.Refused == "" {
				t.Error("a broken signature is accepted")
			}
			want(t, v.Verify(image, trust.Signature{Form: trust.Notation, MediaType: envelope, Content: []byte("x")}, now), "cannot be read")
			want(t, v.Verify(image, k.sign(t, envelope, image, func(r *notary.SignRequest) { r.Expiry = r.SigningTime.Add(time.Minute) }), now), "the signature expired on")
			want(t, v.Verify(image, k.sign(t, envelope, image, func(r *notary.SignRequest) { r.SigningScheme = notary.SigningSchemeX509SigningAuthority }), now), "signing scheme")
			want(t, v.Verify(image, k.sign(t, envelope, image, func(r *notary.SignRequest) {
				r.ExtendedSignedAttributes = []notary.Attribute{{Key: "io.cncf.notary.verificationPlugin", Value: "x", Critical: true}}
			}), now), "critical attribute")
			want(t, compile(t, trust.Signer{Key: publicPEM(t, k.key)}).Verify(image, g, now), "known by key")
		})
	}
}

// What is not good for a signer is refused when it is made, with what to do.
func TestCompile(t *testing.T) {
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	public, s := publicPEM(t, key), newSigstore(t)
	private := pemOf("EC PRIVATE KEY", must[[]byte](t)(x509.MarshalECPrivateKey(key)))
	small := must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 1024))
	bare := must[*root.TrustedRoot](t)(root.NewTrustedRoot(root.TrustedRootMediaType01, s.FulcioCertificateAuthorities(), nil, nil, nil))
	keyless := func(k trust.Keyless) trust.Signer { return trust.Signer{Name: "ci", Keyless: &k} }
	for name, tt := range map[string]struct {
		signer trust.Signer
		want   string
	}{
		"name":               {trust.Signer{Name: "a-b", Key: public}, "2 to 64 letters, digits and underscores"},
		"nothing":            {trust.Signer{Name: "ci"}, "either a key, a keyless identity or certificates"},
		"two":                {trust.Signer{Name: "ci", Key: public, Certificates: "x"}, "either a key"},
		"subject":            {trust.Signer{Name: "ci", Key: public, Subject: "CN=a"}, "a subject goes with certificates only"},
		"pattern":            {trust.Signer{Name: "ci", Key: public, Repositories: []string{"Team/app"}}, `"Team/app" is not a pattern`},
		"no PEM":             {trust.Signer{Name: "ci", Key: "x"}, "-----BEGIN PUBLIC KEY-----"},
		"private key":        {trust.Signer{Name: "ci", Key: private}, "this is a private key"},
		"certificate":        {trust.Signer{Name: "ci", Key: newNotary(t, now).pem()}, "is a CERTIFICATE and not a PUBLIC KEY"},
		"two keys":           {trust.Signer{Name: "ci", Key: public + public}, "more than one key"},
		"small key":          {trust.Signer{Name: "ci", Key: publicPEM(t, small)}, "1024 bits"},
		"huge key":           {trust.Signer{Name: "ci", Key: strings.Repeat("x", trust.MaxKeyBytes+1)}, "at most"},
		"issuer":             {keyless(trust.Keyless{Identity: "a", TrustedRoot: s.root}), "needs an issuer"},
		"identity":           {keyless(trust.Keyless{Issuer: "a", TrustedRoot: s.root}), "needs an identity"},
		"any identity":       {keyless(trust.Keyless{Issuer: "a", Identity: "**", TrustedRoot: s.root}), "needs an identity"},
		"root":               {keyless(trust.Keyless{Issuer: "a", Identity: "b"}), "cosign trusted-root create"},
		"broken root":        {keyless(trust.Keyless{Issuer: "a", Identity: "b", TrustedRoot: "{"}), "cannot be read"},
		"no time":            {keyless(trust.Keyless{Issuer: "a", Identity: "b", TrustedRoot: string(must[[]byte](t)(bare.MarshalJSON()))}), "neither a transparency log"},
		"no certificate":     {trust.Signer{Name: "ci", Certificates: "x"}, "not in PEM"},
		"key as certificate": {trust.Signer{Name: "ci", Certificates: public}, "there is a PUBLIC KEY among"},
		"bad subject":        {trust.Signer{Name: "ci", Certificates: newNotary(t, now).pem(), Subject: "release"}, "cannot be read at"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := trust.Compile(tt.signer); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// The version of a trust is of what is trusted, not of its name and where.
func TestVersion(t *testing.T) {
	keys := [2]string{}
	for i := range keys {
		keys[i] = publicPEM(t, must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)))
	}
	a := compile(t, trust.Signer{Name: "a1", Key: keys[0]})
	if b := compile(t, trust.Signer{Name: "b1", Key: keys[0], Repositories: []string{"team/*"}}); a.Version != b.Version || b.For("other") || !b.For("team/app") || !a.For("other") {
		t.Errorf("%s and %s", a.Version, b.Version)
	}
	if c := compile(t, trust.Signer{Name: "a1", Key: keys[1]}); a.Version == c.Version {
		t.Error("two keys are one trust")
	}
}
