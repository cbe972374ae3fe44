package ecosystem

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/notaryproject/notation-core-go/signature/cose"
	"github.com/notaryproject/notation-core-go/signature/jws"
	"github.com/notaryproject/notation-go"
	"github.com/notaryproject/notation-go/dir"
	notationregistry "github.com/notaryproject/notation-go/registry"
	"github.com/notaryproject/notation-go/signer"
	"github.com/notaryproject/notation-go/verifier"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
)

// verifyCommand has this program do what `notation verify IMAGE` does, with a
// folder of notation's configuration before the image: notation itself is made of
// the library that is used here.
const verifyCommand = "notation-verify"

// notationTrust is a trust policy as people write it.
const notationTrust = `{"version": "1.0", "trustPolicies": [{
  "name": "releases", "registryScopes": ["*"], "signatureVerification": {"level": "strict"},
  "trustStores": ["ca:releases"], "trustedIdentities": ["x509.subject: C=DE, ST=HH, O=Example, CN=release"]
}]}`

// notationRepository reaches the repository of an image with the password that
// docker's configuration has for it.
func notationRepository(image string) (notationregistry.Repository, error) {
	repository, err := remote.NewRepository(image)
	if err != nil {
		return nil, err
	}
	store, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
	if err != nil {
		return nil, err
	}
	repository.PlainHTTP = true
	repository.Client = &auth.Client{Credential: credentials.Credential(store)}
	return notationregistry.NewRepository(repository), nil
}

// notationVerify verifies the image as the configuration in the folder says.
func notationVerify(ctx context.Context, folder, image string) error {
	dir.UserConfigDir = folder
	v, err := verifier.NewFromConfig()
	if err != nil {
		return err
	}
	repository, err := notationRepository(image)
	if err != nil {
		return err
	}
	_, _, err = notation.Verify(ctx, v, repository, notation.VerifyOptions{ArtifactReference: image, MaxSignatureAttempts: 10})
	return err
}

// notationKey is a key with its certificate.
type notationKey struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newNotationKey(t *testing.T) notationKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	// Notary Project, "Certificate Requirements".
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{Country: []string{"DE"}, Province: []string{"HH"}, Organization: []string{"Example"}, CommonName: "release"},
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return notationKey{key, cert}
}

// sign signs the image as `notation sign` does, which leaves a referrer.
func (k notationKey) sign(t *testing.T, w *world, image, envelope string) {
	t.Helper()
	t.Setenv("DOCKER_CONFIG", filepath.Join(w.home, ".docker"))
	s, err := signer.NewGenericSigner(k.key, []*x509.Certificate{k.cert})
	if err != nil {
		t.Fatal(err)
	}
	repository, err := notationRepository(image)
	if err != nil {
		t.Fatal(err)
	}
	_, err = notation.Sign(t.Context(), s, repository, notation.SignOptions{
		SignerSignOptions: notation.SignerSignOptions{SignatureMediaType: envelope}, ArtifactReference: image,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A signature of notation that was made at the source verifies at the destination,
// in both formats; a route that verifies takes no other images.
func TestNotation(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, envelope := range map[string]string{"JWS": jws.MediaTypeEnvelope, "COSE": cose.MediaTypeEnvelope} {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			trusted := newNotationKey(t)
			trust := filepath.Join(w.home, "notation", "truststore", "x509", "ca", "releases")
			if err := os.MkdirAll(trust, 0o700); err != nil {
				t.Fatal(err)
			}
			w.write("notation/truststore/x509/ca/releases/release.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: trusted.cert.Raw})))
			w.write("notation/trustpolicy.json", notationTrust)
			w.routes(self, verifyCommand, "notation")

			digest := w.push("1.0")
			w.fails("website:1.0 is not promoted: signature: there is none", kontorBin, "promote", "website:1.0", "--to", "prod")
			trusted.sign(t, w, w.staging+"/website@"+digest, envelope)
			w.ok(kontorBin, "wait", "staging/website:1.0", "--signed")
			w.ok(kontorBin, "promote", "website:1.0", "--to", "prod")
			w.ok(self, verifyCommand, "notation", w.prod+"/website@"+digest)
			if got := w.ok(kontorBin, "promote", "history", "prod/website:1.0"); !strings.Contains(got, fmt.Sprintf("verified verify: %s %s", self, verifyCommand)) {
				t.Errorf("the record does not say that it was verified:\n%s", got)
			}

			// Signed by another key: a signature exists, and is not genuine.
			other := w.push("2.0")
			newNotationKey(t).sign(t, w, w.staging+"/website@"+other, envelope)
			w.fails("staging/website:2.0 is not promoted: verify: ", kontorBin, "promote", "website:2.0", "--to", "prod")
			w.fails("signature verification failed", self, verifyCommand, "notation", w.staging+"/website@"+other)
		})
	}
}
