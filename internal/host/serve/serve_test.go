package serve

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/pgtest"
	"github.com/kontor-registry/kontor/internal/testkit/push"
)

// begin serves text, in which DIR stands for dir.
func begin(t *testing.T, dir, text string, log io.Writer) (*Server, error) {
	t.Helper()
	c, err := load(dir, text+"listen: 127.0.0.1:0\n")
	if err != nil {
		t.Fatal(err)
	}
	return Start(context.WithoutCancel(t.Context()), c, Options{Log: slog.New(slog.NewJSONHandler(log, nil)), Getenv: os.Getenv})
}

func serving(t *testing.T, dir, text string) *Server {
	t.Helper()
	s, err := begin(t, dir, text, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func end(t *testing.T, s *Server) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func refused(t *testing.T, dir, text, want string) {
	t.Helper()
	s, err := begin(t, dir, text, io.Discard)
	if err == nil {
		end(t, s)
	}
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}

// client calls s with the administrator's key of administrator_file.
func client(s *Server, account string) *ecr.Client {
	key := map[string]string{"111111111111": "AKIASERVE0000000TEST", "222222222222": "AKIASECOND000000TEST"}[account]
	return ecr.New(ecr.Options{
		Region: "us-east-2", BaseEndpoint: aws.String(s.Registries[0].Endpoint),
		Credentials: credentials.NewStaticCredentialsProvider(key, "not-a-secret-but-long-enough", ""),
	})
}

func create(t *testing.T, c *ecr.Client, name string) string {
	t.Helper()
	out, err := c.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: &name, ImageTagMutability: types.ImageTagMutabilityImmutable})
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(out.Repository.RepositoryUri)
}

// With metadata in PostgreSQL and blobs in a folder: images stay over a restart,
// and the names of two registries on one port are theirs.
func TestPostgreSQLAndFolder(t *testing.T) {
	dir := folder(t)
	write(t, filepath.Join(dir, "administrator"), administrator+"[222222222222]\naws_access_key_id = AKIASECOND000000TEST\naws_secret_access_key = not-a-secret-but-long-enough\n")
	text := "data: DIR/data\nmaster_key_file: DIR/master.key\nadministrator_file: DIR/administrator\ndatabase: {url: \"" + pgtest.Start(t) + "\"}\n" +
		"external_url: https://registry.example\nregistries:\n  - {account: \"111111111111\", region: us-east-2, compat: ecr, hosts: [registry.example]}\n" +
		"  - {account: \"222222222222\", region: us-east-2, compat: ecr}\n"
	s := serving(t, dir, text)
	if uri := create(t, client(s, "111111111111"), "app"); uri != "registry.example/app" {
		t.Errorf("repositoryUri %s", uri)
	}
	if uri := create(t, client(s, "222222222222"), "app"); uri != "222222222222.dkr.ecr.us-east-2.registry.example/app" {
		t.Errorf("repositoryUri %s", uri)
	}
	push.To(t, client(s, "111111111111"), "app").Image("layer", "", "v1")
	// The same folder is another process's.
	refused(t, dir, text, "another kontor server runs on this folder")
	end(t, s)
	s = serving(t, dir, text)
	if len(s.Notices) > 0 {
		t.Errorf("notices %q", s.Notices)
	}
	out, err := client(s, "111111111111").BatchGetImage(t.Context(), &ecr.BatchGetImageInput{
		RepositoryName: aws.String("app"), ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v1")}},
	})
	if err != nil || len(out.Images) != 1 {
		t.Errorf("%v, %+v", err, out)
	}
	end(t, s)
}

