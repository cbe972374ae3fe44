package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/deploy/lang"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/host/serve"
	"github.com/kontor-registry/kontor/internal/pgtest"
)

// startReplicas serves one database and one bucket n times, as n replicas of
// kontor serve do. The last one lets clients fetch blobs from the bucket, and has no
// folder.
func startReplicas(t *testing.T, n int) (all []*serve.Server) {
	t.Helper()
	dir, database, bucket := t.TempDir(), pgtest.Start(t), newBucket(t)
	if _, err := identity.CreateMasterKey(filepath.Join(dir, "key")); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"administrator": "aws_access_key_id = AKIASERVE0000000TEST\naws_secret_access_key = not-a-secret-but-long-enough\n", "secret": secretKey + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		data := fmt.Sprintf("data: %s/replica%d", dir, i)
		if i == n-1 {
			data = `audit: "off"`
		}
		text := fmt.Sprintf(`listen: 127.0.0.1:0
registries: [{account: "111111111111", region: us-east-2}]
%[2]s
database: {url: "%[3]s"}
storage: {s3: {bucket: %[4]s, endpoint: "http://%[5]s", path_style: true, access_key_id: %[6]s, secret_access_key_file: %[1]s/secret, redirect: %[7]v}}
master_key_file: %[1]s/key
administrator_file: %[1]s/administrator
`, dir, data, database, bucket, gateway.Addr, accessKey, i == n-1)
		c, err := serve.Load(&lang.Source{Name: "serve.yaml", Data: []byte(text)}, func(string) string { return "" })
		if err != nil {
			t.Fatal(err)
		}
		s, err := serve.Start(context.WithoutCancel(t.Context()), c, serve.Options{Log: slog.New(slog.DiscardHandler), Getenv: func(string) string { return "" }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		all = append(all, s)
	}
	return all
}

// A push whose every request goes to the other replica is one push, and each
// replica serves what came of it.
func TestPushOverReplicas(t *testing.T) {
	replicas := startReplicas(t, 2)
	api := func(i int) *ecr.Client {
		return ecr.New(ecr.Options{
			Region: "us-east-2", BaseEndpoint: aws.String(replicas[i].Registries[0].Endpoint),
			Credentials: credentials.NewStaticCredentialsProvider("AKIASERVE0000000TEST", "not-a-secret-but-long-enough", ""),
		})
	}
	if _, err := api(0).CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("app")}); err != nil {
		t.Fatal(err)
	}
	token, err := api(1).GetAuthorizationToken(t.Context(), &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	login, err := base64.StdEncoding.DecodeString(aws.ToString(token.AuthorizationData[0].AuthorizationToken))
	if err != nil {
		t.Fatal(err)
	}
	user, password, _ := strings.Cut(string(login), ":")
	turn := 0
	send := func(status int, method, path string, body []byte, headers ...string) (http.Header, []byte) {
		t.Helper()
		turn++
		r, err := http.NewRequestWithContext(t.Context(), method, replicas[turn%2].Registries[0].Endpoint+path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth(user, password)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		if cerr := resp.Body.Close(); err != nil || cerr != nil {
			t.Fatal(err, cerr)
		}
		if resp.StatusCode != status {
			t.Fatalf("%s %s: status %d, want %d: %s", method, path, resp.StatusCode, status, b)
		}
		return resp.Header, b
	}
	// location is the path of the next request.
	location := func(h http.Header) string {
		t.Helper()
		u, err := url.Parse(h.Get("Location"))
		if err != nil || u.Path == "" {
			t.Fatalf("Location %q: %v", h.Get("Location"), err)
		}
		return u.RequestURI()
	}
	upload := func(content []byte, pieces int) kecr.Digest {
		t.Helper()
		digest := kecr.DigestOf(content)
		h, _ := send(http.StatusAccepted, http.MethodPost, "/v2/app/blobs/uploads/", nil)
		step := (len(content) + pieces - 1) / pieces
		for from := 0; from < len(content); from += step {
			to := min(from+step, len(content))
			h, _ = send(http.StatusAccepted, http.MethodPatch, location(h), content[from:to],
				"Content-Type", "application/octet-stream", "Content-Range", fmt.Sprintf("%d-%d", from, to-1))
		}
		send(http.StatusCreated, http.MethodPut, location(h)+"?digest="+url.QueryEscape(string(digest)), nil)
		return digest
	}
	layer := make([]byte, 20<<20) // several parts, and a tail
	_, _ = rand.Read(layer)
	config := []byte(`{"architecture":"amd64","os":"linux"}`)
	type descriptor struct {
		MediaType string      `json:"mediaType"`
		Digest    kecr.Digest `json:"digest"`
		Size      int         `json:"size"`
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": descriptor{"application/vnd.oci.image.config.v1+json", upload(config, 1), len(config)},
		"layers": []descriptor{{"application/vnd.oci.image.layer.v1.tar", upload(layer, 3), len(layer)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	send(http.StatusCreated, http.MethodPut, "/v2/app/manifests/v1", manifest, "Content-Type", "application/vnd.oci.image.manifest.v1+json")
	for range 2 {
		if _, got := send(http.StatusOK, http.MethodGet, "/v2/app/manifests/v1", nil, "Accept", "application/vnd.oci.image.manifest.v1+json"); !bytes.Equal(got, manifest) {
			t.Errorf("the manifest is %s", got)
		}
	}
	for range 2 {
		if _, got := send(http.StatusOK, http.MethodGet, "/v2/app/blobs/"+string(kecr.DigestOf(layer)), nil); !bytes.Equal(got, layer) {
			t.Error("the layer is another")
		}
		// It is small, and in the database.
		if _, got := send(http.StatusOK, http.MethodGet, "/v2/app/blobs/"+string(kecr.DigestOf(config)), nil); !bytes.Equal(got, config) {
			t.Errorf("the configuration is %s", got)
		}
	}
	redirected(t, api(1), replicas[1].Registries[0].Endpoint, user, password, layer)
	// What is deleted at one is gone at the other.
	if _, err := api(0).DeleteRepository(t.Context(), &ecr.DeleteRepositoryInput{RepositoryName: aws.String("app"), Force: true}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		send(http.StatusNotFound, http.MethodGet, "/v2/app/manifests/v1", nil)
	}
}

// redirected checks that a replica sends who fetches a blob to the bucket, and
// answers HEAD itself.
func redirected(t *testing.T, api *ecr.Client, endpoint, user, password string, layer []byte) {
	t.Helper()
	digest := string(kecr.DigestOf(layer))
	download, err := api.GetDownloadUrlForLayer(t.Context(), &ecr.GetDownloadUrlForLayerInput{RepositoryName: aws.String("app"), LayerDigest: &digest})
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	type answer struct {
		status int
		length int64
		header http.Header
		body   []byte
	}
	send := func(method, at string) answer {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, at, nil)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(at, endpoint+"/v2/") {
			r.SetBasicAuth(user, password)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		if cerr := resp.Body.Close(); err != nil || cerr != nil {
			t.Fatal(err, cerr)
		}
		return answer{resp.StatusCode, resp.ContentLength, resp.Header, b}
	}
	for _, at := range []string{endpoint + "/v2/app/blobs/" + digest, aws.ToString(download.DownloadUrl)} {
		if a := send(http.MethodHead, at); a.status != http.StatusOK || a.length != int64(len(layer)) {
			t.Errorf("HEAD %s: status %d, %d bytes", at, a.status, a.length)
		}
		a := send(http.MethodGet, at)
		to := a.header.Get("Location")
		if a.status != http.StatusTemporaryRedirect || !strings.HasPrefix(to, "http://"+gateway.Addr+"/") || a.header.Get("Docker-Content-Digest") != digest {
			t.Errorf("GET %s: status %d, to %q", at, a.status, to)
			continue
		}
		if a := send(http.MethodGet, to); a.status != http.StatusOK || !bytes.Equal(a.body, layer) {
			t.Errorf("GET from the bucket: status %d, %d bytes", a.status, len(a.body))
		}
	}
	if a := send(http.MethodGet, endpoint+"/v2/app/blobs/"+string(kecr.DigestOf(nil))); a.status != http.StatusNotFound {
		t.Errorf("a blob that is not there: status %d", a.status)
	}
}
