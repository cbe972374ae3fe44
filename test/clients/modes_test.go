package clients

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// mode is a value of `kontor up --compat`, with what the tests of more than
// one client expect of it. What only one client shows is in differences, and
// everything else that clients do is the same in both.
type mode struct {
	compat string
	// Pushing the image that an immutable tag already has is not a push, and
	// succeeds.
	repush bool
	// putAgain is the exception, and its text, for a PutImage of that image.
	putAgain func(repository, tag, digest string) (code, text string)
}

var (
	// What works here works on ECR.
	ecrMode = mode{compat: "ecr", putAgain: func(repository, tag, _ string) (code, text string) {
		return "ImageTagAlreadyExistsException", tagExists(repository, tag)
	}}
	// What the OCI specification says.
	ociMode = mode{compat: "oci", repush: true, putAgain: func(repository, tag, digest string) (code, text string) {
		return "ImageAlreadyExistsException", fmt.Sprintf("Image with digest '%s' and tag '%s' already exists in the repository with name '%s' in registry with id '000000000000'", digest, tag, repository)
	}}
	modes = []mode{ecrMode, ociMode}
)

// inBothModes runs a test in each mode, on their own servers.
func inBothModes(t *testing.T, test func(*testing.T, *kontor)) {
	for _, m := range modes {
		t.Run(m.compat, func(t *testing.T) {
			t.Parallel()
			test(t, upWith(t, m, file))
		})
	}
}

// again runs a program that pushes the image that an immutable tag already
// has.
func (k *kontor) again(repository, tag, name string, args ...string) {
	k.t.Helper()
	if k.mode.repush {
		k.ok(name, args...)
		return
	}
	k.fails([]string{tagExists(repository, tag)}, name, args...)
}

// differences are what compat ecr refuses, because ECR does, and compat oci
// takes.
var differences = []struct {
	name string
	// command prepares, and returns the program that shows it.
	command func(*kontor) []string
	refusal string
}{
	{"more than 1000 tags a page", func(k *kontor) []string {
		k.push("website", "v1")
		return k.regctl("tag", "ls", "--limit", "1001", k.host+"/website")
	}, "Invalid parameter at 'maxResults' failed to satisfy constraint: 'Member must have value less than or equal to 1000'"},

	{"an empty blob", func(k *kontor) []string {
		return []string{orasBin, "blob", "push", "--no-tty", k.host + "/test", k.fileOf("empty", nil)}
	}, "in registry with id '000000000000' cannot be completed because it does not have any parts."},

	{"an image without layers", func(k *kontor) []string {
		k.ok(orasBin, "blob", "push", "--no-tty", k.host+"/test", k.fileOf("config.json", []byte("{}")))
		return k.pushManifest("test:bare", `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"`+
			string(ecr.DigestOf([]byte("{}")))+`","size":2},"layers":[]}`)
	}, "Image has to have at least 1 layer"},

	{"an index of images that are not there", func(k *kontor) []string {
		return k.pushManifest("test:sparse", `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"`+
			string(ecr.DigestOf([]byte("nothing")))+`","size":7,"platform":{"os":"linux","architecture":"amd64"}}]}`)
	}, "Images with digests '[" + string(ecr.DigestOf([]byte("nothing"))) + "]' required for pushing image into repository with name 'test' in the registry with id '000000000000' do not exist"},

	{"a blob to delete", func(k *kontor) []string {
		blob := []byte("no image refers to it")
		k.ok(orasBin, "blob", "push", "--no-tty", k.host+"/test", k.fileOf("unused", blob))
		return []string{orasBin, "blob", "delete", "--force", "-u", "AWS", "-p", k.adminPassword(), k.host + "/test@" + string(ecr.DigestOf(blob))}
	}, "The operation is unsupported."},

	{"a layer in small parts", func(k *kontor) []string {
		var begun struct{ UploadID string }
		k.aws(&begun, "ecr", "initiate-layer-upload", "--repository-name", "test")
		parts := []string{"the first part, ", "and the second"}
		at := 0
		for i, part := range parts {
			k.aws(nil, "ecr", "upload-layer-part", "--repository-name", "test", "--upload-id", begun.UploadID,
				"--part-first-byte", fmt.Sprint(at), "--part-last-byte", fmt.Sprint(at+len(part)-1), "--layer-part-blob", "fileb://"+k.fileOf(fmt.Sprint("part", i), []byte(part)))
			at += len(part)
		}
		return append([]string{awsBin}, k.awsArgs([]string{"ecr", "complete-layer-upload", "--repository-name", "test",
			"--upload-id", begun.UploadID, "--layer-digests", string(ecr.DigestOf([]byte(strings.Join(parts, ""))))})...)
	}, "(LayerPartTooSmallException)"},
}

func TestWhereModesDiffer(t *testing.T) {
	inBothModes(t, func(t *testing.T, k *kontor) {
		for _, d := range differences {
			t.Run(d.name, func(t *testing.T) {
				k := *k
				k.t = t
				args := d.command(&k)
				if k.mode.compat == "ecr" {
					k.fails([]string{d.refusal}, args[0], args[1:]...)
				} else {
					k.ok(args[0], args[1:]...)
				}
			})
		}
		// A mount of what no image refers to. Clients upload the blob when they
		// are told to, and no one notices: so the answer itself.
		blob := []byte("of no image")
		k.ok(orasBin, "blob", "push", "--no-tty", k.host+"/test", k.fileOf("of-no-image", blob))
		want := map[string]int{"ecr": http.StatusAccepted, "oci": http.StatusCreated}[k.mode.compat]
		got := k.do(http.MethodPost, "/v2/scraper/blobs/uploads/?mount="+string(ecr.DigestOf(blob))+"&from=test", k.pusherPassword(), nil, "")
		if got.status != want {
			t.Errorf("POST of a mount: %d, not %d: %s", got.status, want, got.body)
		}
	})
}

// fileOf writes a file into the home and returns its path.
func (k *kontor) fileOf(name string, content []byte) string {
	k.t.Helper()
	path := filepath.Join(k.home, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		k.t.Fatal(err)
	}
	return path
}

// pushManifest is oras' command that pushes a manifest as it is.
func (k *kontor) pushManifest(image, manifest string) []string {
	var m struct{ MediaType string }
	if err := json.Unmarshal([]byte(manifest), &m); err != nil {
		k.t.Fatal(err)
	}
	name := strings.ReplaceAll(image, ":", "-") + ".json"
	return []string{orasBin, "manifest", "push", "--media-type", m.MediaType, k.host + "/" + image, k.fileOf(name, []byte(manifest))}
}
