package ecrapi

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/signing/managed"
	"github.com/kontor-registry/kontor/internal/signing/trust"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// What is signed with which profile is told as it was put, what the registry signed by
// profile, and what was signed elsewhere by signer.
func TestSigning(t *testing.T) {
	s := newServer(t)
	ok[CreateRepositoryResponse](t, s, "CreateRepository", `{"repositoryName": "app"}`)
	manifest, _ := s.image(t, "app", "a layer", "")
	ok[PutImageResponse](t, s, "PutImage", `{"repositoryName": "app", "imageTag": "v1", "imageManifest": `+quoted(t, manifest)+`}`)
	const (
		app      = `"repositoryName": "app", "imageId": {"imageTag": "v1"}`
		nowhere  = `"repositoryName": "nowhere", "imageId": {"imageTag": "v1"}`
		absent   = `"repositoryName": "app", "imageId": {"imageTag": "v2"}`
		registry = `"registryId": "000000000000"`
		none     = "SigningConfigurationNotFoundException: Signing configuration does not exist in the registry with id '000000000000'"
		noRepo   = "RepositoryNotFoundException: The repository with name 'nowhere' does not exist in the registry with id '000000000000'"
		noImage  = "ImageNotFoundException: The image with imageId {imageDigest:'null', imageTag:'v2'} does not exist within the repository with name 'app' in the registry with id '000000000000'"
		profile  = `"signingProfileArn": "arn:aws:signer:us-east-1:000000000000:/signing-profiles/`
	)
	for _, st := range []step{
		{"GetSigningConfiguration", `{}`, none},
		{"DeleteSigningConfiguration", `{}`, none},
		{"PutSigningConfiguration", `{"signingConfiguration": {"rules": []}}`, `{"signingConfiguration": {"rules": []}}`},
		{"GetSigningConfiguration", `{}`, `{` + registry + `, "signingConfiguration": {"rules": []}}`},
		{"PutSigningConfiguration", `{"signingConfiguration": {"rules": [{` + profile + `release"}]}}`,
			"ValidationException: The signing profile 'arn:aws:signer:us-east-1:000000000000:/signing-profiles/release' does not exist. Create it with kontor admin signing-profile create release"},
		{"DeleteSigningConfiguration", `{}`, `{` + registry + `, "signingConfiguration": {"rules": []}}`},
		{"DeleteSigningConfiguration", `{}`, none},
		{"DescribeImageSigningStatus", `{` + app + `}`, `{` + registry + `, ` + app + `, "signingStatuses": []}`},
		{"DescribeImageSigningStatus", `{` + nowhere + `}`, noRepo},
		{"DescribeImageSigningStatus", `{` + absent + `}`, noImage},
	} {
		t.Run(st.operation, func(t *testing.T) { s.steps(t, st) })
	}

	key, public := signingKey(t)
	_, other := signingKey(t)
	for name, k := range map[string]string{"release": public, "other": other} {
		if _, err := s.stores.Signing.As(testkit.Admin).PutSigner(t.Context(), testkit.Home, trust.Signer{Name: name, Key: k}); err != nil {
			t.Fatal(err)
		}
	}
	sign(t, s, key, ecr.DigestOf([]byte(manifest)))
	s.steps(t, step{"DescribeImageSigningStatus", `{` + app + `}`, `{` + registry + `, ` + app + `, "signingStatuses": [
		{` + profile + `other", "status": "FAILED", "failureCode": "SignatureNotTrusted", "failureReason": "the signature is not of this key"},
		{` + profile + `release", "status": "COMPLETE"}]}`})

	keys := s.stores.Managed.As(testkit.Admin)
	if _, err := keys.CreateProfile(t.Context(), testkit.Home, managed.NewProfile{Name: "ours"}); err != nil {
		t.Fatal(err)
	}
	const rules = `"signingConfiguration": {"rules": [{` + profile + `ours", "repositoryFilters": [{"filter": "a*", "filterType": "WILDCARD_MATCH"}]}]}`
	s.steps(t, step{"PutSigningConfiguration", `{` + rules + `}`, `{` + rules + `}`}, step{"GetSigningConfiguration", `{}`, `{` + registry + `, ` + rules + `}`})
	pushed, _ := s.image(t, "app", "another layer", "")
	ok[PutImageResponse](t, s, "PutImage", `{"repositoryName": "app", "imageTag": "v2", "imageManifest": `+quoted(t, pushed)+`}`)
	const v2 = `"repositoryName": "app", "imageId": {"imageTag": "v2"}`
	s.steps(t, step{"DescribeImageSigningStatus", `{` + v2 + `}`, `{` + registry + `, ` + v2 + `, "signingStatuses": [{` + profile + `ours", "status": "IN_PROGRESS"}]}`})
	if n, err := s.stores.Managed.Run(t.Context()); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	s.steps(t, step{"DescribeImageSigningStatus", `{` + v2 + `}`, `{` + registry + `, ` + v2 + `, "signingStatuses": [{` + profile + `ours", "status": "COMPLETE"}]}`},
		step{"DeleteSigningConfiguration", `{}`, `{` + registry + `, ` + rules + `}`})
}

func signingKey(t *testing.T) (key *ecdsa.PrivateKey, public string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// sign signs an image of the repository app as cosign does.
func sign(t *testing.T, s *server, key *ecdsa.PrivateKey, d ecr.Digest) {
	t.Helper()
	payload := fmt.Appendf(nil, `{"critical":{"image":{"docker-manifest-digest":%q}}}`, d)
	sum := sha256.Sum256(payload)
	raw, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	w, to, config := s.stores, testkit.At("app"), []byte(`{"rootfs":{}}`)
	w.Blob(to, payload)
	w.Blob(to, config)
	w.MustPut(to, testkit.JSON(map[string]any{"schemaVersion": 2, "mediaType": testkit.ImageType, "config": testkit.DescOf(testkit.ConfigType, config), "layers": []map[string]any{{
		"mediaType": trust.TypeSimpleSigning, "digest": ecr.DigestOf(payload), "size": len(payload),
		"annotations": map[string]string{"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(raw)},
	}}}), ecr.Tag(strings.Replace(string(d), ":", "-", 1)+".sig"))
}
