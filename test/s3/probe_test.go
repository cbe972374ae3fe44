package s3

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/blob/s3"
	"github.com/kontor-registry/kontor/internal/testkit/faults"
)

// checks are the outcomes of a probe by their names.
func checks(t *testing.T, cfg s3.Config) (report.Storage, map[string]report.StorageCheck) {
	t.Helper()
	r, err := s3.Probe(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]report.StorageCheck{}
	for _, c := range r.Checks {
		by[c.Name] = c
	}
	return r, by
}

// A bucket that can do everything, and nothing of the probe is left in it.
func TestProbe(t *testing.T) {
	bucket := newBucket(t)
	r, by := checks(t, config(bucket))
	for _, name := range []string{"write", "read", "checksums", "list", "conditional writes", "multipart", "versioning", "clock", "delete"} {
		t.Run(name, func(t *testing.T) {
			if by[name].Status != report.StorageOK {
				t.Errorf("%+v", by[name])
			}
		})
	}
	if r.Failed() || r.ReadMillis <= 0 || r.WriteMillis <= 0 {
		t.Errorf("%+v", r)
	}
	wantObjects(t, bucket)
	if _, err := client().HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: &bucket, Key: aws.String("registry/kontor.json")}); err == nil {
		t.Error("the probe made a marker")
	}
}

// A bucket with versions is named, by the probe and by its deletions' remains.
func TestVersionedBucket(t *testing.T) {
	bucket := newBucket(t)
	_, err := client().PutBucketVersioning(t.Context(), &awss3.PutBucketVersioningInput{
		Bucket: &bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
	})
	if err != nil {
		t.Fatal(err)
	}
	r, by := checks(t, config(bucket))
	if c := by["versioning"]; c.Status != report.StorageNotice || !strings.Contains(c.Detail, "NoncurrentVersionExpiration") || r.Failed() {
		t.Errorf("%+v", c)
	}
	s := open(t, config(bucket))
	b, key := content(1, 9*mib), blob.NewKey()
	commit(t, appendTo(t, s, key, blob.Progress{}, b), b)
	wantContent(t, s, key, b)
	if err := s.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(t.Context(), key); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("opening what was deleted: %v", err)
	}
}

// user makes a user of the gateway, whom only the policy of a bucket gives rights.
func user(t *testing.T, name string) (id, secret string) {
	t.Helper()
	id, secret = name, "secret-of-"+name
	out, err := exec.CommandContext(t.Context(), os.Getenv("VERSITYGW_BIN"), "admin", "--access", accessKey, "--secret", secretKey,
		"--endpoint-url", "http://"+gateway.Addr, "create-user", "--access", id, "--secret", secret, "--role", "user").CombinedOutput()
	if err != nil {
		t.Fatalf("making user %s: %v\n%s", name, err, out)
	}
	return id, secret
}

// Of a right that is missing, the error and the probe name the right.
func TestMissingRights(t *testing.T) {
	all := []string{"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket", "s3:AbortMultipartUpload"}
	for i, missing := range all {
		t.Run(missing, func(t *testing.T) {
			bucket := newBucket(t)
			open(t, config(bucket)) // makes the marker
			id, secret := user(t, fmt.Sprintf("user-%d", i))
			var given []string
			for _, right := range all {
				if right != missing {
					given = append(given, right)
				}
			}
			policy, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []any{map[string]any{
				"Effect": "Allow", "Principal": map[string]any{"AWS": []string{id}}, "Action": given,
				"Resource": []string{"arn:aws:s3:::" + bucket, "arn:aws:s3:::" + bucket + "/*"},
			}}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := client().PutBucketPolicy(t.Context(), &awss3.PutBucketPolicyInput{Bucket: &bucket, Policy: aws.String(string(policy))}); err != nil {
				t.Fatal(err)
			}
			cfg := config(bucket)
			cfg.AccessKeyID, cfg.SecretAccessKey = id, secret
			r, _ := checks(t, cfg)
			found := false
			for _, c := range r.Checks {
				found = found || c.Status == report.StorageFailed && strings.Contains(c.Detail, missing)
			}
			if !found {
				t.Errorf("the probe does not name %s: %+v", missing, r.Checks)
			}
		})
	}
}

