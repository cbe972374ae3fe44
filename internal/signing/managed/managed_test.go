package managed_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/pgtest"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/signing"
	"github.com/kontor-registry/kontor/internal/signing/managed"
	"github.com/kontor-registry/kontor/internal/signing/trust"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// profile creates a profile, whose signatures the registry trusts.
func profile(t *testing.T, w *testkit.World, n managed.NewProfile) string {
	t.Helper()
	p, err := w.Managed.As(testkit.Admin).CreateProfile(t.Context(), testkit.Home, n)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Signing.As(testkit.Admin).PutSigner(t.Context(), testkit.Home, trust.Signer{Name: n.Name, Certificates: p.Certificates}); err != nil {
		t.Fatal(err)
	}
	return p.ARN
}

// rules has everything signed by the profiles.
func rules(t *testing.T, w *testkit.World, rules ...managed.Rule) {
	t.Helper()
	if err := w.Managed.As(testkit.Admin).PutSigningConfiguration(t.Context(), testkit.Home, managed.Configuration{Rules: rules}); err != nil {
		t.Fatal(err)
	}
}

// run makes the signatures that are due.
func run(t *testing.T, w *testkit.World) int {
	t.Helper()
	n, err := w.Managed.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// signedBy are the signers of an image, each once for each signature.
func signedBy(t *testing.T, w *testkit.World, at ecr.Repo, d ecr.Digest) (names []string) {
	t.Helper()
	r, err := w.Signing.As(testkit.Admin).ImageSignatures(t.Context(), at, ecr.ImageID{Digest: d})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range r.Signatures {
		if g.Refused == "" && g.Of == d {
			names = append(names, g.Signer)
		}
	}
	return names
}

// status is what DescribeImageSigningStatus says, by the name of the profile.
func status(t *testing.T, w *testkit.World, at ecr.Repo, d ecr.Digest) map[string]signing.Status {
	t.Helper()
	list, err := w.Signing.As(testkit.Admin).ImageSigningStatus(t.Context(), at, ecr.ImageID{Digest: d})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]signing.Status{}
	for _, s := range list {
		name, _ := managed.ProfileName(testkit.Home, s.ARN)
		out[name] = s
	}
	return out
}

func TestPushedImagesAreSigned(t *testing.T) {
	for name, open := range testkit.Databases {
		t.Run(name, func(t *testing.T) {
			w := testkit.OpenOn(t, testkit.Settings{Compat: registry.CompatECR}, open(t))
			app, tool := w.Repo("prod/app", ecr.Immutable), w.Repo("tool", ecr.Mutable)
			early := w.MustPut(app, w.Image(app, "early"), "early")
			if w.Managed.Due(t.Context()) {
				t.Error("a signature is due where nothing is signed")
			}
			all, prod := profile(t, w, managed.NewProfile{Name: "all"}), profile(t, w, managed.NewProfile{Name: "prod", Subject: "C=DE, ST=HH, O=Example, CN=release"})
			rules(t, w, managed.Rule{Profile: all}, managed.Rule{Profile: prod, Filters: []string{"test/*", "prod/*"}}, managed.Rule{Profile: all, Filters: []string{"prod/app"}})

			body, other := w.Image(app, "one"), w.Image(tool, "two")
			one, two := w.MustPut(app, body, "v1"), w.MustPut(tool, other, "v1")
			index := w.MustPut(app, testkit.Index(body), "all")
			if got := status(t, w, app, one); got["prod"].State != ecr.SigningInProgress || got["all"].State != ecr.SigningInProgress {
				t.Errorf("before the job: %v", got)
			}
			if !w.Managed.Due(t.Context()) {
				t.Error("no signature is due after a push")
			}
			if n := run(t, w); n != 5 {
				t.Errorf("%d signatures were made, not 5", n)
			}
			if w.Managed.Due(t.Context()) {
				t.Error("a signature is due after all were made")
			}
			for _, c := range []struct {
				at   ecr.Repo
				d    ecr.Digest
				want []string
			}{{app, one, []string{"all", "prod"}}, {tool, two, []string{"all"}}, {app, index, []string{"all", "prod"}}, {app, early, nil}} {
				got := signedBy(t, w, c.at, c.d)
				if d := cmp.Diff(c.want, sorted(got)); d != "" {
					t.Errorf("%s is signed by (-want +got):\n%s", c.d, d)
				}
				for _, name := range c.want {
					if got := status(t, w, c.at, c.d)[name]; got.State != ecr.SigningComplete || got.Code != "" {
						t.Errorf("%s: %+v", name, got)
					}
				}
			}
			// Pushed again, nothing is signed again; and no signature is.
			w.MustPut(app, body, "v2")
			if n := run(t, w); n != 0 {
				t.Errorf("%d more signatures were made", n)
			}
			// A signature that was deleted is made again with the next push.
			refs, _, err := w.ListReferrers(t.Context(), tool, two, "", "", 10)
			if err != nil || len(refs) != 1 {
				t.Fatal(refs, err)
			}
			w.DeleteImages(tool, refs[0].Digest)
			w.MustPut(tool, other, "v2")
			if n := run(t, w); n != 1 {
				t.Errorf("%d signatures were made in place of the one that was deleted", n)
			}
		})
	}
}

