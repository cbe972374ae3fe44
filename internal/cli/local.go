package cli

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// LocalConn is how to reach a local registry as one of its users.
type LocalConn struct {
	// Endpoint is the URL of its API, for example "http://localhost:5050".
	Endpoint string
	Registry ecr.RegistryID
	// Host is what stands before the first slash of an image's name, for
	// example "localhost:5050".
	Host            string
	AccessKeyID     string
	SecretAccessKey string
	// HTTPClient trusts the server's certificate; nil where it speaks no TLS.
	HTTPClient aws.HTTPClient
	// Authority is the file of a local certificate authority, "" for none.
	Authority string
}

// startWait is how long a command waits for a server that is just starting.
const startWait = 10 * time.Second

// startTries is how often a command that finds no server tries to start one.
const startTries = 10

// localOptions are the flags of commands that speak to a local registry
// without a file.
type localOptions struct {
	data   string
	target string
}

func (o *localOptions) flags(e *Env, cmd *cobra.Command) {
	e.dataFlag(cmd, &o.data)
	cmd.Flags().StringVar(&o.target, "target", "", "use the registry `NAME`, where the server has several (default the first)")
}

// completeWords offers words as values of the flag.
func completeWords(cmd *cobra.Command, flag string, words ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // callers define the flag first
	}
}

// localRegistry reaches the registry of dataDir: the server that runs on it,
// or one started for this command. close ends what was started.
func (e *Env) localRegistry(ctx context.Context, dataDir string) (conn LocalConn, closeServer func() error, err error) {
	for range startTries {
		conn, closeServer, err = e.tryLocalRegistry(ctx, dataDir)
		if !errors.Is(err, datadir.ErrInUse) {
			break
		}
		// Another command had the folder first; it serves by now, or is done.
	}
	return conn, closeServer, err
}

func (e *Env) tryLocalRegistry(ctx context.Context, dataDir string) (conn LocalConn, closeServer func() error, err error) {
	last, running, err := datadir.Running(ctx, dataDir, startWait)
	if running {
		if err != nil {
			return LocalConn{}, nil, err
		}
		conn, _, err := readLocal(ctx, dataDir, "", identity.Administrator)
		return conn, func() error { return nil }, err
	}
	// The registry that was served last keeps its account and region.
	local := datadir.Registry{Name: "local", Account: anyRegistry.Account, Region: anyRegistry.Region}
	if err == nil {
		local.Account, local.Region = last[0].Account, last[0].Region
	} else if !errors.Is(err, datadir.ErrEmpty) {
		return LocalConn{}, nil, err
	}
	s, err := startLocal(ctx, localConfig{
		dataDir: dataDir, host: "localhost", registries: []datadir.Registry{local}, log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return LocalConn{}, nil, err
	}
	if conn, err = s.admin(ctx, s.registries[0]); err != nil {
		return LocalConn{}, nil, errors.Join(err, s.close())
	}
	if len(last) > 0 {
		// What is printed of hosts is what `kontor up` will serve again.
		conn.Host = last[0].Host
	} else {
		conn.Host = defaultListen
	}
	return conn, s.close, nil
}

// readLocal reads from the data folder how to reach its registry as user, and
// whether a server runs there now.
func readLocal(ctx context.Context, dataDir, target, user string) (conn LocalConn, running bool, err error) {
	registries, running, err := datadir.Running(ctx, dataDir, startWait)
	if err != nil {
		return conn, running, err
	}
	r, err := pickLocal(registries, target)
	if err != nil {
		return conn, running, err
	}
	dir, err := datadir.OpenReader(ctx, dataDir)
	if err != nil {
		return conn, running, err
	}
	users := identity.New(identity.Config{Meta: dir.Meta, Key: dir.Key, Now: time.Now})
	conn, err = localConn(ctx, users, r, user)
	return conn, running, errors.Join(dir.Explain(err), dir.Close())
}

func pickLocal(all []datadir.Registry, name string) (datadir.Registry, error) {
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
	return datadir.Registry{}, usagef("there is no registry %q here: the server has %s", name, strings.Join(names, ", "))
}

const maxPort = 1<<16 - 1

// listenAddress takes --listen apart.
func listenAddress(s string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, usagef("--listen %s: want HOST:PORT, such as %s or [::1]:5050", s, defaultListen)
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil {
		return "", 0, usagef("--listen %s: the port is a number from 0 to %d, 0 for any free one", s, maxPort)
	}
	return host, int(n), nil
}
