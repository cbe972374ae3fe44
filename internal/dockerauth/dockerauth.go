// Package dockerauth stores and reads registry passwords where Docker-compatible
// tools look for them: in the credential store or the host's credential helper
// that config.json names, else in config.json itself.
//
// It leaves everything else in the file unchanged, and replaces the file as a
// whole, so that other programs never read a partial file.
// Source: docker's reference of `docker login`, "Credential stores" and
// "Credential helpers"; containers-auth.json(5).
package dockerauth

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/docker/docker-credential-helpers/client"
	"github.com/docker/docker-credential-helpers/credentials"
)

// Config is a docker config.json, or an auth.json of podman and skopeo.
type Config struct {
	Path string // of the file, which need not exist
}

// Default is docker's file: in $DOCKER_CONFIG, else in ~/.docker.
func Default(getenv func(string) string) (Config, error) {
	dir := getenv("DOCKER_CONFIG")
	if dir == "" {
		home := getenv("HOME")
		if home == "" {
			var err error
			if home, err = os.UserHomeDir(); err != nil {
				return Config{}, fmt.Errorf("finding docker's config.json: set HOME or DOCKER_CONFIG (%w)", err)
			}
		}
		dir = filepath.Join(home, ".docker")
	}
	return Config{Path: filepath.Join(dir, "config.json")}, nil
}

// Store stores the password for each host, and tells in words where.
func (c Config) Store(hosts []string, user, password string) (where string, err error) {
	file, err := c.read()
	if err != nil {
		return "", err
	}
	var places []string
	for _, host := range hosts {
		helper, err := file.helper(host)
		if err != nil {
			return "", fmt.Errorf("%s: %w", c.Path, err)
		}
		place := c.Path
		if helper == "" {
			err = file.setAuth(host, user, password)
		} else {
			place = "docker-credential-" + helper
			if _, err := exec.LookPath(place); err != nil {
				return "", fmt.Errorf("%s stores passwords with %s, which is not on PATH: install it, or remove it from that file", c.Path, place)
			}
			err = client.Store(client.NewShellProgramFunc(place), &credentials.Credentials{ServerURL: host, Username: user, Secret: password})
			if err == nil {
				// docker writes an empty entry too, and tools go by it.
				err = file.setAuth(host, "", "")
			}
		}
		if err != nil {
			return "", fmt.Errorf("storing the password for %s in %s: %w", host, place, err)
		}
		if !slices.Contains(places, place) {
			places = append(places, place)
		}
	}
	return strings.Join(places, " and "), c.write(file)
}

// document is the file's top level. Members we do not know stay as they are.
type document map[string]json.RawMessage

func (c Config) read() (document, error) {
	b, err := os.ReadFile(c.Path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(strings.TrimSpace(string(b))) == 0 {
		return document{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading docker's configuration: %w", err)
	}
	var d document
	if err := json.Unmarshal(b, &d); err != nil || d == nil {
		return nil, fmt.Errorf("%s is not a JSON object: correct it, or name another folder with DOCKER_CONFIG (%w)", c.Path, err)
	}
	return d, nil
}

// helper is the suffix of the program that keeps host's password, "" for none.
func (d document) helper(host string) (string, error) {
	var byHost map[string]string
	if err := d.get("credHelpers", &byHost); err != nil {
		return "", err
	}
	if h := byHost[host]; h != "" {
		return h, nil
	}
	var store string
	err := d.get("credsStore", &store)
	return store, err
}

func (d document) get(member string, v any) error {
	raw, ok := d[member]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("%s: %w", member, err)
	}
	return nil
}

func (d document) setAuth(host, user, password string) error {
	auths := map[string]json.RawMessage{}
	if err := d.get("auths", &auths); err != nil {
		return err
	}
	entry := map[string]string{}
	if user != "" {
		entry["auth"] = base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	}
	raw, err := json.Marshal(entry)
	if err != nil {
		return err
	}
	if auths == nil { // "auths": null
		auths = map[string]json.RawMessage{}
	}
	auths[host] = raw
	d["auths"], err = json.Marshal(auths)
	return err
}

func (c Config) write(d document) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // other members keep their spelling
	enc.SetIndent("", "\t")
	if err := enc.Encode(d); err != nil {
		return err
	}
	if err := replace(c.Path, b.Bytes()); err != nil {
		return fmt.Errorf("writing docker's configuration: %w", err)
	}
	return nil
}

// replace puts content in the place of path's file as a whole, readable by
// its owner only. A link to the file stays a link.
func replace(path string, content []byte) error {
	path, err := behindLinks(path)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".config-*.json") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(content)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	return err
}

// behindLinks is the file that path leads to, which need not exist.
func behindLinks(path string) (string, error) {
	const most = 40 // links, as Linux has it
	for range most {
		dir, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			return path, nil // a folder to be made
		}
		link, err := os.Readlink(path)
		if err != nil {
			return path, nil // no link, or nothing
		}
		if !filepath.IsAbs(link) {
			link = filepath.Join(dir, link)
		}
		path = link
	}
	return "", fmt.Errorf("%s: too many links", path)
}