func sorted(list []string) []string {
	if len(list) == 2 && list[0] > list[1] {
		list[0], list[1] = list[1], list[0]
	}
	return list
}

// errKilled stands for the end of the process.
var errKilled = errors.New("killed")

// mortal is a database whose process dies: after so many writes, before the next is
// committed or after it.
type mortal struct {
	meta.Store
	mu     sync.Mutex
	left   int // guarded by mu
	after  bool
	killed func()
}

func (m *mortal) Update(ctx context.Context, fn func(ctx context.Context, tx meta.Tx) error) error {
	m.mu.Lock()
	m.left--
	left := m.left
	m.mu.Unlock()
	if left > 0 {
		return m.Store.Update(ctx, fn)
	}
	if left == 0 && m.after {
		if err := m.Store.Update(ctx, fn); err != nil {
			return err
		}
	}
	m.killed()
	return errKilled
}

// However often a process is killed at whatever write, an image gets one signature.
func TestOneSignatureOverKills(t *testing.T) {
	w := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	app := w.Repo("app", ecr.Mutable)
	rules(t, w, managed.Rule{Profile: profile(t, w, managed.NewProfile{Name: "release"})})
	kills := 0
	for writes := 1; ; writes++ {
		killed := false
		for _, after := range []bool{false, true} {
			d := w.MustPut(app, w.Image(app, fmt.Sprint(writes, after)))
			ctx, kill := context.WithCancel(t.Context())
			dead := &mortal{Store: w.Meta, left: writes, after: after, killed: kill}
			dying := w.With(func(s *testkit.Settings) { s.Between = dead })
			if _, err := dying.Managed.Run(ctx); err != nil {
				killed = true
				kills++
			}
			kill()
			run(t, w)
			if got := signedBy(t, w, app, d); len(got) != 1 {
				t.Errorf("killed at write %d (after it: %t): %d signatures", writes, after, len(got))
			}
			if got := status(t, w, app, d)["release"]; got.State != ecr.SigningComplete {
				t.Errorf("killed at write %d: %+v", writes, got)
			}
		}
		if !killed {
			break
		}
	}
	if kills < 6 {
		t.Errorf("%d kills: the job makes more writes", kills)
	}
}

