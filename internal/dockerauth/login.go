package dockerauth

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"

	"github.com/docker/docker-credential-helpers/client"
	"github.com/docker/docker-credential-helpers/credentials"
)

// Login is what docker logs in with.
type Login struct {
	User, Password string
	// IdentityToken is used in place of a password, to get tokens with (OAuth2).
	IdentityToken string
}

// hub is Docker Hub's name in configurations, by the hosts that it has.
// Source: docker CLI, "registry.IndexServer".
const hub = "https://index.docker.io/v1/"

// tokenUser is the name that helpers keep identity tokens under.
const tokenUser = "<token>"

// Login returns what the configuration has for a host, such as
// "registry.example:5000": of the helper that it names for the host, else of
// the credential store, else what is in the file itself. ok is false when there
// is nothing. Nothing is changed.
func (c Config) Login(host string) (l Login, ok bool, err error) {
	file, err := c.read()
	if err != nil {
		return Login{}, false, err
	}
	server := host
	switch host {
	case "docker.io", "index.docker.io", "registry-1.docker.io":
		server = hub
	}
	helper, err := file.helper(server)
	if err != nil {
		return Login{}, false, fmt.Errorf("%s: %w", c.Path, err)
	}
	if helper != "" {
		if l, ok, err = c.ask(helper, server); err != nil || ok {
			return l, ok, err
		}
	}
	if l, ok, err = file.login(server); err != nil {
		return Login{}, false, fmt.Errorf("%s: %w", c.Path, err)
	}
	return l, ok, nil
}

// ask asks a credential helper.
func (c Config) ask(helper, server string) (Login, bool, error) {
	program := "docker-credential-" + helper
	if _, err := exec.LookPath(program); err != nil {
		return Login{}, false, fmt.Errorf("%s stores passwords with %s, which is not on PATH: install it, or remove it from that file", c.Path, program)
	}
	got, err := client.Get(client.NewShellProgramFunc(program), server)
	switch {
	case credentials.IsErrCredentialsNotFound(err):
		return Login{}, false, nil
	case err != nil:
		return Login{}, false, fmt.Errorf("asking %s for the password for %s: %w", program, server, err)
	case got.Username == tokenUser:
		return Login{IdentityToken: got.Secret}, got.Secret != "", nil
	}
	return Login{User: got.Username, Password: got.Secret}, got.Secret != "", nil
}

// login is what the file itself has. docker writes the host; older versions and
// people write it as a URL.
func (d document) login(server string) (Login, bool, error) {
	var auths map[string]json.RawMessage
	if err := d.get("auths", &auths); err != nil {
		return Login{}, false, err
	}
	raw, ok := auths[server]
	for name := range auths {
		if !ok && name != hub && hostOf(name) == server {
			raw, ok = auths[name], true
		}
	}
	if !ok {
		return Login{}, false, nil
	}
	var entry struct{ Auth, Username, Password, IdentityToken string }
	if err := json.Unmarshal(raw, &entry); err != nil {
		return Login{}, false, fmt.Errorf("auths: %s: %w", server, err)
	}
	l := Login{User: entry.Username, Password: entry.Password, IdentityToken: entry.IdentityToken}
	if entry.Auth != "" {
		pair, err := base64.StdEncoding.DecodeString(entry.Auth)
		user, password, colon := strings.Cut(string(pair), ":")
		if err != nil || !colon {
			return Login{}, false, fmt.Errorf("auths: %s: auth is not a user and a password in base64: log in again", server)
		}
		l.User, l.Password = user, strings.TrimRight(password, "\x00")
	}
	return l, l.Password != "" || l.IdentityToken != "", nil
}

// hostOf is the host of a name or URL: "registry.example" of
// "https://registry.example/v1/".
func hostOf(name string) string {
	if _, rest, ok := strings.Cut(name, "://"); ok {
		name = rest
	}
	host, _, _ := strings.Cut(name, "/")
	return host
}
