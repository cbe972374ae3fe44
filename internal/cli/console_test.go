package cli_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/cli/clitest"
)

// A console with a port for itself is where the link leads.
func TestConsoleListen(t *testing.T) {
	s := clitest.New(t)
	s.Write("kontor.yaml", clitest.LocalFile)
	s.Env["KONTOR_DATA"] = filepath.Join(t.TempDir(), "registry")
	s.Want(s.Run("up", "--listen", "localhost:0", "--console-listen", "0.0.0.0:0"), 2, "--console-listen 0.0.0.0:0: other machines would send passwords over plain HTTP")
	s.Want(s.Run("up", "--console", "off", "--console-listen", "localhost:0"), 2, "the web console is off")
	s.Up("--listen", "localhost:0", "--console-listen", "localhost:0")
	link := strings.TrimSpace(s.Want(s.Run("console", "--print"), 0, "/console/open?code=").Out)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, link, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if cerr := resp.Body.Close(); err != nil || cerr != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(text), "user/administrator") {
		t.Errorf("%s: %s %s %v %v", link, resp.Status, text, err, cerr)
	}
	if out := s.Want(s.Run("env"), 0, "AWS_ENDPOINT_URL").Out; strings.Contains(out, strings.Split(link, "/console")[0]+"'") || strings.Contains(out, strings.Split(link, "/console")[0]+"\n") {
		t.Errorf("the console is where the registry is: %s, %s", link, out)
	}
}

// The browser gets a page that only its user can read, not the link, which would be
// on a command line that all users can read.
func TestConsoleOpensAPage(t *testing.T) {
	s := clitest.New(t)
	s.Write("kontor.yaml", clitest.LocalFile)
	s.Env["KONTOR_DATA"] = filepath.Join(t.TempDir(), "registry")
	s.Up("--listen", "localhost:0")
	dir := t.TempDir()
	script, said := filepath.Join(dir, "browser"), filepath.Join(dir, "said")
	s.Write(script, fmt.Sprintf("printf '%%s' \"$*\" > '%s.part' && mv '%s.part' '%s'\n", said, said, said))
	s.Env["BROWSER"] = "sh " + script
	for range 2 {
		link := strings.TrimSpace(s.Want(s.Run("console"), 0, "/console/open?code=").Out)
		var page []byte
		for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
			var err error
			if page, err = os.ReadFile(said); err == nil {
				break
			}
			if time.Now().After(end) {
				t.Fatal("the browser was not started")
			}
		}
		if err := os.Remove(said); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(string(page))
		if err != nil || info.Mode().Perm() != 0o600 || !strings.HasPrefix(string(page), s.Env["HOME"]) {
			t.Fatalf("the browser was given %q: %v, %v", page, info, err)
		}
		if text, err := os.ReadFile(string(page)); err != nil || !strings.Contains(string(text), `content="0; url=`+link+`"`) {
			t.Errorf("the page is %s, %v", text, err)
		}
		// The page of the next run takes the place of one whose link has ended.
		if err := os.Chtimes(string(page), time.Time{}, time.Now().Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
		if pages, err := filepath.Glob(filepath.Join(filepath.Dir(string(page)), "console-*")); err != nil || len(pages) != 1 {
			t.Errorf("pages: %q, %v", pages, err)
		}
	}
}