// Replicas that do the same at a time, as after a lost lease, make one signature.
func TestOneSignatureOfManyReplicas(t *testing.T) {
	for name, open := range testkit.Databases {
		t.Run(name, func(t *testing.T) {
			w := testkit.OpenOn(t, testkit.Settings{Compat: registry.CompatECR}, open(t))
			app := w.Repo("app", ecr.Mutable)
			rules(t, w, managed.Rule{Profile: profile(t, w, managed.NewProfile{Name: "release"})})
			var images []ecr.Digest
			for i := range 8 {
				images = append(images, w.MustPut(app, w.Image(app, fmt.Sprint(i))))
			}
			var all sync.WaitGroup
			for range 3 {
				replica := w.Replica(func(*testkit.Settings) {}, nil)
				all.Go(func() {
					if _, err := replica.Managed.Run(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			run(t, w)
			for _, d := range images {
				if got := signedBy(t, w, app, d); len(got) != 1 {
					t.Errorf("%s has %d signatures", d, len(got))
				}
			}
		})
	}
}

// On ECR, whoever pushes signs, and needs signer:SignPayload on the profile.
func TestPusherNeedsSignPayload(t *testing.T) {
	w := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	app := w.Repo("app", ecr.Mutable)
	arn := profile(t, w, managed.NewProfile{Name: "release"})
	rules(t, w, managed.Rule{Profile: arn})
	ci := access.Principal{Account: testkit.Home.Account, ARN: "arn:aws:iam::000000000000:user/ci", Policies: []string{access.PolicyPushPull}}
	body := w.Image(app, "one")
	d := w.As(ci).MustPut(app, body, "v1")
	run(t, w)
	want := signing.Status{
		ARN: arn, State: ecr.SigningFailed, Code: "AccessDenied",
		Reason: "arn:aws:iam::000000000000:user/ci may not perform signer:SignPayload on " + arn + ". Allow it and push the image again.",
	}
	if d := cmp.Diff(want, status(t, w, app, d)["release"]); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	ci.Documents = append(ci.Documents, access.Document{Name: "sign", Text: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"signer:SignPayload","Resource":"` + arn + `"}]}`})
	w.As(ci).MustPut(app, body, "v1")
	run(t, w)
	if got := signedBy(t, w, app, d); len(got) != 1 {
		t.Errorf("signed by %v after it was allowed", got)
	}
	// What the server itself stores, such as images of a cache, is not signed.
	if _, err := w.Registry.System("test").PutImage(t.Context(), app, registry.NewImage{Body: w.Image(app, "two"), Tags: []ecr.Tag{"v2"}}); err != nil {
		t.Fatal(err)
	}
	if n := run(t, w); n != 0 {
		t.Errorf("%d images of the server's were signed", n)
	}
}

func TestSignaturesThatFail(t *testing.T) {
	for _, c := range []struct {
		name, code, reason string
		spoil              func(w *testkit.World)
	}{
		{"the certificate expired", "SigningProfileUnusable", "the certificate of CN=release,O=000000000000,ST=us-east-1,C=XX expired on 2026-03-31 12:00:00 UTC", func(w *testkit.World) { w.Advance(31 * testkit.Day) }},
		{"the profile went", "SigningProfileNotFound", "the signing profile was deleted", func(w *testkit.World) {
			c := w.Managed.As(testkit.Admin)
			if _, err := c.DeleteSigningConfiguration(w.T.Context(), testkit.Home); err != nil {
				w.T.Fatal(err)
			}
			if err := c.DeleteProfile(w.T.Context(), testkit.Home, "release"); err != nil {
				w.T.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
			app := w.Repo("app", ecr.Mutable)
			arn := profile(t, w, managed.NewProfile{Name: "release", Days: 30})
			rules(t, w, managed.Rule{Profile: arn})
			d := w.MustPut(app, w.Image(app, "one"))
			c.spoil(w)
			run(t, w)
			if d := cmp.Diff(signing.Status{ARN: arn, State: ecr.SigningFailed, Code: c.code, Reason: c.reason}, status(t, w, app, d)["release"]); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// A store that fails is asked again, with pauses, and in the end the signature has failed.
func TestFailuresAreTriedAgain(t *testing.T) {
	w := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	app := w.Repo("app", ecr.Mutable)
	rules(t, w, managed.Rule{Profile: profile(t, w, managed.NewProfile{Name: "release"})})
	d := w.MustPut(app, w.Image(app, "one"))
	broken := w.With(func(s *testkit.Settings) { s.Between = noUploads{w.Meta} })
	tries := 0
	for ; status(t, w, app, d)["release"].State == ecr.SigningInProgress; tries++ {
		if tries > 100 {
			t.Fatal("it does not end")
		}
		if n := run(t, broken); n != 0 {
			t.Fatal("it was signed")
		}
		if n := run(t, w); n != 0 && tries < 5 {
			t.Fatal("it was tried again without a pause")
		}
		w.Advance(testkit.Hour)
	}
	if got := status(t, w, app, d)["release"]; tries != 20 || got.Code != "InternalFailure" || !strings.Contains(got.Reason, errKilled.Error()) {
		t.Errorf("after %d tries: %+v", tries, got)
	}
}

// noUploads is a database that takes no uploads.
type noUploads struct{ meta.Store }

func (n noUploads) Update(ctx context.Context, fn func(ctx context.Context, tx meta.Tx) error) error {
	return n.Store.Update(ctx, func(ctx context.Context, tx meta.Tx) error { return fn(ctx, noUploadsTx{tx}) })
}

type noUploadsTx struct{ meta.Tx }

func (noUploadsTx) InsertUpload(context.Context, meta.Upload) error { return errKilled }

// chain makes a root and a certificate of the key.
func chain(t *testing.T, public any) string {
	t.Helper()
	root, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	noon := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	of := func(name string, ca bool) *x509.Certificate {
		c := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{Country: []string{"DE"}, Province: []string{"HH"}, Organization: []string{"Example"}, CommonName: name},
			NotBefore: noon, NotAfter: noon.Add(1000 * time.Hour), BasicConstraintsValid: true, IsCA: ca, KeyUsage: x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		}
		if ca {
			c.KeyUsage, c.ExtKeyUsage = x509.KeyUsageCertSign, nil
		}
		return c
	}
	text := ""
	for _, c := range []struct {
		template *x509.Certificate
		public   any
	}{{of("release", false), public}, {of("root", true), root.Public()}} {
		der, err := x509.CreateCertificate(rand.Reader, c.template, of("root", true), c.public, root)
		if err != nil {
			t.Fatal(err)
		}
		text += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	return text
}

func pemOf(kind string, der []byte, err error) string {
	if err != nil {
		return err.Error()
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestBroughtKeys(t *testing.T) {
	w := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	app := w.Repo("app", ecr.Mutable)
	small, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curveDER, err := x509.MarshalECPrivateKey(curve)
	pkcs8, err8 := x509.MarshalPKCS8PrivateKey(small)
	ofCurve, ofRSA := chain(t, curve.Public()), chain(t, small.Public())
	for name, n := range map[string]managed.NewProfile{
		"curve": {Key: pemOf("EC PRIVATE KEY", curveDER, err), Certificates: ofCurve},
		"pkcs1": {Key: pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(small), nil), Certificates: ofRSA},
		"pkcs8": {Key: pemOf("PRIVATE KEY", pkcs8, err8), Certificates: ofRSA},
	} {
		n.Name = name
		rules(t, w, managed.Rule{Profile: profile(t, w, n)})
		d := w.MustPut(app, w.Image(app, name))
		run(t, w)
		if got := signedBy(t, w, app, d); len(got) == 0 {
			t.Errorf("%s: not signed: %v", name, status(t, w, app, d))
		}
	}
	pairs := []struct {
		name string
		n    managed.NewProfile
		want string
	}{
		{"a key without certificates", managed.NewProfile{Name: "new", Key: "x"}, "a private key and its certificates go together"},
		{"no key", managed.NewProfile{Name: "new", Key: "x", Certificates: ofRSA}, "the private key is not in PEM"},
		{"an encrypted key", managed.NewProfile{Name: "new", Key: pemOf("ENCRYPTED PRIVATE KEY", nil, nil), Certificates: ofRSA}, "the private key is encrypted"},
		{"another key", managed.NewProfile{Name: "new", Key: pemOf("EC PRIVATE KEY", curveDER, err), Certificates: ofRSA}, "the key and the first certificate do not fit"},
		{"the chain in reverse", managed.NewProfile{Name: "new", Key: pemOf("EC PRIVATE KEY", curveDER, err), Certificates: reversed(ofCurve)}, "the certificates are not good for signing"},
		{"a subject of a certificate that is there", managed.NewProfile{Name: "new", Key: pemOf("EC PRIVATE KEY", curveDER, err), Certificates: ofCurve, Subject: "C=DE"}, "a subject and a number of days are for a certificate that is made"},
		{"a subject that is none", managed.NewProfile{Name: "new", Subject: "release"}, "the subject \"release\" cannot be read"},
		{"too many days", managed.NewProfile{Name: "new", Days: managed.MaxDays + 1}, "a certificate is valid for 1 to 36500 days"},
		{"a name that is none", managed.NewProfile{Name: "a-b"}, "a profile's name has 2 to 64 letters, digits and underscores"},
		{"a name that is taken", managed.NewProfile{Name: "curve"}, "has a signing profile 'curve' already"},
		{"nothing to replace", managed.NewProfile{Name: "new", Replace: true}, "has no signing profile 'new'"},
	}
	c := w.Managed.As(testkit.Admin)
	for _, p := range pairs {
		t.Run(p.name, func(t *testing.T) {
			_, err := c.CreateProfile(t.Context(), testkit.Home, p.n)
			testkit.WantCode(t, err, ecr.CodeInvalidParameter, p.want)
		})
	}
	old, err := c.Profiles(t.Context(), testkit.Home, "curve")
	if err != nil {
		t.Fatal(err)
	}
	replaced, err := c.CreateProfile(t.Context(), testkit.Home, managed.NewProfile{Name: "curve", Replace: true})
	if err != nil || replaced.Certificates == old[0].Certificates || !replaced.CreatedAt.Equal(old[0].CreatedAt) {
		t.Errorf("%+v: %v", replaced, err)
	}
	rules(t, w, managed.Rule{Profile: replaced.ARN})
	testkit.WantCode(t, c.DeleteProfile(t.Context(), testkit.Home, "curve"), ecr.CodeInvalidParameter, "the signing configuration names the profile 'curve'")
	testkit.WantCode(t, c.DeleteProfile(t.Context(), testkit.Home, "none"), ecr.CodeInvalidParameter, "has no signing profile 'none'")
}

func reversed(chain string) string {
	const end = "-----END CERTIFICATE-----\n"
	parts := strings.SplitAfter(chain, end)
	return parts[1] + parts[0]
}

func TestConfigurationNamesProfilesThatExist(t *testing.T) {
	w := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	c := w.Managed.As(testkit.Admin)
	for arn, want := range map[string]string{
		trust.ARN(testkit.Home, "none"):                                "does not exist. Create it with kontor admin signing-profile create none",
		"arn:aws:signer:us-east-1:999999999999:/signing-profiles/none": "is not one of the registry",
		"arn:aws:signer:eu-west-1:000000000000:/signing-profiles/none": "is not one of the registry",
	} {
		err := c.PutSigningConfiguration(t.Context(), testkit.Home, managed.Configuration{Rules: []managed.Rule{{Profile: arn}}})
		testkit.WantCode(t, err, ecr.CodeValidation, want)
	}
	if _, err := c.SigningConfiguration(t.Context(), testkit.Home); ecr.CodeOf(err) != ecr.CodeSigningConfigurationNotFound {
		t.Error(err)
	}
}
