package s3

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	kecr "github.com/kontor-registry/kontor/internal/ecr"
)

const (
	adminKey    = "AKIASERVE0000000TEST"
	adminSecret = "not-a-secret-but-long-enough"
)

// site is a folder with what configurations of kontor serve name.
func site(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	kontor(t, dir, "admin", "master-key", "new", "key")
	for name, text := range map[string]string{
		"administrator": "aws_access_key_id = " + adminKey + "\naws_secret_access_key = " + adminSecret + "\n", "secret": secretKey + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// configuration writes one, and returns its name. More lines may follow.
func configuration(t testing.TB, dir, name string, lines ...string) string {
	t.Helper()
	text := "listen: 127.0.0.1:0\nregistries: [{account: \"111111111111\", region: us-east-2}]\nmaster_key_file: " + dir + "/key\nadministrator_file: " + dir + "/administrator\n" +
		strings.Join(lines, "\n") + "\n"
	name = filepath.Join(dir, name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// inBucket is the line that keeps blobs in a bucket.
func inBucket(dir, bucket string) string {
	return fmt.Sprintf("storage: {s3: {bucket: %s, endpoint: \"http://%s\", path_style: true, access_key_id: %s, secret_access_key_file: %s/secret}}", bucket, gateway.Addr, accessKey, dir)
}

func inDatabase(url string) string { return fmt.Sprintf("database: {url: %q}", url) }

// kontor runs a command that has to succeed.
func kontor(t testing.TB, dir string, args ...string) string {
	t.Helper()
	out, err := tryKontor(dir, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func tryKontor(dir string, args ...string) (string, error) {
	cmd := exec.Command(os.Getenv("KONTOR_BIN"), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+adminKey, "AWS_SECRET_ACCESS_KEY="+adminSecret)
	var out, messages strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &messages
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("kontor %s: %w\n%s%s", strings.Join(args, " "), err, &out, &messages)
	}
	return out.String(), nil
}

// process is a kontor serve that runs.
type process struct {
	t    testing.TB
	cmd  *exec.Cmd
	URL  string
	gone chan error

	mu  sync.Mutex
	log strings.Builder // guarded by mu
}

// serveProcess starts one and waits until it serves. It is killed at the end.
func serveProcess(t testing.TB, config string) *process {
	t.Helper()
	p := &process{t: t, gone: make(chan error, 1)}
	p.cmd = exec.Command(os.Getenv("KONTOR_BIN"), "serve", "--config", config)
	p.cmd.Dir, p.cmd.Stderr = filepath.Dir(config), p
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.kill() })
	at := make(chan string, 1)
	go func() {
		url := ""
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if name, value, _ := strings.Cut(lines.Text(), " "); name == "listen" {
				url = strings.TrimSpace(value)
			}
			if strings.HasPrefix(lines.Text(), "kontor is ready") {
				at <- url
			}
		}
		p.gone <- p.cmd.Wait()
	}()
	select {
	case p.URL = <-at:
	case err := <-p.gone:
		p.gone <- err
		t.Fatalf("kontor serve ended: %v\n%s", err, p.said())
	case <-time.After(time.Minute):
		t.Fatalf("kontor serve does not say where it serves\n%s", p.said())
	}
	return p
}

// Write keeps what the process logs.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// kill ends the process as a loss of power does. It may have ended.
func (p *process) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Error(err)
	}
	err := <-p.gone
	p.gone <- err
}

func apiOf(url string) *ecr.Client { return apiWith(url, adminKey, adminSecret) }

func apiWith(url, key, secret string) *ecr.Client {
	return ecr.New(ecr.Options{
		Region: "us-east-2", BaseEndpoint: aws.String(url), Credentials: credentials.NewStaticCredentialsProvider(key, secret, ""),
		HTTPClient: &http.Client{Timeout: time.Minute},
	})
}

// dockerClient pushes and pulls as docker does, at one address.
type dockerClient struct {
	url, user, password string
}

func dockerAt(t testing.TB, url string) dockerClient {
	t.Helper()
	return dockerOf(t, url, adminKey, adminSecret)
}

