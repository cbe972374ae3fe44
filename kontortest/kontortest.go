// Package kontortest is a complete ECR-compatible registry inside a Go test:
// the AWS API and the docker endpoint on a port of 127.0.0.1, with a real
// database and real files in the test's temporary folder.
//
//	func TestPush(t *testing.T) {
//		reg := kontortest.Start(t)
//		reg.CreateRepository(t, "team/app")
//		// push to reg.URI("team/app") as user AWS with reg.Password(t)
//	}
//
// Package kontortest/awstest creates clients of the AWS SDK.
package kontortest

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events/delivery"
	"github.com/kontor-registry/kontor/internal/host"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/scanning"
	"github.com/kontor-registry/kontor/internal/server"
	"github.com/kontor-registry/kontor/internal/signing/managed"
	"github.com/kontor-registry/kontor/internal/store/meta/sqlite"
	"github.com/kontor-registry/kontor/internal/upstream"
	"github.com/kontor-registry/kontor/lifecycle"
)

// Options say what to start. The zero value is what `kontor up` starts.
type Options struct {
	Account string // default "000000000000"
	Region  string // default "us-east-1"
	// Compat is "ecr" (the default: what works here works on ECR) or "oci".
	Compat string
	// MachineCredentials accepts machine tokens of users, and tokens of identity
	// providers, as docker passwords, also with Compat "ecr". With "oci" they are
	// accepted anyway.
	MachineCredentials bool
	// Dir keeps the data across several Starts; default a folder that goes
	// with the test.
	Dir string
	// Upstreams are registries that pull-through cache rules may name, such as
	// "127.0.0.1:5000=private,http": as --upstream of kontor up.
	Upstreams []string
	// EventHosts are hosts that receivers of events may be on, such as "127.0.0.1:9000",
	// by http:// as well.
	EventHosts []string
	// Audit records changes and denials in the folder audit of Dir, for `kontor admin
	// audit` and the console.
	Audit bool
	// Scanner is a program and its arguments that scans images: {layout} in it is the
	// folder of the image's OCI layout, and it prints a report of Trivy, of Grype, or in
	// Harbor's format. Without one, images are not scanned.
	Scanner []string
	// Log receives the server's log; default nothing.
	Log io.Writer
}

// Registry is a running registry.
type Registry struct {
	URL     string // of the AWS API, "http://127.0.0.1:PORT"
	Host    string // that image references begin with, "127.0.0.1:PORT"
	Account string
	Region  string
	// Admin may do everything in the account, Pusher push and pull only.
	Admin, Pusher Credentials

	clock  *retention.TestClock
	server *host.Server
	stop   func()
}

// Credentials are a user's access key.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
}

// Start starts a registry that ends with the test. It fails the test when
// that is not possible.
func Start(t testing.TB, opts ...Options) *Registry {
	t.Helper()
	if len(opts) > 1 {
		t.Fatal("kontortest: give one Options at most")
	}
	var o Options
	if len(opts) == 1 {
		o = opts[0]
	}
	r, err := start(t, o)
	if err != nil {
		t.Fatalf("kontortest: %v", err)
	}
	t.Cleanup(r.Stop)
	return r
}

func start(t testing.TB, o Options) (*Registry, error) {
	ctx := context.Background()
	sqlite.RememberNew()
	id, err := o.registryID()
	if err != nil {
		return nil, err
	}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	var hosts []upstream.Host
	for _, s := range o.Upstreams {
		h, err := upstream.ParseOption(s)
		if err != nil {
			return nil, err
		}
		hosts = append(hosts, h)
	}
	r := &Registry{Account: string(id.Account), Region: string(id.Region), clock: retention.NewTestClock(time.Now)}
	machines := ""
	if o.MachineCredentials {
		machines = server.On
	}
	var recorded audit.Mode
	if o.Audit {
		recorded = audit.Changes
	}
	var receivers delivery.Config
	for _, host := range o.EventHosts {
		receivers.Hosts = append(receivers.Hosts, delivery.Host{Host: host, PlainHTTP: true})
	}
	var scanner *server.ScannerConfig
	if len(o.Scanner) > 0 {
		command := scanning.CommandConfig{Command: o.Scanner}
		if err := command.Check(); err != nil {
			return nil, fmt.Errorf("scanner: %w", err)
		}
		scanner = &server.ScannerConfig{Name: "scanner", Command: &command}
	}
	r.server, err = host.Start(ctx, host.Config{
		Folder: o.Dir, Audit: recorded, Host: "127.0.0.1", Registries: []datadir.Registry{{Account: id.Account, Region: id.Region}},
		Server: server.Config{Compat: registry.Compat(o.Compat), MachineCredentials: machines, TestClock: r.clock, Upstreams: hosts, Events: receivers, Scanner: scanner, Log: slog.New(slog.NewTextHandler(o.Log, nil))},
	})
	if err != nil {
		return nil, err
	}
	r.URL, r.Host = r.server.Registries[0].Endpoint, r.server.Registries[0].Host
	r.Admin, err = r.credentials(ctx, id.Account, identity.Administrator)
	if err == nil {
		r.Pusher, err = r.credentials(ctx, id.Account, identity.Pusher)
	}
	if err != nil {
		return nil, errors.Join(err, r.server.Close())
	}
	r.stop = sync.OnceFunc(func() {
		if err := r.server.Close(); err != nil {
			t.Errorf("kontortest: %v", err)
		}
	})
	return r, nil
}

func (o Options) registryID() (id ecr.RegistryID, err error) {
	local := ecr.LocalRegistry()
	o.Account, o.Region = cmp.Or(o.Account, string(local.Account)), cmp.Or(o.Region, string(local.Region))
	if c := registry.Compat(o.Compat); c != "" && c != registry.CompatECR && c != registry.CompatOCI {
		return id, fmt.Errorf("compat %q: want ecr or oci", o.Compat)
	}
	if id.Account, err = ecr.ParseAccountID(o.Account); err != nil {
		return id, err
	}
	id.Region, err = ecr.ParseRegion(o.Region)
	return id, err
}

