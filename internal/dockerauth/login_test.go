package dockerauth_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/dockerauth"
)

func TestLogin(t *testing.T) {
	const entry = `{"auth":"QVdTOnNlY3JldA=="}` // AWS:secret
	tests := []struct {
		name, file, host string
		want             dockerauth.Login
		none             bool
	}{
		{name: "no file", host: "a:1", none: true},
		{name: "another host", file: `{"auths":{"a:1":` + entry + `}}`, host: "a", none: true},
		{name: "by host", file: `{"auths":{"a:1":` + entry + `}}`, host: "a:1", want: dockerauth.Login{User: "AWS", Password: "secret"}},
		{name: "by URL", file: `{"auths":{"https://a:1/v1/":` + entry + `}}`, host: "a:1", want: dockerauth.Login{User: "AWS", Password: "secret"}},
		{name: "user and password", file: `{"auths":{"a":{"username":"u","password":"p:q"}}}`, host: "a", want: dockerauth.Login{User: "u", Password: "p:q"}},
		{name: "a token", file: `{"auths":{"a":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("u:")) + `","identitytoken":"t"}}}`, host: "a", want: dockerauth.Login{User: "u", IdentityToken: "t"}},
		{name: "an empty entry", file: `{"auths":{"a":{}}}`, host: "a", none: true},
		{name: "Docker Hub", file: `{"auths":{"https://index.docker.io/v1/":` + entry + `}}`, host: "docker.io", want: dockerauth.Login{User: "AWS", Password: "secret"}},
		{name: "Docker Hub's host", file: `{"auths":{"https://index.docker.io/v1/":` + entry + `}}`, host: "registry-1.docker.io", want: dockerauth.Login{User: "AWS", Password: "secret"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := dockerauth.Config{Path: filepath.Join(t.TempDir(), "config.json")}
			if tt.file != "" {
				c = config(t, tt.file)
			}
			got, ok, err := c.Login(tt.host)
			if err != nil || ok == tt.none || got != tt.want {
				t.Errorf("%+v, %t, %v, want %+v", got, ok, err, tt.want)
			}
		})
	}
}

// answering puts docker-credential-NAME on PATH, which knows hosts that begin
// with "known".
func answering(t *testing.T, name, user string) {
	t.Helper()
	dir := t.TempDir()
	script := "#!/bin/sh\nread host\ncase $host in known*) echo '{\"ServerURL\":\"x\",\"Username\":\"" + user + "\",\"Secret\":\"from " + name + "'\" for $host\"'\"}';;\n" +
		"*) echo 'credentials not found in native keychain'; exit 1;; esac\n"
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-"+name), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func TestLoginWithHelpers(t *testing.T) {
	answering(t, "all", "u")
	answering(t, "some", "<token>")
	c := config(t, `{"auths":{"other":{"auth":"QVdTOnNlY3JldA=="},"known1":{}},"credsStore":"all","credHelpers":{"known2":"some"}}`)
	for host, want := range map[string]dockerauth.Login{
		"known1": {User: "u", Password: "from all for known1"},
		"known2": {IdentityToken: "from some for known2"},
		"other":  {User: "AWS", Password: "secret"}, // the helper does not know it, the file does
	} {
		t.Run(host, func(t *testing.T) {
			if got, ok, err := c.Login(host); err != nil || !ok || got != want {
				t.Errorf("%+v, %t, %v, want %+v", got, ok, err, want)
			}
		})
	}
	if got, ok, err := c.Login("unknown"); ok || err != nil {
		t.Errorf("%+v, %t, %v", got, ok, err)
	}
}

func TestLoginRefusals(t *testing.T) {
	useHelper(t, "locked", false)
	for _, tt := range []struct{ name, file, want string }{
		{"no JSON", `{"auths":`, "PATH is not a JSON object"},
		{"no such helper", `{"credsStore":"nowhere"}`, "PATH stores passwords with docker-credential-nowhere, which is not on PATH"},
		{"a helper that fails", `{"credsStore":"locked"}`, "asking docker-credential-locked for the password for a"},
		{"no base64", `{"auths":{"a":{"auth":"???"}}}`, "PATH: auths: a: auth is not a user and a password in base64"},
		{"auths is no object", `{"auths":[]}`, "PATH: auths: json:"},
		{"the entry is no object", `{"auths":{"a":1}}`, "PATH: auths: a: json:"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := config(t, tt.file)
			_, ok, err := c.Login("a")
			if ok || err == nil || !strings.Contains(err.Error(), strings.Replace(tt.want, "PATH", c.Path, 1)) {
				t.Errorf("%t, error %v, want %s", ok, err, tt.want)
			}
		})
	}
}

// Whatever docker's file holds, reading it ends, and a login found has something
// to log in with.
func FuzzLogin(f *testing.F) {
	f.Add(`{"auths":{"a":{"auth":"QVdTOnNlY3JldA=="},"https://a/v2/":{}}}`)
	f.Add(`{"auths":{"http://":{"auth":"Og=="}}}`)
	f.Add(`null`)
	f.Fuzz(func(t *testing.T, file string) {
		if strings.Contains(file, "cred") || strings.Contains(file, `\u`) {
			return // no programs are run here
		}
		for _, host := range []string{"a", "", "docker.io"} {
			l, ok, err := config(t, file).Login(host)
			if ok && (err != nil || l.Password == "" && l.IdentityToken == "") {
				t.Errorf("%+v, %v", l, err)
			}
		}
	})
}