// The file of administrators counts at the first start. Another master key is
// refused, and so is an account that nobody could log in to.
func TestFirstStart(t *testing.T) {
	dir := folder(t)
	database := "data: DIR/data\nmaster_key_file: DIR/master.key\ndatabase: {url: \"" + pgtest.Start(t) + "\"}\nregistries: [{account: \"111111111111\", region: us-east-2, compat: ecr}]\n"
	refused(t, dir, database, "account 111111111111 has no administrator yet, and nobody could log in: give administrator_file")
	text := database + "administrator_file: DIR/administrator\n"
	s := serving(t, dir, text)
	create(t, client(s, "111111111111"), "app")
	end(t, s)
	end(t, serving(t, dir, database)) // the file is no longer needed

	for _, changed := range []string{strings.ReplaceAll(administrator, "not-a-secret", "another"), strings.ReplaceAll(administrator, "AKIASERVE", "AKIAOTHER")} {
		write(t, filepath.Join(dir, "administrator"), changed)
		s = serving(t, dir, text)
		if len(s.Notices) != 1 || !strings.Contains(s.Notices[0], "counts at the first start only") || strings.Contains(s.Notices[0], "long-enough") {
			t.Errorf("notices %q", s.Notices)
		}
		if _, err := client(s, "111111111111").DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{}); err != nil {
			t.Errorf("the first key: %v", err)
		}
		end(t, s)
	}
	other := folder(t)
	refused(t, dir, strings.Replace(database, "DIR/master.key", other+"/master.key", 1), "sealed under another master key")
}

// What a database does not know of is deleted from its blobs: those of another
// one are refused, whichever way they come together.
func TestBlobsOfAnotherDatabase(t *testing.T) {
	dir := folder(t)
	const registries = "master_key_file: DIR/master.key\nadministrator_file: DIR/administrator\nregistries: [{account: \"111111111111\", region: us-east-2, compat: ecr}]\n"
	with := func(data, database string) string {
		if database != "" {
			database = "database: {url: \"" + database + "\"}\n"
		}
		return "data: DIR/" + data + "\n" + database + registries
	}
	first, second := pgtest.Start(t), pgtest.Start(t)
	s := serving(t, dir, with("a", first))
	create(t, client(s, "111111111111"), "app")
	push.To(t, client(s, "111111111111"), "app").Image(strings.Repeat("layer", 10_000), "", "v1") // a file
	end(t, s)
	refused(t, dir, with("a", second), "the database is empty, and the blob store with installation id")
	refused(t, dir, with("b", first), "the database belongs to the blob store with installation id")
	if _, err := datadir.OpenReader(t.Context(), filepath.Join(dir, "a")); err == nil || !strings.Contains(err.Error(), "pass --endpoint URL") {
		t.Errorf("%v", err)
	}
	refused(t, dir, with("a", ""), "the database is empty, and the blob store with installation id")
	end(t, serving(t, dir, with("a", first)))
}

// lines is a log.
type lines struct {
	mu  sync.Mutex
	buf strings.Builder // guarded by mu
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Connections of a trusted proxy begin with a header of the PROXY protocol, those
// of others do not.
func TestProxyProtocol(t *testing.T) {
	ask := func(s *Server, header string) (status int, err error) {
		t.Helper()
		c, err := net.Dial("tcp", strings.TrimPrefix(s.Registries[0].Endpoint, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }() // whatever became of it
		if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, header+"GET /v2/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); err != nil {
			return 0, err
		}
		r, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return 0, err
		}
		return r.StatusCode, r.Body.Close()
	}
	const header = "PROXY TCP4 192.0.2.7 192.0.2.1 1234 443\r\n"
	v2 := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x08\xc0\x00\x02\x01\x04\xd2\x01\xbb"
	for _, tt := range []struct{ name, trusted, header, want string }{
		{"of a proxy", "127.0.0.0/8", header, "192.0.2.7:1234"},
		{"of a proxy, version 2", "127.0.0.0/8", v2, "192.0.2.8:1234"},
		{"missing", "127.0.0.0/8", "", ""},
		{"of a stranger", "10.0.0.0/8", header, ""},
		{"missing of a stranger", "10.0.0.0/8", "", "127.0.0.1:"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, log := folder(t), &lines{}
			s, err := begin(t, dir, one+"proxy_protocol: true\ntrusted_proxies: ["+tt.trusted+"]\n", log)
			if err != nil {
				t.Fatal(err)
			}
			status, err := ask(s, tt.header)
			end(t, s)
			switch {
			case tt.want == "" && err == nil && status != 400:
				t.Errorf("status %d, want none", status)
			case tt.want != "" && (err != nil || status != 401 || !strings.Contains(log.String(), `"source":"`+tt.want)):
				t.Errorf("%v, status %d, log %s; want %s", err, status, log, tt.want)
			}
		})
	}
}

