package host_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/host"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/server"
	"github.com/kontor-registry/kontor/internal/store/blob/disk"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/store/meta/sqlite"
)

var two = []datadir.Registry{{Name: "us", Account: "111111111111", Region: "us-east-2"}, {Name: "eu", Account: "222222222222", Region: "eu-west-1"}}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start starts a server that ends with the test, at the latest.
func start(t *testing.T, c host.Config) *host.Server {
	t.Helper()
	if c.Host == "" {
		c.Host = "127.0.0.1"
	}
	s, err := host.Start(t.Context(), c)
	must(t, err)
	return s
}

// alive fails unless a registry answers at its address.
func alive(t *testing.T, c host.Conn) {
	t.Helper()
	client := c.HTTPClient
	if client == nil {
		client = http.DefaultClient
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.Endpoint+"/v2/", nil)
	must(t, err)
	resp, err := client.Do(r)
	must(t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	must(t, errors.Join(err, resp.Body.Close()))
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("%s answers %s", c.Endpoint, resp.Status)
	}
}

// TestStart: each registry has its own address, and credentials of its
// account; after Close the folder is free and what was there is there again.
func TestStart(t *testing.T) {
	folder := t.TempDir()
	s := start(t, host.Config{Folder: folder, Registries: two, Audit: audit.Changes})
	if len(s.Registries) != 2 || s.Registries[0].Host == s.Registries[1].Host || s.Registries[1].Endpoint != "http://"+s.Registries[1].Host || s.Authority() != "" {
		t.Fatalf("%+v", s.Registries)
	}
	var keys []string
	for _, r := range s.Registries {
		c, err := s.Conn(t.Context(), r, identity.Pusher)
		must(t, err)
		alive(t, c)
		keys = append(keys, c.AccessKeyID)
	}
	if _, err := host.Start(t.Context(), host.Config{Folder: folder, Host: "127.0.0.1", Registries: two}); !errors.Is(err, datadir.ErrInUse) {
		t.Errorf("a second server on the folder: %v", err)
	}
	repo := ecr.Repo{In: two[0].ID(), Name: "app"}
	_, err := s.Registry().System("test").CreateRepository(t.Context(), registry.NewRepository{Repo: repo, Mutability: ecr.Mutability{Mode: ecr.Immutable}})
	must(t, err)
	must(t, s.Close())
	<-s.Ended()
	if info, err := os.Stat(host.AuditDir(folder)); err != nil || !info.IsDir() {
		t.Errorf("the audit log: %v", err)
	}

	s = start(t, host.Config{Folder: folder, Registries: two})
	defer func() { must(t, s.Close()) }()
	c, err := s.Conn(t.Context(), s.Registries[0], identity.Pusher)
	if err != nil || c.AccessKeyID != keys[0] {
		t.Errorf("the key is %s, was %s, %v", c.AccessKeyID, keys[0], err)
	}
	_, err = s.Registry().System("test").CreateRepository(t.Context(), registry.NewRepository{Repo: repo, Mutability: ecr.Mutability{Mode: ecr.Immutable}})
	if ecr.CodeOf(err) != ecr.CodeRepositoryAlreadyExists {
		t.Errorf("the repository is gone: %v", err)
	}
}

// TestStores: a server runs on stores that are given, measures them as Wrap says,
// and leaves them open.
func TestStores(t *testing.T) {
	dir := t.TempDir()
	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(dir, "db")})
	must(t, err)
	defer func() { must(t, store.Close()) }()
	blobs, err := disk.Open(disk.Config{Dir: filepath.Join(dir, "blobs")})
	must(t, err)
	key, err := identity.LoadOrCreateMasterKey(filepath.Join(dir, "key"))
	must(t, err)
	wrapped := false
	s := start(t, host.Config{
		Stores: &host.Stores{Meta: store, Blobs: blobs, Key: key}, Registries: two[:1],
		Wrap: func(s meta.Store) meta.Store { wrapped = true; return s },
	})
	c, err := s.Conn(t.Context(), s.Registries[0], identity.Administrator)
	must(t, err)
	alive(t, c)
	must(t, s.Close())
	users := identity.New(identity.Config{Meta: store, Key: key, Now: host.Now})
	again, err := users.Credentials(t.Context(), two[0].Account, identity.Administrator)
	if err != nil || again.AccessKeyID != c.AccessKeyID || !wrapped {
		t.Errorf("the store after Close: %+v, %v, wrapped %t", again, err, wrapped)
	}
}

