package s3

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/kontor-registry/kontor/internal/pgtest"
)

// What is damaged and missing in a bucket is fetched again from another registry, while
// the server runs; without it the server says which blob it is, and serves no wrong bytes.
func TestRepair(t *testing.T) {
	dir := site(t)
	bucket := newBucket(t)
	config := configuration(t, dir, "serve.yaml", `audit: "off"`, inDatabase(pgtest.Start(t)), inBucket(dir, bucket))
	server := serveProcess(t, config)
	other := serveProcess(t, configuration(t, dir, "other.yaml", "data: "+dir+"/other"))
	layers := [][]byte{content(1, 100<<10), content(2, 200<<10), content(3, 9<<20)}
	var want string
	for _, url := range []string{server.URL, other.URL} {
		if _, err := apiOf(url).CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("app")}); err != nil {
			t.Fatal(err)
		}
		m, err := dockerAt(t, url).push("app", "v1", layers...)
		if err != nil {
			t.Fatal(err)
		}
		if want == "" {
			want = m
		} else if m != want {
			t.Fatalf("the two registries have different images:\n%s\n%s", m, want)
		}
	}
	// One object goes, in another one byte changes.
	var objects []string
	err := filepath.WalkDir(filepath.Join(gateway.Dir, bucket, "blobs"), func(name string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			objects = append(objects, name)
		}
		return err
	})
	if err != nil || len(objects) != len(layers) {
		t.Fatal(err, objects)
	}
	if err := os.Remove(objects[0]); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(objects[1], os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt([]byte{'x', 'y'}, 1000)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := tryKontor(dir, "admin", "check", "--config", config); err == nil {
		t.Error("the damage was not found")
	}
	if _, err := dockerAt(t, server.URL).pull("app", "v1"); err == nil {
		t.Error("a damaged image was pulled")
	}
	login := dockerAt(t, other.URL)
	host := strings.TrimPrefix(other.URL, "http://")
	auth := fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, host, base64.StdEncoding.EncodeToString([]byte(login.user+":"+login.password)))
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(auth), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_CONFIG", dir)
	out := kontor(t, dir, "admin", "repair", "--from", host, "--config", config)
	if strings.Count(out, "repaired") < 2 {
		t.Errorf("%s", out)
	}
	if out := kontor(t, dir, "admin", "check", "--config", config); !strings.Contains(out, "Everything is whole.") {
		t.Errorf("%s", out)
	}
	server.kill() // it may remember what it found
	if got, err := dockerAt(t, serveProcess(t, config).URL).pull("app", "v1"); err != nil || got != want {
		t.Errorf("%v: %s", err, got)
	}
}
