package promote_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	ecrapi "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/kontor-registry/kontor/internal/adminclient"
	"github.com/kontor-registry/kontor/internal/deploy/promote"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/remote/remotetest"
	"github.com/kontor-registry/kontor/internal/signing/trust"
	"github.com/kontor-registry/kontor/internal/wire/admin"
	"github.com/kontor-registry/kontor/kontortest"
)

// An image is promoted if it was signed by whom the route names, and if what its registry
// found in it is not worse than the route accepts: asked of a real registry with a real
// scanner, before anything is written.
func TestSignersAndScans(t *testing.T) {
	t.Parallel()
	report := filepath.Join(t.TempDir(), "report.json")
	w := start(t, "oci", func(o *kontortest.Options) {
		o.Scanner = []string{"sh", "-c", `test -f "$1/index.json" && cat "$0"`, report, "{layout}"}
	})
	w.dev.account(w)
	w.dev.create(t, "website", "*")
	w.prod.create(t, "website")

	release, build := newKey(t), newKey(t)
	c := remotetest.NewContent(1)
	one, two := c.Image("linux", "amd64", c.Layer(10)), c.Image("linux", "arm64", c.Layer(10))
	index := c.Index("1.0", one, two)
	_, releasePEM := c.Signed(index, release)
	_, buildPEM := c.Signed(one, build) // of one platform only
	w.dev.push(t, "website", c)

	adminOf := adminclient.New(adminclient.Config{
		Endpoint: w.dev.kontor.URL, Region: w.dev.kontor.Region, Now: time.Now,
		Credentials: credentials.NewStaticCredentialsProvider(w.dev.kontor.Admin.AccessKeyID, w.dev.kontor.Admin.SecretAccessKey, ""),
	})
	for name, key := range map[string]string{"release": releasePEM, "build": buildPEM} {
		if err := adminOf.Call(t.Context(), "PutSigner", admin.PutSignerRequest{Signer: admin.Signer{Name: name, Key: key}}, &admin.PutSignerResponse{}); err != nil {
			t.Fatal(err)
		}
	}
	known := func(name, key string, in ...string) *trust.Verifier {
		return remotetest.Must[*trust.Verifier](t)(trust.Compile(trust.Signer{Name: name, Key: key, Repositories: in}))
	}
	w.config.Signers = map[string]*trust.Verifier{
		"ours": known("ours", releasePEM), "wrong": known("wrong", buildPEM), "elsewhere": known("elsewhere", releasePEM, "prod/*"),
	}
	// scan has all images scanned, and waits for it.
	scan := func(found string) {
		t.Helper()
		text := `{"scanner":{"name":"Example","version":"1"},"vulnerabilities":[` + found + `]}`
		if err := os.WriteFile(report, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		w.dev.kontor.Advance(25 * time.Hour)
		for _, m := range []remotetest.Manifest{one, two} {
			d, name := string(m.Digest), "website"
			id := &types.ImageIdentifier{ImageDigest: &d}
			if _, err := w.dev.api.StartImageScan(t.Context(), &ecrapi.StartImageScanInput{RepositoryName: &name, ImageId: id}); err != nil {
				t.Fatal(err)
			}
			wait := ecrapi.NewImageScanCompleteWaiter(w.dev.api, func(o *ecrapi.ImageScanCompleteWaiterOptions) {
				o.MinDelay, o.MaxDelay = 20*time.Millisecond, time.Second
			})
			if err := wait.Wait(t.Context(), &ecrapi.DescribeImageScanFindingsInput{RepositoryName: &name, ImageId: id}, time.Minute); err != nil {
				t.Fatal(err)
			}
		}
	}
	const bad = `{"id":"CVE-1","package":"p","version":"1","severity":"Critical"},{"id":"CVE-2","package":"p","version":"1","severity":"Low"}`
	const low = `{"id":"CVE-2","package":"p","version":"1","severity":"Low"}`

	for _, tt := range []struct {
		name     string
		scan     *string
		require  promote.Require
		gate     string
		refusal  string // "" when it is met
		detail   string
		verified bool
	}{
		{"the registry says so", nil, promote.Require{SignedBy: []string{"release"}}, "signed_by", "", "release, verified by registry dev", true},
		{"one platform only", nil, promote.Require{SignedBy: []string{"build"}}, "signed_by", "signed_by: build: the signature is not of this key", "", false},
		{"nobody knows the signer", nil, promote.Require{SignedBy: []string{"nobody"}}, "signed_by", "signed_by: nobody: the image is not signed by it", "", false},
		{"verified here", nil, promote.Require{SignedBy: []string{"ours"}}, "signed_by", "", "ours, verified here", true},
		{"another key", nil, promote.Require{SignedBy: []string{"wrong"}}, "signed_by", "signed_by: wrong: the signature is not of this key", "", false},
		{"not trusted here", nil, promote.Require{SignedBy: []string{"elsewhere"}}, "signed_by", "is not trusted in the repository website", "", false},
		{"never scanned", nil, promote.Require{Scanned: true}, "scanned", "linux/amd64: it was not scanned; linux/arm64: it was not scanned", "", false},
		{"never scanned, and no severity", nil, promote.Require{MaxSeverity: ecr.SeverityCritical}, "max_severity", "it was not scanned", "", false},
		{"scanned", new(bad), promote.Require{Scanned: true}, "scanned", "", "at most CRITICAL found", false},
		{"too bad", nil, promote.Require{MaxSeverity: ecr.SeverityHigh}, "max_severity", "linux/amd64: 1 CRITICAL; linux/arm64: 1 CRITICAL found, and at most HIGH is accepted", "", false},
		{"as bad as accepted", nil, promote.Require{MaxSeverity: ecr.SeverityCritical}, "max_severity", "", "at most CRITICAL found, and CRITICAL is accepted", false},
		{"better", new(low), promote.Require{MaxSeverity: ecr.SeverityHigh}, "max_severity", "", "at most LOW found, and HIGH is accepted", false},
		{"nothing accepted", nil, promote.Require{MaxSeverity: ecr.SeverityNone}, "max_severity", "1 LOW", "", false},
		{"nothing found", new(""), promote.Require{MaxSeverity: ecr.SeverityNone}, "max_severity", "", "at most NONE found, and NONE is accepted", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.scan != nil {
				scan(*tt.scan)
			}
			w.prod.proxy.Reset()
			r := request("dev/website:1.0", "prod/website:1.0")
			r.Require = tt.require
			pl := w.plan(w.promoter(), r)
			if tt.refusal != "" {
				refused(t, pl, "KON4008", tt.refusal)
			} else if pl.Images[0].Status != promote.StatusPending {
				t.Errorf("refused: %s", pl.Images[0].Refusal())
			}
			got := pl.Images[0].Gates
			if len(got) != 1 || got[0].Name != tt.gate || got[0].Met != (tt.refusal == "") || got[0].Verified != tt.verified || tt.detail != "" && got[0].Detail != tt.detail {
				t.Errorf("gates %+v", got)
			}
			if writes := w.prod.writes(); len(writes) > 0 {
				t.Errorf("writes: %q", writes)
			}
		})
	}
	t.Run("a registry that does not tell", func(t *testing.T) {
		w.dev.API = nil
		r := request("dev/website:1.0", "prod/website:1.0")
		r.Require = promote.Require{SignedBy: []string{"release"}}
		refused(t, w.plan(w.promoter(), r), "KON4008", "registry dev does not tell who signed: put the signer under signers in the file")
		r.Require = promote.Require{Scanned: true}
		refused(t, w.plan(w.promoter(), r), "KON4008", "registry dev does not tell what scans found")
		r.Require = promote.Require{SignedBy: []string{"ours"}}
		if pl := w.plan(w.promoter(), r); pl.Images[0].Status != promote.StatusPending {
			t.Errorf("refused: %s", pl.Images[0].Refusal())
		}
	})
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	return remotetest.Must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
}
