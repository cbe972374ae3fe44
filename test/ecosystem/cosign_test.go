package ecosystem

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A signature that was made at the source verifies at the destination, in both
// forms in which cosign keeps it; a route that verifies takes no other images.
func TestCosign(t *testing.T) {
	for form, args := range map[string]struct{ sign, verify []string }{
		"under a tag":   {[]string{"--new-bundle-format=false"}, []string{"--new-bundle-format=false"}},
		"as a referrer": {[]string{"--new-bundle-format=true"}, []string{"--new-bundle-format=true"}},
	} {
		t.Run(form, func(t *testing.T) {
			w := start(t)
			w.ok(cosignBin, "generate-key-pair")
			w.routes(append([]string{cosignBin, "verify", "--key", "cosign.pub", "--insecure-ignore-tlog=true"}, args.verify...)...)
			digest := w.push("1.0")
			// It is not signed yet.
			w.fails("website:1.0 is not promoted: signature: there is none", kontorBin, "promote", "website:1.0", "--to", "prod")
			sign := append([]string{"sign", "--yes", "--recursive", "--tlog-upload=false", "--use-signing-config=false"}, args.sign...)
			w.ok(cosignBin, append(sign, "--key", "cosign.key", w.staging+"/website@"+digest)...)
			w.ok(kontorBin, "wait", "staging/website:1.0", "--signed")

			w.ok(kontorBin, "promote", "website:1.0", "--to", "prod")
			verify := append([]string{"verify", "--key", "cosign.pub", "--insecure-ignore-tlog=true"}, args.verify...)
			w.ok(cosignBin, append(verify, w.prod+"/website:1.0")...)
			w.ok(cosignBin, append(verify, w.prod+"/website@"+digest)...)
			if got := w.ok(kontorBin, "promote", "history", "prod/website:1.0"); !strings.Contains(got, "verified verify: "+cosignBin+" verify --key cosign.pub") {
				t.Errorf("the record does not say that it was verified:\n%s", got)
			}

			// Signed by another key: a signature exists, and is not genuine.
			other := w.push("2.0")
			if err := os.Mkdir(filepath.Join(w.home, "other"), 0o700); err != nil {
				t.Fatal(err)
			}
			w.ok(cosignBin, "generate-key-pair", "--output-key-prefix", "other/cosign")
			w.ok(cosignBin, append(sign, "--key", "other/cosign.key", w.staging+"/website@"+other)...)
			w.fails("staging/website:2.0 is not promoted: verify: ", kontorBin, "promote", "website:2.0", "--to", "prod")
		})
	}
}