func (r *Registry) credentials(ctx context.Context, account ecr.AccountID, user string) (Credentials, error) {
	c, err := r.server.Identity().Credentials(ctx, account, user)
	return Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey}, err
}

// Stop stops the registry before the test ends; stopping twice is nothing.
func (r *Registry) Stop() { r.stop() }

// URI is what to push to and pull from: "127.0.0.1:PORT/name".
func (r *Registry) URI(name string) string { return r.Host + "/" + name }

// CreateRepository creates a repository with immutable tags, as Kontor's
// deployer would.
func (r *Registry) CreateRepository(t testing.TB, name string) {
	t.Helper()
	repo, err := ecr.ParseRepositoryName(name)
	if err != nil {
		t.Fatalf("kontortest: repository %q: %v", name, err)
	}
	_, err = r.server.Registry().System("kontortest").CreateRepository(t.Context(), registry.NewRepository{
		Repo:       ecr.Repo{In: r.id(), Name: repo},
		Mutability: ecr.Mutability{Mode: ecr.Immutable},
	})
	if err != nil {
		t.Fatalf("kontortest: creating repository %q: %v", name, err)
	}
}

// CacheUpstream makes a pull-through cache rule for one of Options.Upstreams, or of the
// registries that AWS lists, which needs no login: what is pulled below prefix comes from
// there. The pusher may fetch, and make repositories, below prefix.
func (r *Registry) CacheUpstream(t testing.TB, prefix, host string) {
	t.Helper()
	ctx := context.Background()
	system := access.Principal{System: "kontortest"}
	pusher, _, err := r.server.Identity().Lookup(ctx, r.Pusher.AccessKeyID)
	if err != nil {
		t.Fatalf("kontortest: %v", err)
	}
	_, err = r.server.Upstreams().As(system).CreateRule(ctx, r.id(), upstream.NewRule{Prefix: prefix, URL: host})
	if err == nil {
		_, err = r.server.Registry().As(system).SetRegistryPolicy(ctx, r.id(), fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":%q},`+
			`"Action":["ecr:CreateRepository","ecr:BatchImportUpstreamImage"],"Resource":"arn:aws:ecr:%s:%s:repository/%s/*"}]}`, pusher.ARN, r.Region, r.Account, prefix))
	}
	if err != nil {
		t.Fatalf("kontortest: %v", err)
	}
}

// SigningProfile makes a key to sign images with, and returns its ARN for the rules of
// PutSigningConfiguration. On AWS, AWS Signer has it.
func (r *Registry) SigningProfile(t testing.TB, name string) string {
	t.Helper()
	p, err := r.server.Managed().As(access.Principal{System: "kontortest"}).CreateProfile(context.Background(), r.id(), managed.NewProfile{Name: name})
	if err != nil {
		t.Fatalf("kontortest: %v", err)
	}
	return p.ARN
}

func (r *Registry) id() ecr.RegistryID {
	return ecr.RegistryID{Account: ecr.AccountID(r.Account), Region: ecr.Region(r.Region)}
}

// Password is a docker password of the pusher for user "AWS".
func (r *Registry) Password(t testing.TB) string {
	t.Helper()
	ctx := t.Context()
	p, _, err := r.server.Identity().Lookup(ctx, r.Pusher.AccessKeyID)
	if err != nil {
		t.Fatalf("kontortest: %v", err)
	}
	token, err := r.server.Registry().As(p).AuthorizationToken(ctx, ecr.Region(r.Region))
	if err != nil {
		t.Fatalf("kontortest: %v", err)
	}
	return token.Password
}

// DockerConfig writes a config.json with the pusher's password and returns
// its folder: the value of DOCKER_CONFIG for docker, crane and others. The
// file's path is what REGISTRY_AUTH_FILE wants for skopeo, podman and buildah.
func (r *Registry) DockerConfig(t testing.TB) string {
	t.Helper()
	auth := base64.StdEncoding.EncodeToString([]byte("AWS:" + r.Password(t)))
	b, err := json.Marshal(map[string]any{"auths": map[string]any{r.Host: map[string]string{"auth": auth}}})
	if err != nil {
		t.Fatalf("kontortest: %v", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), b, 0o600); err != nil {
		t.Fatalf("kontortest: %v", err)
	}
	return dir
}

// Advance moves the image clock: push times and lifecycle ages. Signatures and
// tokens keep real time. It is not kept for another Start on the same folder.
func (r *Registry) Advance(d time.Duration) { r.clock.Advance(d) }

// Now is the image clock.
func (r *Registry) Now() time.Time { return r.clock.Now() }

// RunLifecycle runs the lifecycle policy of the repository name now, as
// the registry does on its own every hour, and returns the digests of the images
// that it deleted. Index children go one run after their index.
func (r *Registry) RunLifecycle(t testing.TB, name string) []string {
	t.Helper()
	repo, err := ecr.ParseRepositoryName(name)
	if err != nil {
		t.Fatalf("kontortest: repository %q: %v", name, err)
	}
	run, err := r.server.Retention().System("kontortest").RunLifecycle(t.Context(), ecr.Repo{In: r.id(), Name: repo}, retention.RunOptions{Force: true})
	if err != nil {
		t.Fatalf("kontortest: lifecycle run of %q: %v", name, err)
	}
	var gone []string
	for _, o := range run.Outcomes {
		if o.Action == lifecycle.Expire {
			gone = append(gone, string(o.Digest))
		}
	}
	return gone
}
