package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/dockerauth"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/remote/remotetest"
	"github.com/kontor-registry/kontor/internal/server"
)

// world is a server of two accounts, with the images to copy in the first.
type world struct {
	dir      string
	from, to string // hosts
	compat   string
	accounts []ecr.RegistryID
	digests  []ecr.Digest // of the images
	server   *server.Server
	data     *datadir.Dir
	stop     context.CancelFunc
	ended    chan error
}

func service(i int) string { return fmt.Sprintf("service-%02d", i) }

// open starts the server and pushes the images.
func open(ctx context.Context, dir string, o options) (*world, error) {
	w := &world{dir: dir, compat: o.compat, ended: make(chan error, 1)}
	err := os.Mkdir(dir, 0o700)
	if err != nil {
		return nil, err
	}
	if w.data, err = datadir.Open(ctx, filepath.Join(dir, "data")); err != nil {
		return nil, err
	}
	var bindings []server.Binding
	for i := range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, errors.Join(err, w.data.Close())
		}
		id := ecr.RegistryID{Account: ecr.AccountID(fmt.Sprintf("11111111111%d", i)), Region: "us-east-1"}
		w.accounts = append(w.accounts, id)
		bindings = append(bindings, server.Binding{Registry: id, Host: l.Addr().String(), Listeners: []net.Listener{distant{l, o.delay}}})
	}
	w.from, w.to = bindings[0].Host, bindings[1].Host
	w.server, err = server.New(ctx, server.Config{
		Meta: w.data.Meta, Blobs: w.data.Blobs, Key: w.data.Key, Bindings: bindings, Compat: registry.Compat(o.compat),
		ImageNow: time.Now, AuthNow: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, errors.Join(err, w.data.Close())
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	w.stop = stop
	go func() { w.ended <- w.server.Run(run) }()
	if err := w.fill(ctx, o); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

// distant is a listener as if it were far away: a new connection, and each request
// after an answer, take delay longer. The rate of bodies is as it is.
type distant struct {
	net.Listener
	delay time.Duration
}

func (l distant) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil || l.delay == 0 {
		return c, err
	}
	far := &distantConn{Conn: c, delay: l.delay}
	far.wait.Store(int64(2 * l.delay)) // one for the connection
	return far, nil
}

type distantConn struct {
	net.Conn
	delay time.Duration
	wait  atomic.Int64 // before the next Read returns
}

func (c *distantConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	time.Sleep(time.Duration(c.wait.Swap(0)))
	return n, err
}

func (c *distantConn) Write(p []byte) (int, error) {
	c.wait.Store(int64(c.delay))
	return c.Conn.Write(p)
}

func (w *world) close() error {
	w.stop()
	return errors.Join(<-w.ended, w.data.Close())
}

// fill logs in, and pushes the images.
func (w *world) fill(ctx context.Context, o options) error {
	var source remotetest.Registry
	config := ""
	for i, host := range []string{w.from, w.to} {
		c, err := w.server.Identity().Credentials(ctx, w.accounts[i].Account, identity.Pusher)
		if err != nil {
			return err
		}
		p, _, err := w.server.Identity().Lookup(ctx, c.AccessKeyID)
		if err != nil {
			return err
		}
		token, err := w.server.Registry().As(p).AuthorizationToken(ctx, w.accounts[i].Region)
		if err != nil {
			return err
		}
		if _, err := (dockerauth.Config{Path: filepath.Join(w.dir, "config.json")}).Store([]string{host}, "AWS", token.Password); err != nil {
			return err
		}
		config += fmt.Sprintf("[profile r%d]\naws_access_key_id = %s\naws_secret_access_key = %s\n", i, c.AccessKeyID, c.SecretAccessKey)
		if i == 0 {
			source = remotetest.Registry{Host: host, User: "AWS", Password: token.Password}
		}
	}
	if err := os.WriteFile(filepath.Join(w.dir, "aws.config"), []byte(config), 0o600); err != nil {
		return err
	}
	platforms := []string{"amd64", "arm64", "s390x", "riscv64"}
	shared := remotetest.NewContent(1)
	var bases []remotetest.Descriptor
	for range platforms {
		bases = append(bases, shared.Layer(o.base))
	}
	for i := range o.images {
		if err := w.create(ctx, w.accounts[0], service(i)); err != nil {
			return err
		}
		c := remotetest.NewContent(uint64(100 + i))
		var of []remotetest.Manifest
		for n, arch := range platforms {
			c.Blobs[bases[n].Digest] = shared.Blobs[bases[n].Digest]
			of = append(of, c.Image("linux", arch, bases[n], c.Layer(o.layer)))
		}
		w.digests = append(w.digests, c.Index("1.0", of...).Digest)
		if err := source.Push(service(i), c); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) create(ctx context.Context, in ecr.RegistryID, name string) error {
	_, err := w.server.Registry().System("bench").CreateRepository(ctx, registry.NewRepository{
		Repo: ecr.Repo{In: in, Name: ecr.RepositoryName(name)}, Mutability: ecr.Mutability{Mode: ecr.Mutable},
	})
	return err
}

// targets makes empty repositories.
func (w *world) targets(ctx context.Context, target string, n int) error {
	for i := range n {
		if err := w.create(ctx, w.accounts[1], target+"/"+service(i)); err != nil {
			return err
		}
	}
	return nil
}

// check fails unless the copies are the images that they should be.
func (w *world) check(ctx context.Context, target string, n int) error {
	for i := range n {
		at := ecr.Repo{In: w.accounts[1], Name: ecr.RepositoryName(target + "/" + service(i))}
		m, err := w.server.Registry().System("bench").Manifest(ctx, at, ecr.ImageID{Tag: "1.0"})
		if err != nil {
			return err
		}
		if m.Digest != w.digests[i] {
			return fmt.Errorf("%s is %s, and not %s", at.Name, m.Digest, w.digests[i])
		}
	}
	return nil
}

// file writes a file of repositories whose route leads to the target, and returns
// its name.
func (w *world) file(target string) string {
	text := "registries:\n"
	for i, host := range []string{w.from, w.to} {
		text += fmt.Sprintf("  - {name: r%d, account: %q, region: us-east-1, profile: r%d, endpoint: \"http://%s\"}\n", i, w.accounts[i].Account, i, host)
	}
	text += fmt.Sprintf("ecr_repositories: {}\npromotions:\n  - {name: bench, from: r0, to: [r1/%s], repositories: [\"service-*\"]}\n", target)
	name := filepath.Join(w.dir, target+".yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		panic(err) // the folder is our own
	}
	return name
}
