package datadir

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// Registry is one registry of a running server and where it is reached.
type Registry struct {
	Name    string        `json:"name"` // in the file's registries; "local" without
	Account ecr.AccountID `json:"account"`
	Region  ecr.Region    `json:"region"`
	// Host is what image references begin with, for example "localhost:5050";
	// Endpoint the URL of the AWS API, for example "http://localhost:5050".
	Host     string `json:"host"`
	Endpoint string `json:"endpoint"`
	// External is the URL at which clients reach the registry, for example
	// "https://registry.example.com", whose host Host is then; "" for Endpoint.
	External string `json:"external,omitempty"`
	// Trust is a file of certificates, in PEM, that vouch for an https
	// endpoint: those of a local authority or the server's own. Local tells
	// which. Address is where to connect, as Host may be known to others only.
	Trust   string `json:"trust,omitempty"`
	Local   bool   `json:"localAuthority,omitempty"`
	Address string `json:"address,omitempty"`
}

// ID names the registry.
func (r Registry) ID() ecr.RegistryID { return ecr.RegistryID{Account: r.Account, Region: r.Region} }

// note is what a server leaves of itself in server.json.
type note struct {
	PID        int        `json:"pid"`
	Run        string     `json:"run"`        // tells runs of one PID apart
	Registries []Registry `json:"registries"` // never empty
	// Elsewhere: the folder does not have the server's database or key.
	Elsewhere bool `json:"elsewhere,omitempty"`
}

// Announce writes down that this process serves the registries, of which
// there is at least one.
func (d *Dir) Announce(registries []Registry) error {
	n := note{PID: d.me.pid, Run: d.me.run, Registries: registries, Elsewhere: d.given.Meta != nil || d.given.Key != nil}
	b, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		return err
	}
	return explain(d.Path, replace(d.file("server.json"), append(b, '\n')))
}

// replace writes a file so that it is there whole or not at all, also after
// the loss of power.
func replace(path string, content []byte) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Running returns the registries that the server on the folder serves, or
// that the last one served, and whether it runs now. It waits up to wait for
// a server that has not announced itself yet. ErrEmpty when there never was
// one.
func Running(ctx context.Context, path string, wait time.Duration) (all []Registry, running bool, err error) {
	err = poll(ctx, wait, func() (done bool, err error) {
		var o owner
		o, running, err = held(filepath.Join(path, "lock"))
		if err != nil {
			return true, explain(path, err)
		}
		n, err := readNote(path)
		all = n.Registries
		switch {
		case !running, errors.Is(err, ErrElsewhere):
			return true, err
		case err == nil && n.PID == o.pid && n.Run == o.run:
			return true, nil
		}
		return false, fmt.Errorf("data folder %s: process %d holds it but does not serve yet: try again", path, o.pid)
	})
	return all, running, err
}

func readNote(path string) (note, error) {
	var n note
	b, err := os.ReadFile(filepath.Join(path, "server.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return n, empty(path)
	}
	if err != nil {
		return n, explain(path, err)
	}
	err = json.Unmarshal(b, &n)
	if err == nil && n.Elsewhere {
		return note{}, fmt.Errorf("data folder %s: %w", path, ErrElsewhere)
	}
	if err != nil || len(n.Registries) == 0 {
		return note{}, fmt.Errorf("data folder %s: server.json is damaged: run `kontor up --data %s` once to write it again", path, path)
	}
	return n, nil
}
