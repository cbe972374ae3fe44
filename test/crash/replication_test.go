package crash

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	images "github.com/kontor-registry/kontor/internal/testkit/push"
)

// service is `kontor serve` with a registry that replicates to eu-west-1.
type service struct {
	t        *testing.T
	bin, dir string
	address  string // host and port where the process listens
	cmd      *exec.Cmd
	out      *said
}

// start starts it with a configuration, and waits until it is ready.
func (s *service) start(more string) {
	s.t.Helper()
	config := filepath.Join(s.dir, "serve.yaml")
	text := fmt.Sprintf("listen: 127.0.0.1:0\ndata: %s\nmaster_key_file: %s\nadministrator_file: %s\n%s", filepath.Join(s.dir, "data"),
		filepath.Join(s.dir, "master.key"), filepath.Join(s.dir, "administrator"), more)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.cmd = exec.Command(s.bin, "serve", "--config", config)
	s.out = &said{}
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.until("the server says where it listens", func() bool {
		at := listens.FindStringSubmatch(s.out.String())
		if at != nil {
			s.address = at[1]
		}
		return at != nil
	})
	s.until("the server is ready", func() bool {
		resp, err := http.Get("http://" + s.address + "/readyz")
		if err != nil {
			return false
		}
		return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	})
}

// listens is what it says of that.
var listens = regexp.MustCompile(`(?m)^listen +http://(\S+)$`)

func (s *service) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

func (s *service) until(what string, reached func() bool) {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); !reached(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.kill()
			s.t.Fatalf("%s: it does not come to that\n%s", what, s.out)
		}
	}
}

// said keeps what a process says, and can be read while it speaks.
type said struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// A server that is killed while it copies an image goes on with it when it starts again.
func TestKilledReplicationCompletes(t *testing.T) {
	s := &service{t: t, bin: binary(t), dir: t.TempDir()}
	defer s.kill()
	if out, err := exec.CommandContext(t.Context(), s.bin, "admin", "master-key", "new", filepath.Join(s.dir, "master.key")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	keys := "[default]\naws_access_key_id = AKIA0123456789ABCDEF\naws_secret_access_key = 0123456789abcdef0123456789abcdef01234567\n"
	if err := os.WriteFile(filepath.Join(s.dir, "administrator"), []byte(keys), 0o600); err != nil {
		t.Fatal(err)
	}
	// The destination takes connections and says nothing.
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	asked := make(chan struct{}, 1)
	go func() {
		for {
			c, err := silent.Accept()
			if err != nil {
				return
			}
			defer func() { _ = c.Close() }()
			select {
			case asked <- struct{}{}:
			default:
			}
		}
	}()
	const home = "  - {account: \"111111111111\", region: us-east-1, hosts: [127.0.0.1]}\n"
	s.start("registries:\n" + home + "replication_destinations:\n  - {account: \"111111111111\", region: eu-west-1, host: \"" + silent.Addr().String() + "\", insecure_http: true}\n")
	api := client(s.address, "us-east-1")
	if _, err := api.CreateRepository(t.Context(), &awsecr.CreateRepositoryInput{RepositoryName: aws.String("app")}); err != nil {
		t.Fatal(err)
	}
	_, err = api.PutReplicationConfiguration(t.Context(), &awsecr.PutReplicationConfigurationInput{ReplicationConfiguration: &types.ReplicationConfiguration{
		Rules: []types.ReplicationRule{{Destinations: []types.ReplicationDestination{{Region: aws.String("eu-west-1"), RegistryId: aws.String("111111111111")}}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	images.To(t, api, "app").Image("one", "", "v1")
	select {
	case <-asked: // the copy is under way
	case <-time.After(time.Minute):
		t.Fatalf("nothing is copied\n%s", s.out)
	}
	s.kill()

	s.start("registries:\n" + home + "  - {account: \"111111111111\", region: eu-west-1, hosts: [localhost]}\n")
	_, port, err := net.SplitHostPort(s.address)
	if err != nil {
		t.Fatal(err)
	}
	there := client(net.JoinHostPort("localhost", port), "eu-west-1")
	s.until("the image is at its destination", func() bool {
		out, err := there.BatchGetImage(t.Context(), &awsecr.BatchGetImageInput{RepositoryName: aws.String("app"), ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v1")}}})
		return err == nil && len(out.Images) == 1
	})
}

// client is one for the ECR API at an address.
func client(address, region string) *awsecr.Client {
	return awsecr.New(awsecr.Options{
		BaseEndpoint: aws.String("http://" + address), Region: region, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("AKIA0123456789ABCDEF", "0123456789abcdef0123456789abcdef01234567", ""),
	})
}