// Opening a store names what is wrong with it.
func TestOpenErrors(t *testing.T) {
	bucket := newBucket(t)
	foreign := newBucket(t)
	for name, body := range map[string]string{"other/kontor.json": "{}", "newer/kontor.json": `{"kontor":"blob store","version":2,"installation":"x"}`, "lost/blobs/ab/file": ""} {
		if _, err := client().PutObject(t.Context(), &awss3.PutObjectInput{Bucket: &foreign, Key: &name, Body: strings.NewReader(body)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		change func(*s3.Config)
		want   string
		is     error
	}{
		{"no bucket", func(c *s3.Config) { c.Bucket = "" }, "no bucket given", nil},
		{"no region", func(c *s3.Config) { c.Region, c.Endpoint = "", "" }, "no region given", nil},
		{"half a key", func(c *s3.Config) { c.SecretAccessKey = "" }, "belong together", nil},
		{"unknown bucket", func(c *s3.Config) { c.Bucket = "kontor-nowhere" }, `the bucket "kontor-nowhere" does not exist`, nil},
		{"wrong secret", func(c *s3.Config) { c.SecretAccessKey = "wrong" }, "does not accept the credentials", nil},
		{"not ours", func(c *s3.Config) { c.Bucket, c.Prefix = foreign, "other" }, "is not Kontor's", nil},
		{"newer", func(c *s3.Config) { c.Bucket, c.Prefix = foreign, "newer" }, "layout 2", nil},
		{"without its marker", func(c *s3.Config) { c.Bucket, c.Prefix = foreign, "lost" }, "restore that object", nil},
		{"no server", func(c *s3.Config) { c.Endpoint, c.Attempts = "http://127.0.0.1:1", 1 }, "", blob.ErrUnavailable},
		{"endpoint", func(c *s3.Config) { c.Endpoint = "127.0.0.1:9000" }, "begins with http://", nil},
		{"prefix", func(c *s3.Config) { c.Prefix = "a//b" }, "dotted parts", nil},
		{"memory", func(c *s3.Config) { c.MemoryBytes = 1 }, "too few", nil},
		{"signing", func(c *s3.Config) { c.PayloadSigning = "sometimes" }, `"sometimes"`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := config(bucket)
			c.change(&cfg)
			_, err := s3.Open(t.Context(), cfg)
			if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// A client fetches a blob by a URL that is valid for minutes, for GET and nothing else.
func TestRedirect(t *testing.T) {
	cfg := config(newBucket(t))
	s := open(t, cfg)
	b, key := content(1, 100_000), blob.NewKey()
	commit(t, appendTo(t, s, key, blob.Progress{}, b), b)
	if url, err := s.Redirect(t.Context(), key); url != "" || err != nil {
		t.Errorf("it is off: %q, %v", url, err)
	}
	cfg.Redirect = true
	s = open(t, cfg)
	url, err := s.Redirect(t.Context(), key)
	if err != nil || !strings.Contains(url, "X-Amz-Expires=300") {
		t.Fatalf("%q, %v", url, err)
	}
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil || !ecr.DigestOf(b).Verifies(got) {
		t.Errorf("%s, %d bytes, %v", res.Status, len(got), err)
	}
	head, err := http.Head(url)
	if err != nil {
		t.Fatal(err)
	}
	if err := head.Body.Close(); err != nil || head.StatusCode == http.StatusOK {
		t.Errorf("HEAD: %s, %v", head.Status, err)
	}
	if _, err := s.Redirect(t.Context(), "../x"); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("an invalid key: %v", err)
	}
	cfg.PublicEndpoint = "https://blobs.example.com"
	if url, err = open(t, cfg).Redirect(t.Context(), key); err != nil || !strings.HasPrefix(url, "https://blobs.example.com/"+cfg.Bucket+"/registry/blobs/") {
		t.Errorf("%q, %v", url, err)
	}
}

// Damage in the store is an error at the end, and not content.
func TestDamageIsNoticed(t *testing.T) {
	bucket := newBucket(t)
	s := open(t, config(bucket))
	if !s.Verified() {
		t.Fatal("the store keeps checksums")
	}
	b, key := content(1, 100_000), blob.NewKey()
	commit(t, appendTo(t, s, key, blob.Progress{}, b), b)
	name := gateway.Dir + "/" + bucket + "/registry/blobs/" + string(key[:2]) + "/" + string(key)
	file, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.WriteAt([]byte{^b[50_000]}, 50_000)
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	f, err := s.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(f)
	if err == nil || !strings.Contains(err.Error(), "damaged") || len(got) >= len(b) {
		t.Errorf("read %d of %d bytes, error %v", len(got), len(b), err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// Payload signing on and off.
func TestPayloadSigning(t *testing.T) {
	for _, how := range []string{s3.PayloadAlways, s3.PayloadNever} {
		cfg := config(newBucket(t))
		cfg.PayloadSigning, cfg.AnswerTimeout = how, time.Minute
		s := open(t, cfg)
		for _, size := range []int{10, 9 * mib} {
			b, key := content(1, size), blob.NewKey()
			commit(t, appendTo(t, s, key, blob.Progress{}, b), b)
			wantContent(t, s, key, b)
		}
	}
}

// The command says the same in text and JSON, and by its exit code.
func TestProbeCommand(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"id": accessKey + "\n", "secret": secretKey + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(code int, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), os.Getenv("KONTOR_BIN"), append([]string{"admin", "storage", "probe"}, args...)...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != code {
			t.Fatalf("%v, want exit code %d:\n%s", err, code, out)
		}
		return string(out)
	}
	args := []string{"--prefix", "registry/eu", "--storage-endpoint", "http://" + gateway.Addr, "--path-style",
		"--access-key-id-file", "id", "--secret-access-key-file", "secret"}
	bucket := newBucket(t)
	good := append(args, "--bucket", bucket)
	out := run(0, good...)
	for _, want := range []string{"ok      conditional writes", "Blobs can be kept in s3://" + bucket + "/registry/eu/."} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	var r report.Storage
	if err := json.Unmarshal([]byte(run(0, append(good, "--json")...)), &r); err != nil || len(r.Checks) != 9 || r.Failed() {
		t.Errorf("%+v, %v", r, err)
	}
	if out := run(1, append(args, "--bucket", "kontor-nowhere")...); !strings.Contains(out, `the bucket "kontor-nowhere" does not exist`) || !strings.Contains(out, "Blobs cannot be kept") {
		t.Error(out)
	}
	if out := run(2, args...); !strings.Contains(out, "--bucket") {
		t.Error(out)
	}
}

// Of a probe whose parts are refused, no multipart upload is left.
func TestProbeThatFails(t *testing.T) {
	bucket := newBucket(t)
	proxy := faults.Start(t, gateway.Addr)
	cfg := config(bucket)
	cfg.Endpoint, cfg.Attempts = proxy.URL, 1
	happened := proxy.Next(faults.SlowDown, func(r *http.Request) bool { return r.URL.Query().Get("partNumber") == "2" })
	if _, by := checks(t, cfg); by["multipart"].Status != report.StorageFailed || !happened() {
		t.Errorf("%+v", by["multipart"])
	}
	wantObjects(t, bucket)
}