// secondPort listens on a port before which one is free.
func secondPort(t *testing.T) (net.Listener, int) {
	t.Helper()
	for {
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		port := taken.Addr().(*net.TCPAddr).Port
		if l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port-1)); err == nil {
			must(t, l.Close())
			return taken, port
		}
		must(t, taken.Close())
	}
}

// TestStoresWithoutFolder: what is kept in files is not kept just anywhere.
func TestStoresWithoutFolder(t *testing.T) {
	for _, c := range []host.Config{{Audit: audit.Changes}, {TLS: host.TLS{Local: true}}} {
		c.Stores, c.Host, c.Registries = &host.Stores{}, "127.0.0.1", two
		var config *host.ConfigError
		if _, err := host.Start(t.Context(), c); !errors.As(err, &config) {
			t.Errorf("%v", err)
		}
	}
}

// TestStartFails: what cannot be served is said in words, and nothing stays
// open: neither the folder nor a port.
func TestStartFails(t *testing.T) {
	taken, port := secondPort(t)
	defer func() { must(t, taken.Close()) }()
	for name, tt := range map[string]struct {
		change func(*host.Config)
		want   string
		config bool // a ConfigError
	}{
		"second port taken": {func(c *host.Config) { c.Port = port - 1 }, "127.0.0.1:" + strconv.Itoa(port) + " is in use: stop what listens there", false},
		"no such port":      {func(c *host.Config) { c.Port = 65535 }, "--listen: the 2 registries of the file would need ports up to 65536: choose a first port of at most 65534", true},
		"no registry":       {func(c *host.Config) { c.Registries = nil }, "no registry to serve", false},
		"no certificate":    {func(c *host.Config) { c.TLS = host.TLS{Cert: "none.pem", Key: "none.pem"} }, "none.pem", false},
	} {
		t.Run(name, func(t *testing.T) {
			c := host.Config{Folder: t.TempDir(), Host: "127.0.0.1", Registries: two}
			tt.change(&c)
			_, err := host.Start(t.Context(), c)
			var config *host.ConfigError
			if err == nil || !strings.Contains(err.Error(), tt.want) || errors.As(err, &config) != tt.config {
				t.Fatalf("%v, want %q", err, tt.want)
			}
			if c.Port == port-1 {
				l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(c.Port))
				must(t, err)
				must(t, l.Close())
			}
			s := start(t, host.Config{Folder: c.Folder, Registries: two})
			must(t, s.Close())
		})
	}
}

