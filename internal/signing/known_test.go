package signing

import (
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/signing/trust"
)

// What is remembered holds for images of the same type only: notation signs the type, and
// who pushes the same bytes elsewhere may name another one.
func TestVerdictsAreOfTypes(t *testing.T) {
	signer := &trust.Verifier{Version: "1"}
	h := holder{of: trust.Image{Digest: ecr.DigestOf([]byte("image")), MediaType: "application/vnd.oci.image.manifest.v1+json"}, manifest: ecr.DigestOf([]byte("signature")), form: trust.Notation}
	other, held := h, h
	other.of.MediaType = "application/vnd.docker.distribution.manifest.v2+json"
	held.mediaType = other.of.MediaType
	if h.key(signer) == other.key(signer) || h.key(signer) == held.key(signer) {
		t.Error("a verdict is taken for one of another type")
	}
}

// The signatures that are verified in one go are bounded, and so is how long it is
// believed that there are too many.
func TestTooManySignatures(t *testing.T) {
	signer, err := trust.Compile(trust.Signer{Name: "release", Key: "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEz9iXeQ/sKSYXtw5FX08cWumbSASr\nxu17GK9fbRltUMwaz9f/vGt+u2YdfdWcXCfjW9IDvjqy1iiKrQXR2dztew==\n-----END PUBLIC KEY-----\n"})
	if err != nil {
		t.Fatal(err)
	}
	left := 1
	list := (&search{}).judge(holder{form: trust.CosignTag, layers: make([]layer, 2)}, [][]byte{[]byte("{}"), []byte("{}")}, signer, &left)
	if len(list) != 2 || !list[0].Until.IsZero() || list[1].Refused == "" || list[1].Until.IsZero() || left != 0 {
		t.Errorf("%+v, %d left", list, left)
	}
}