// dockerOf is a client with the login of an access key.
func dockerOf(t testing.TB, url, key, secret string) dockerClient {
	t.Helper()
	out, err := apiWith(url, key, secret).GetAuthorizationToken(t.Context(), &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	login, err := base64.StdEncoding.DecodeString(aws.ToString(out.AuthorizationData[0].AuthorizationToken))
	if err != nil {
		t.Fatal(err)
	}
	c := dockerClient{url: url}
	c.user, c.password, _ = strings.Cut(string(login), ":")
	return c
}

// errAnswer is an answer with another status than was wanted.
type errAnswer struct {
	request string
	status  int
	body    string
}

func (e *errAnswer) Error() string {
	return fmt.Sprintf("%s: status %d: %s", e.request, e.status, e.body)
}

var dockerHTTP = &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// do sends a request, and returns the body and where an answer points to.
func (c dockerClient) do(method, path string, body []byte, mediaType string, want int) (answer []byte, location string, err error) {
	if !strings.HasPrefix(path, "http") {
		path = c.url + path
	}
	r, err := http.NewRequest(method, path, bytes.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	r.SetBasicAuth(c.user, c.password)
	if mediaType != "" {
		r.Header.Set("Content-Type", mediaType)
		r.Header.Set("Accept", mediaType)
	}
	resp, err := dockerHTTP.Do(r)
	if err != nil {
		return nil, "", err
	}
	answer, err = io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, "", err
	}
	if resp.StatusCode != want {
		return nil, "", &errAnswer{method + " " + r.URL.Path, resp.StatusCode, string(answer)}
	}
	at, err := r.URL.Parse(resp.Header.Get("Location"))
	if err != nil {
		return nil, "", err
	}
	return answer, at.String(), nil
}

func (c dockerClient) blob(repo string, content []byte) (descriptor string, err error) {
	digest := string(kecr.DigestOf(content))
	_, at, err := c.do(http.MethodPost, "/v2/"+repo+"/blobs/uploads/", nil, "", http.StatusAccepted)
	if err == nil {
		_, at, err = c.do(http.MethodPatch, at, content, "application/octet-stream", http.StatusAccepted)
	}
	if err == nil {
		_, _, err = c.do(http.MethodPut, at+"?digest="+digest, nil, "", http.StatusCreated)
	}
	return fmt.Sprintf(`"digest": %q, "size": %d`, digest, len(content)), err
}

const ociImage = "application/vnd.oci.image.manifest.v1+json"

// push pushes an image of layers, and returns its manifest.
func (c dockerClient) push(repo, tag string, layers ...[]byte) (manifest string, err error) {
	config, err := c.blob(repo, []byte(fmt.Sprintf(`{"os": "linux", "tag": %q}`, repo+":"+tag)))
	if err != nil {
		return "", err
	}
	var list []string
	for _, l := range layers {
		d, err := c.blob(repo, l)
		if err != nil {
			return "", err
		}
		list = append(list, `{"mediaType": "application/vnd.oci.image.layer.v1.tar", `+d+`}`)
	}
	manifest = fmt.Sprintf(`{"schemaVersion": 2, "mediaType": %q, "config": {"mediaType": "application/vnd.oci.image.config.v1+json", %s}, "layers": [%s]}`,
		ociImage, config, strings.Join(list, ", "))
	_, _, err = c.do(http.MethodPut, "/v2/"+repo+"/manifests/"+tag, []byte(manifest), ociImage, http.StatusCreated)
	return manifest, err
}

// pull reads the image of a tag, its layers too, and compares them with their digests.
func (c dockerClient) pull(repo, tag string) (manifest string, err error) {
	body, _, err := c.do(http.MethodGet, "/v2/"+repo+"/manifests/"+tag, nil, ociImage, http.StatusOK)
	if err != nil {
		return "", err
	}
	var m struct {
		Layers []struct{ Digest string }
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return "", err
	}
	for _, l := range m.Layers {
		content, _, err := c.do(http.MethodGet, "/v2/"+repo+"/blobs/"+l.Digest, nil, "", http.StatusOK)
		if err != nil {
			return "", err
		}
		if got := string(kecr.DigestOf(content)); got != l.Digest {
			return "", fmt.Errorf("blob %s has the digest %s", l.Digest, got)
		}
	}
	return string(body), nil
}