// Several registries have a port each, where they say so.
func TestPorts(t *testing.T) {
	dir := folder(t)
	s := serving(t, dir, "data: DIR\nregistries:\n  - {account: \"111111111111\", region: us-east-2}\n  - {account: \"222222222222\", region: us-east-2, listen: \"127.0.0.1:0\"}\n")
	defer end(t, s)
	if s.Registries[0].Endpoint == s.Registries[1].Endpoint {
		t.Fatalf("%+v", s.Registries)
	}
	for i, r := range s.Registries {
		c, err := s.Conn(t.Context(), r, "administrator")
		if err != nil {
			t.Fatal(err)
		}
		api := ecr.New(ecr.Options{Region: "us-east-2", BaseEndpoint: aws.String(c.Endpoint), Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, "")})
		out, err := api.GetAuthorizationToken(t.Context(), &ecr.GetAuthorizationTokenInput{})
		if err != nil {
			t.Fatal(err)
		}
		// What the port decides does not ask for a name.
		resp, err := http.Get(strings.Replace(aws.ToString(out.AuthorizationData[0].ProxyEndpoint), "https://", "http://", 1) + "/v2/")
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%d: %v, status %d", i, err, resp.StatusCode)
		}
	}
	if got := fmt.Sprint(s.Registries[1].Host); !strings.HasPrefix(got, "127.0.0.1:") {
		t.Errorf("host %s", got)
	}
}

// Each registry follows what its configuration says, where ECR and the specification
// differ: in what is pushed and deleted, in lifecycle policies and in what logs in.
func TestCompatOfEachRegistry(t *testing.T) {
	dir := folder(t)
	write(t, filepath.Join(dir, "administrator"), administrator+"[222222222222]\naws_access_key_id = AKIASECOND000000TEST\naws_secret_access_key = not-a-secret-but-long-enough\n")
	s := serving(t, dir, "data: DIR/data\nmaster_key_file: DIR/master.key\nadministrator_file: DIR/administrator\nregistries:\n"+
		"  - {account: \"111111111111\", region: us-east-2, compat: ecr, hosts: [strict.example]}\n  - {account: \"222222222222\", region: us-east-2, hosts: [open.example]}\n")
	defer end(t, s)
	for _, tt := range []struct {
		account, host string
		status        int // of deleting a blob that is not there
		pulled        bool
	}{
		{"111111111111", "strict.example", http.StatusMethodNotAllowed, false}, {"222222222222", "open.example", http.StatusNotFound, true},
	} {
		c := client(s, tt.account)
		create(t, c, "app")
		out, err := c.GetAuthorizationToken(t.Context(), &ecr.GetAuthorizationTokenInput{})
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, s.Registries[0].Endpoint+"/v2/app/blobs/"+push.DigestOf("none"), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = tt.host
		r.Header.Set("Authorization", "Basic "+aws.ToString(out.AuthorizationData[0].AuthorizationToken))
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil || resp.StatusCode != tt.status {
			t.Errorf("%s: %v, deleting a blob: status %d, want %d", tt.host, err, resp.StatusCode, tt.status)
		}
		_, err = c.PutLifecyclePolicy(t.Context(), &ecr.PutLifecyclePolicyInput{RepositoryName: aws.String("app"), LifecyclePolicyText: aws.String(
			`{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"sinceImagePulled","countUnit":"days","countNumber":9},"action":{"type":"expire"}}]}`)})
		if (err == nil) != tt.pulled {
			t.Errorf("%s: a policy that expires by pulls: %v", tt.host, err)
		}
	}
}
