package server_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// inTmpfs runs the calling test again in a separate process that has a private
// filesystem of size bytes, and returns its folder there; in
// the first process it returns "" when that is over. Without root it takes a
// user namespace, see user_namespaces(7).
func inTmpfs(t *testing.T, size int) string {
	t.Helper()
	const variable = "KONTOR_TEST_TMPFS"
	if dir := os.Getenv(variable); dir != "" {
		if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
			t.Fatalf("keeping mounts to this process: %v", err)
		}
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
			t.Fatalf("mounting: %v", err)
		}
		return dir
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), variable+"="+t.TempDir())
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	cmd.SysProcAttr = attr
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return ""
}

// A full disk refuses pushes in each protocol's words and says when to try
// again, goes on serving, and takes pushes again when there is space.
func TestFullDisk(t *testing.T) {
	dir := inTmpfs(t, 32<<20)
	if dir == "" {
		return
	}
	w := start(t, filepath.Join(dir, "data"))
	w.create(here, "app")
	admin, password := w.credentials(here, administrator), w.password(here, pusher)
	layerContent := strings.Repeat("a layer ", 10_000)
	_, layer := w.push(here, password, "app", "v1", layerContent)

	const full = "The registry's disk is full. Nothing was stored; try again when there is space."
	ociFull := `{"errors":[{"code":"UNAVAILABLE","message":"` + full + `"}]}`
	ecrFull := `{"__type":"ServiceUnavailableException","message":"` + full + `"}`
	pulls := func() {
		t.Helper()
		w.want(w.do(w.basic(here, password, "GET", "/v2/app/manifests/v1", "")), 200)
		if a := w.want(w.do(w.basic(here, password, "GET", "/v2/app/blobs/"+string(layer), "")), 200); a.body != layerContent {
			t.Errorf("pulled %d bytes", len(a.body))
		}
	}
	post := func(content string) *http.Request {
		return w.basic(here, password, "POST", "/v2/app/blobs/uploads/?digest="+string(ecr.DigestOf([]byte(content))), content)
	}
	space := func() uint64 {
		t.Helper()
		var st syscall.Statfs_t
		if err := syscall.Statfs(dir, &st); err != nil {
			t.Fatal(err)
		}
		return st.Bavail * uint64(st.Bsize)
	}

	// A layer larger than what is left.
	before := space()
	big := strings.Repeat("x", 48<<20)
	w.refused(w.do(post(big)), 503, ociFull)
	pulls()
	location := w.want(w.do(w.basic(here, password, "POST", "/v2/app/blobs/uploads/", "")), 202).header.Get("Location")
	w.refused(w.do(w.basic(here, password, "PATCH", location, big)), 503, ociFull)
	w.want(w.do(w.basic(here, password, "GET", location, "")), 404)
	// Nothing of it takes space, except for a little that the database grew.
	if after := space(); after+(1<<20) < before {
		t.Errorf("%d bytes are free, %d were", after, before)
	}

	// The same in parts.
	var begun struct{ UploadID string }
	if err := json.Unmarshal([]byte(w.want(w.do(w.json(here, admin, "InitiateLayerUpload", `{"repositoryName":"app"}`)), 200).body), &begun); err != nil {
		t.Fatal(err)
	}
	const size = 10 << 20
	part := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("x"), size))
	var a answer
	for i := 0; i < 6; i++ {
		a = w.do(w.json(here, admin, "UploadLayerPart", fmt.Sprintf(`{"repositoryName":"app","uploadId":%q,"partFirstByte":%d,"partLastByte":%d,"layerPartBlob":%q}`,
			begun.UploadID, i*size, (i+1)*size-1, part)))
		if a.status != 200 {
			break
		}
	}
	w.refused(a, 503, ecrFull)
	pulls()

	// Not a byte is left: the database cannot commit either.
	filler := filepath.Join(dir, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(f, endless{})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if a := w.do(post("a small layer")); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("a small layer: %d %s %v", a.status, a.body, a.header)
	}
	a = w.do(w.json(here, admin, "CreateRepository", `{"repositoryName":"other"}`))
	for i := 0; a.status == 200 && i < 1000; i++ { // the log of the database may have room yet
		a = w.do(w.json(here, admin, "CreateRepository", fmt.Sprintf(`{"repositoryName":"other%d"}`, i)))
	}
	w.refused(a, 503, `{"__type":"ServiceUnavailableException","message":"The registry cannot store this now. Try again later."}`)
	pulls()

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	w.push(here, password, "app", "v2", "another layer")
	w.want(w.do(w.json(here, admin, "CreateRepository", `{"repositoryName":"at-last"}`)), 200)
	pulls()
}

// endless is a file without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
