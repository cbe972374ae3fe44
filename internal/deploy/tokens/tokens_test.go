package tokens

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	kecr "github.com/kontor-registry/kontor/internal/ecr"
)

func TestCache(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	c := Cache{Path: filepath.Join(t.TempDir(), "kontor", "tokens.json"), Now: func() time.Time { return now }}
	a, b := Source{Host: "a.example", Profile: "p"}, Source{Host: "b.example"}
	token := Token{User: "AWS", Password: "for a", ExpiresAt: now.Add(12 * time.Hour)}
	for host, s := range map[string]Source{"a.example": a, "b.example": b} {
		if err := c.Put(s.Key("me"), host, token); err != nil {
			t.Fatal(err)
		}
	}
	if got, ok := c.Get(a.Key("me")); !ok || got != token {
		t.Errorf("%+v, %t", got, ok)
	}
	for name, key := range map[string]string{
		"another user":    a.Key("you"),
		"another profile": Source{Host: "a.example", Profile: "q"}.Key("me"),
		"shifted fields":  Source{Host: "a.example", RoleARN: "p"}.Key("me"),
		"split otherwise": a.Key("m", "e"),
	} {
		t.Run(name, func(t *testing.T) {
			if _, ok := c.Get(key); ok {
				t.Errorf("%s gets the password", name)
			}
		})
	}
	if diff := cmp.Diff(map[string]string{"a.example": "AWS", "b.example": "AWS"}, c.Users()); diff != "" {
		t.Error(diff)
	}
	info, err := os.Stat(c.Path)
	if err != nil || info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}

	// Half of its life, and not a second more.
	now = now.Add(6*time.Hour - time.Second)
	if _, ok := c.Get(a.Key("me")); !ok {
		t.Error("it is gone before half of its life is over")
	}
	now = now.Add(time.Second)
	if _, ok := c.Get(a.Key("me")); ok {
		t.Error("it is used after half of its life")
	}
	now = now.Add(-time.Minute)
	if err := c.Erase("a.example"); err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Get(a.Key("me")); ok {
		t.Error("it is used after it was erased")
	}
	if _, ok := c.Get(b.Key("me")); !ok {
		t.Error("another host's is erased, too")
	}

	// What others could have written or read is not trusted.
	if runtime.GOOS != "windows" {
		if err := os.Chmod(c.Path, 0o640); err != nil {
			t.Fatal(err)
		}
		if _, ok := c.Get(b.Key("me")); ok {
			t.Error("a file that others can read is used")
		}
		if err := c.Put(b.Key("me"), "b.example", token); err != nil {
			t.Fatal(err)
		}
		if info, err = os.Stat(c.Path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
	}
	if err := os.WriteFile(c.Path, []byte("{broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Get(b.Key("me")); ok || len(c.Users()) > 0 {
		t.Error("a broken file holds something")
	}
}

func TestCacheThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := Cache{Path: filepath.Join(file, "tokens.json"), Now: time.Now}
	err := c.Put("k", "h", Token{Password: "hunter2", ExpiresAt: time.Now().Add(time.Hour)})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %v", err)
	}
}

func TestHowLongATokenIsKept(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for left, want := range map[time.Duration]time.Duration{12 * time.Hour: 6 * time.Hour, time.Minute: 30 * time.Second, 0: 0, -time.Hour: 0} {
		t.Run(left.String()+" left", func(t *testing.T) {
			if got := (Token{ExpiresAt: now.Add(left)}).Life(now); got != want {
				t.Errorf("with %s left: %s, want %s", left, got, want)
			}
		})
	}
}

// Whatever a server answers, what it answered is in no error.
func TestMalformedAnswers(t *testing.T) {
	for _, body := range []string{
		`{"authorizationData":[]}`,
		`{"authorizationData":[{"authorizationToken":"c2VjcmV0","expiresAt":1.7e9}]}`,
		`{"authorizationData":[{"authorizationToken":"QVdTOnNlY3JldA=="}]}`,
		`{"authorizationData":[{"authorizationToken":"secret!","expiresAt":1.7e9}]}`,
	} {
		t.Run(body, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/x-amz-json-1.1")
				_, _ = w.Write([]byte(body))
			}))
			_, err := Get(t.Context(), Source{Host: "r.example", Region: "us-east-1", Endpoint: server.URL, AccessKeyID: "AKID", SecretAccessKey: "sesame"})
			server.Close()
			if err == nil || err.Error() != "registry r.example: getting a password: the response is malformed" {
				t.Error(err)
			}
		})
	}
}

// asked is where a client's call went.
type asked struct{ host, authorization string }

func (a *asked) Do(r *http.Request) (*http.Response, error) {
	a.host, a.authorization = r.URL.Host, r.Header.Get("Authorization")
	return nil, errors.New("this test has no network")
}

// The endpoints of the ECR API, by the host of images: those of the SDK's own
// endpoint rules. The call is signed for the region of the name.
func TestEndpointsOfHosts(t *testing.T) {
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	for host, want := range map[string]string{
		"dkr.ecr.us-east-2.amazonaws.com":      "api.ecr.us-east-2.amazonaws.com us-east-2",
		"dkr.ecr-fips.us-east-1.amazonaws.com": "api.ecr-fips.us-east-1.amazonaws.com us-east-1",
		"dkr-ecr.eu-west-1.on.aws":             "ecr.eu-west-1.api.aws eu-west-1",
		"dkr-ecr-fips.us-east-1.on.aws":        "ecr-fips.us-east-1.api.aws us-east-1",
		"dkr.ecr.cn-north-1.amazonaws.com.cn":  "api.ecr.cn-north-1.amazonaws.com.cn cn-north-1",
		"dkr.ecr.eusc-de-east-1.amazonaws.eu":  "api.ecr.eusc-de-east-1.amazonaws.eu eusc-de-east-1",
	} {
		t.Run(host, func(t *testing.T) {
			h, ok := kecr.ParseHost("111111111111." + host)
			if !ok {
				t.Fatalf("%s is no host", host)
			}
			var a asked
			// It would try again: a call that is over cannot.
			ctx, cancel := context.WithCancel(t.Context())
			_, err := Get(ctx, Source{Host: host, Region: h.Region, FIPS: h.FIPS, DualStack: h.DualStack, AccessKeyID: "AKID", SecretAccessKey: "sesame",
				HTTPClient: doer(func(r *http.Request) (*http.Response, error) { cancel(); return a.Do(r) })})
			cancel()
			host, region, _ := strings.Cut(want, " ")
			if err == nil || a.host != host || !strings.Contains(a.authorization, "/"+region+"/ecr/") {
				t.Errorf("asked %s, signed %s, %v, want %s", a.host, a.authorization, err, want)
			}
		})
	}
}

type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }
