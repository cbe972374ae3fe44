package dockerauth_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/dockerauth"
)

func config(t *testing.T, content string) dockerauth.Config {
	t.Helper()
	c := dockerauth.Config{Path: filepath.Join(t.TempDir(), "config.json")}
	if err := os.WriteFile(c.Path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return c
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// decoded is the file at path.
func decoded(t *testing.T, path string) (v map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(read(t, path)), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func store(t *testing.T, c dockerauth.Config, hosts ...string) (where string) {
	t.Helper()
	where, err := c.Store(hosts, "AWS", "secret")
	if err != nil {
		t.Fatal(err)
	}
	return where
}

// auth is what docker's file has for AWS:secret.
var auth = base64.StdEncoding.EncodeToString([]byte("AWS:secret"))

func TestStoreInTheFile(t *testing.T) {
	tests := []struct{ name, before, after string }{
		{"new", ``, `{"auths":{"a:1":{"auth":"AUTH"},"b":{"auth":"AUTH"}}}`},
		{"other members stay",
			`{"psFormat":"table <b>{{.ID}}</b>","HttpHeaders":{"n":12345678901234567890,"f":1.50},"auths":{"other":{"auth":"b3Ro","email":"x"}},"currentContext":"c"}`,
			`{"HttpHeaders":{"n":12345678901234567890,"f":1.50},"auths":{"a:1":{"auth":"AUTH"},"b":{"auth":"AUTH"},"other":{"auth":"b3Ro","email":"x"}},"currentContext":"c","psFormat":"table <b>{{.ID}}</b>"}`},
		{"an older login goes", `{"auths":{"a:1":{"auth":"b2xk","identitytoken":"old"}}}`, `{"auths":{"a:1":{"auth":"AUTH"},"b":{"auth":"AUTH"}}}`},
		{"no auths", `{"auths":null}`, `{"auths":{"a:1":{"auth":"AUTH"},"b":{"auth":"AUTH"}}}`},
		{"blank", " \n", `{"auths":{"a:1":{"auth":"AUTH"},"b":{"auth":"AUTH"}}}`},
		{"a helper for another host", `{"credHelpers":{"a":"none","other":"none"}}`,
			`{"auths":{"a:1":{"auth":"AUTH"},"b":{"auth":"AUTH"}},"credHelpers":{"a":"none","other":"none"}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := config(t, tt.before)
			if where := store(t, c, "a:1", "b"); where != c.Path {
				t.Errorf("stored in %s", where)
			}
			compact := strings.NewReplacer("\n", "", "\t", "", "\": ", "\":").Replace(read(t, c.Path))
			if d := cmp.Diff(strings.ReplaceAll(tt.after, "AUTH", auth), compact); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			info, err := os.Stat(c.Path)
			if err != nil || info.Mode() != 0o600 && runtime.GOOS != "windows" {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			entries, err := os.ReadDir(filepath.Dir(c.Path))
			if err != nil || len(entries) != 1 {
				t.Errorf("left in the folder: %v, %v", entries, err)
			}
		})
	}
}

func TestFolderIsMade(t *testing.T) {
	c := dockerauth.Config{Path: filepath.Join(t.TempDir(), "run", "containers", "auth.json")}
	store(t, c, "a:1")
	if decoded(t, c.Path)["auths"] == nil {
		t.Error("nothing stored")
	}
}

func TestLinksStay(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"dotfiles", "home", "home/real"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "dotfiles", "there.json"), []byte(`{"k":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{
		"home/.docker":           "real", // the folder itself
		"home/real/config.json":  "../../dotfiles/there.json",
		"home/real/missing.json": filepath.Join(dir, "dotfiles", "missing.json"),
		"home/real/chain.json":   "chain2.json",
		"home/real/chain2.json":  "../../dotfiles/chained.json",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for link, file := range map[string]string{"config.json": "there.json", "missing.json": "missing.json", "chain.json": "chained.json"} {
		t.Run(link, func(t *testing.T) {
			path := filepath.Join(dir, "home", ".docker", link)
			store(t, dockerauth.Config{Path: path}, "a:1")
			info, err := os.Lstat(path)
			if err != nil || info.Mode().Type() != os.ModeSymlink {
				t.Errorf("%s is not a link: %v, %v", link, info.Mode(), err)
			}
			if decoded(t, filepath.Join(dir, "dotfiles", file))["auths"] == nil {
				t.Error("nothing stored behind it")
			}
		})
	}
	if decoded(t, filepath.Join(dir, "dotfiles", "there.json"))["k"] != 1.0 {
		t.Error("the file lost a member")
	}
	loop := filepath.Join(dir, "loop.json")
	if err := os.Symlink("loop.json", loop); err != nil {
		t.Fatal(err)
	}
	if _, err := (dockerauth.Config{Path: loop}).Store([]string{"a"}, "AWS", "secret"); err == nil {
		t.Error("stored behind a link to itself")
	}
}

// useHelper puts docker-credential-NAME on PATH: it keeps what it is given in
// a file for each call, or fails.
func useHelper(t *testing.T, name string, works bool) (dir string) {
	t.Helper()
	dir = t.TempDir()
	script := "#!/bin/sh\n[ \"$1\" = store ] && cat >> \"" + dir + "/stored\" && echo >> \"" + dir + "/stored\"\n"
	if !works {
		script = "#!/bin/sh\necho the keychain is locked\nexit 1\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-"+name), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return dir
}

func TestStoreWithHelpers(t *testing.T) {
	all, some := useHelper(t, "all", true), useHelper(t, "some", true)
	c := config(t, `{"auths":{"a:1":{"auth":"b2xk"}},"credsStore":"all","credHelpers":{"b":"some"}}`)
	if where := store(t, c, "a:1", "c", "b"); where != "docker-credential-all and docker-credential-some" {
		t.Errorf("stored in %s", where)
	}
	want := map[string]string{
		all:  `{"ServerURL":"a:1","Username":"AWS","Secret":"secret"}` + "\n\n" + `{"ServerURL":"c","Username":"AWS","Secret":"secret"}` + "\n\n",
		some: `{"ServerURL":"b","Username":"AWS","Secret":"secret"}` + "\n\n",
	}
	for dir, stored := range want {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			if d := cmp.Diff(stored, read(t, filepath.Join(dir, "stored"))); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
	// As docker does: the file names the hosts, and has no password.
	wantFile := map[string]any{
		"auths":      map[string]any{"a:1": map[string]any{}, "b": map[string]any{}, "c": map[string]any{}},
		"credsStore": "all", "credHelpers": map[string]any{"b": "some"},
	}
	if d := cmp.Diff(wantFile, decoded(t, c.Path)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}

	c = config(t, `{"credHelpers":{"b":"some"}}`)
	if where := store(t, c, "a:1", "b"); where != c.Path+" and docker-credential-some" {
		t.Errorf("stored in %s", where)
	}
}

func TestRefusals(t *testing.T) {
	useHelper(t, "locked", false)
	tests := []struct{ name, before, want string }{
		{"no JSON", `{"auths":`, "PATH is not a JSON object: correct it, or name another folder with DOCKER_CONFIG (unexpected end of JSON input)"},
		{"a list", `[]`, "PATH is not a JSON object: correct it, or name another folder with DOCKER_CONFIG (json: cannot unmarshal array into Go value of type dockerauth.document)"},
		{"auths is no object", `{"auths":[]}`, "storing the password for a:1 in PATH: auths: json: cannot unmarshal array into Go value of type map[string]json.RawMessage"},
		{"credsStore is no string", `{"credsStore":1}`, "PATH: credsStore: json: cannot unmarshal number into Go value of type string"},
		{"no such helper", `{"credsStore":"nowhere"}`, "PATH stores passwords with docker-credential-nowhere, which is not on PATH: install it, or remove it from that file"},
		{"a helper that fails", `{"credsStore":"locked"}`,
			"storing the password for a:1 in docker-credential-locked: error storing credentials - err: exit status 1, out: `the keychain is locked`"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := config(t, tt.before)
			_, err := c.Store([]string{"a:1"}, "AWS", "secret")
			want := strings.Replace(tt.want, "PATH", c.Path, 1)
			if err == nil || err.Error() != want {
				t.Errorf("error %v, want %s", err, want)
			}
			if got := read(t, c.Path); got != tt.before {
				t.Errorf("the file became %s", got)
			}
		})
	}
}

func TestDefault(t *testing.T) {
	tests := []struct {
		name string
		env  map[string]string
		want string
	}{
		{"DOCKER_CONFIG", map[string]string{"DOCKER_CONFIG": "/d", "HOME": "/h"}, "/d/config.json"},
		{"HOME", map[string]string{"HOME": "/h"}, "/h/.docker/config.json"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := dockerauth.Default(func(k string) string { return tt.env[k] })
			if err != nil || filepath.ToSlash(got.Path) != tt.want {
				t.Errorf("%s, %v", got.Path, err)
			}
		})
	}
}

// Whatever docker's file holds: it stays JSON, the password can be read back,
// and no other member changes.
func FuzzStore(f *testing.F) {
	f.Add(`{"auths":{"b":{}},"x":[1,2,{"y":null}]}`)
	f.Add(`{"auths":{"a":{"auth":"eA=="}},"psFormat":"<>& "}`)
	f.Add(``)
	f.Fuzz(func(t *testing.T, before string) {
		if strings.Contains(before, "cred") {
			return // no programs are run here
		}
		c := config(t, before)
		if _, err := c.Store([]string{"a"}, "AWS", "secret"); err != nil {
			if read(t, c.Path) != before {
				t.Error("a file that was refused has changed")
			}
			return
		}
		after := decoded(t, c.Path)
		entry := after["auths"].(map[string]any)["a"].(map[string]any)
		if entry["auth"] != auth {
			t.Errorf("stored %v", entry)
		}
		if strings.TrimSpace(before) == "" {
			return
		}
		var old map[string]any
		if err := json.Unmarshal([]byte(before), &old); err != nil {
			t.Fatalf("took %q", before)
		}
		delete(old, "auths")
		delete(after, "auths")
		if d := cmp.Diff(old, after); d != "" {
			t.Errorf("(-before +after):\n%s", d)
		}
	})
}
