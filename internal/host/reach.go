package host

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// DefaultListen is where the local registry is reached unless told otherwise.
const DefaultListen = "localhost:5050"

// startWait is how long a command waits for a server that is just starting.
const startWait = 10 * time.Second

// startTries is how often a command that finds no server tries to start one.
const startTries = 10

// HTTPClient makes calls; *http.Client does.
type HTTPClient interface {
	Do(*http.Request) (*http.Response, error)
}

// Conn is how to reach a registry of this machine as one of its users.
type Conn struct {
	// Endpoint is the URL of its API, for example "http://localhost:5050".
	Endpoint string
	Registry ecr.RegistryID
	// Host is what stands before the first slash of an image's name, for
	// example "localhost:5050".
	Host            string
	AccessKeyID     string
	SecretAccessKey string
	// HTTPClient trusts the server's certificate; nil where it speaks no TLS.
	HTTPClient HTTPClient
	// Authority is the file of a local certificate authority, "" for none.
	Authority string
}

// Reach reaches the first registry of a data folder as its administrator: that
// of the server that runs there, or of one that is started and serves until end
// is called.
func Reach(ctx context.Context, folder string) (conn Conn, end func() error, err error) {
	for range startTries {
		conn, end, err = reach(ctx, folder)
		if !errors.Is(err, datadir.ErrInUse) {
			break
		}
		// Another command had the folder first; it serves by now, or is done.
	}
	return conn, end, err
}

func reach(ctx context.Context, folder string) (conn Conn, end func() error, err error) {
	last, running, err := datadir.Running(ctx, folder, startWait)
	if running {
		if err != nil {
			return Conn{}, nil, err
		}
		conn, _, err := Read(ctx, folder, "", identity.Administrator)
		return conn, func() error { return nil }, err
	}
	// The registry that was served last keeps its account and region.
	in, host := ecr.LocalRegistry(), DefaultListen
	if err == nil {
		// What is printed of hosts is what `kontor up` will serve again.
		in, host = last[0].ID(), last[0].Host
	} else if !errors.Is(err, datadir.ErrEmpty) {
		return Conn{}, nil, err
	}
	s, err := Start(ctx, Config{
		Folder: folder, Host: "localhost", Registries: []datadir.Registry{{Name: "local", Account: in.Account, Region: in.Region}},
		Audit: audit.Changes,
	})
	if err != nil {
		return Conn{}, nil, err
	}
	if conn, err = s.Conn(ctx, s.Registries[0], identity.Administrator); err != nil {
		return Conn{}, nil, errors.Join(err, s.Close())
	}
	conn.Host = host
	return conn, s.Close, nil
}

// Read reads from a data folder how to reach its registry of that name, the
// first for "", as user, and whether a server runs there now.
func Read(ctx context.Context, folder, name, user string) (conn Conn, running bool, err error) {
	registries, running, err := datadir.Running(ctx, folder, startWait)
	if err != nil {
		return conn, running, err
	}
	r, err := pick(registries, name)
	if err != nil {
		return conn, running, err
	}
	dir, err := datadir.OpenReader(ctx, folder)
	if err != nil {
		return conn, running, err
	}
	users := identity.New(identity.Config{Meta: dir.Meta, Key: dir.Key, Now: time.Now})
	conn, err = connOf(ctx, users, r, user)
	return conn, running, errors.Join(dir.Explain(err), dir.Close())
}

func pick(all []datadir.Registry, name string) (datadir.Registry, error) {
	if name == "" {
		return all[0], nil
	}
	names := make([]string, len(all))
	for i, r := range all {
		if r.Name == name {
			return r, nil
		}
		names[i] = r.Name
	}
	return datadir.Registry{}, wrong("there is no registry %q here: the server has %s", name, strings.Join(names, ", "))
}

func connOf(ctx context.Context, users *identity.Service, r datadir.Registry, user string) (Conn, error) {
	c, err := users.Credentials(ctx, r.Account, user)
	if err != nil {
		return Conn{}, fmt.Errorf("credentials of %s in account %s: %w", user, r.Account, err)
	}
	client, err := client(r)
	if err != nil {
		return Conn{}, err
	}
	conn := Conn{
		Endpoint: r.Endpoint, Registry: r.ID(), Host: r.Host,
		AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, HTTPClient: client,
	}
	if r.Local {
		conn.Authority = r.Trust
	}
	return conn, nil
}