// TestReach: a command reaches the server that runs on a folder, and else one
// that is there for as long as it is needed; several commands at once share one.
func TestReach(t *testing.T) {
	folder := t.TempDir()
	if _, _, err := host.Read(t.Context(), folder, "", identity.Administrator); !errors.Is(err, datadir.ErrEmpty) {
		t.Errorf("an empty folder: %v", err)
	}
	c, end, err := host.Reach(t.Context(), folder)
	must(t, err)
	alive(t, c)
	if c.Registry != ecr.LocalRegistry() || c.Host != host.DefaultListen {
		t.Errorf("the first is %s at %s", c.Registry, c.Host)
	}
	must(t, end())

	s := start(t, host.Config{Folder: folder, Registries: two})
	must(t, s.Announce())
	c, end, err = host.Reach(t.Context(), folder)
	must(t, err)
	if c.Endpoint != s.Registries[0].Endpoint {
		t.Errorf("reached %s, the server is at %s", c.Endpoint, s.Registries[0].Endpoint)
	}
	alive(t, c)
	must(t, end())
	alive(t, c) // it is not the command's to end
	eu, running, err := host.Read(t.Context(), folder, "eu", identity.Pusher)
	if err != nil || !running || eu.Registry != two[1].ID() {
		t.Errorf("%+v, %t, %v", eu, running, err)
	}
	var config *host.ConfigError
	if _, _, err := host.Read(t.Context(), folder, "ap", identity.Pusher); !errors.As(err, &config) || err.Error() != `there is no registry "ap" here: the server has us, eu` {
		t.Errorf("%v", err)
	}
	must(t, s.Close())

	// what is started keeps account, region and host of the server before
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			c, end, err := host.Reach(t.Context(), folder)
			if err != nil {
				t.Error(err)
				return
			}
			if c.Registry != two[0].ID() || c.Host != s.Registries[0].Host {
				t.Errorf("%s at %s, want %s at %s", c.Registry, c.Host, two[0].ID(), s.Registries[0].Host)
			}
			if err := end(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// TestTLS: a certificate of a local authority is made, announced and trusted.
func TestTLS(t *testing.T) {
	s := start(t, host.Config{Folder: t.TempDir(), Host: "localhost", Registries: two[:1], TLS: host.TLS{Local: true}})
	defer func() { must(t, s.Close()) }()
	c, err := s.Conn(t.Context(), s.Registries[0], identity.Administrator)
	must(t, err)
	if !strings.HasPrefix(c.Endpoint, "https://localhost:") || c.Authority == "" || c.Authority != s.Authority() {
		t.Errorf("%+v", c)
	}
	alive(t, c)
	for _, bad := range []host.TLS{{Cert: "a"}, {Key: "a"}, {Local: true, Cert: "a", Key: "b"}} {
		var config *host.ConfigError
		if err := bad.Check(); !errors.As(err, &config) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// TestPeople: the users and roles of hosted accounts with their policies, and
// nothing of others.
func TestPeople(t *testing.T) {
	folder := t.TempDir()
	s := start(t, host.Config{Folder: folder, Registries: two})
	defer func() { must(t, s.Close()) }()
	got, err := host.People(t.Context(), folder, "aws", []ecr.AccountID{"111111111111", "999999999999"})
	must(t, err)
	var arns []string
	for _, p := range got["111111111111"] {
		arns = append(arns, p.ARN)
		if len(p.Documents) == 0 || !json.Valid([]byte(p.Documents[0].Text)) {
			t.Errorf("%s has the policies %+v", p.ARN, p.Documents)
		}
	}
	want := "arn:aws:iam::111111111111:user/administrator arn:aws:iam::111111111111:user/pusher"
	if len(got) != 1 || strings.Join(arns, " ") != want {
		t.Errorf("%v, want %s", got, want)
	}
}

// TestStartIsCancelled: a context that has ended starts nothing.
func TestStartIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	folder := t.TempDir()
	if _, err := host.Start(ctx, host.Config{Folder: folder, Host: "127.0.0.1", Registries: two, Server: server.Config{}}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	must(t, start(t, host.Config{Folder: folder, Registries: two}).Close())
}

// TestOwnPorts: a registry with an address of its own takes none of the ports that
// are counted from Port.
func TestOwnPorts(t *testing.T) {
	free := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		defer func() { must(t, l.Close()) }()
		return l.Addr().String()
	}
	own, rest := free(), free()
	_, port, err := host.ParseListen(rest)
	must(t, err)
	for name, shared := range map[string]bool{"counted": false, "shared": true} {
		t.Run(name, func(t *testing.T) {
			s := start(t, host.Config{Folder: t.TempDir(), Port: port, Shared: shared, Registries: two, Own: map[string]string{"us": own}})
			defer func() { must(t, s.Close()) }()
			if us, eu := s.Registries[0].Endpoint, s.Registries[1].Endpoint; us != "http://"+own || eu != "http://"+rest {
				t.Errorf("us is at %s, want %s; eu at %s, want %s", us, own, eu, rest)
			}
		})
	}
	t.Run("the last port", func(t *testing.T) {
		s, err := host.Start(t.Context(), host.Config{Folder: t.TempDir(), Host: "127.0.0.1", Port: 65535, Registries: two, Own: map[string]string{"us": own}})
		if err == nil {
			must(t, s.Close())
		} else if strings.Contains(err.Error(), "ports up to") {
			t.Error(err)
		}
	})
}
