//go:build unix

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// do sends a request; an answer that is not 2xx is an error with its body.
func do(r *http.Request) (http.Header, []byte, error) {
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, nil, err
	}
	b, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, nil, err
	}
	if resp.StatusCode/100 != 2 {
		return nil, nil, fmt.Errorf("%s %s: %s: %s", r.Method, r.URL.Path, resp.Status, strings.TrimSpace(string(b)))
	}
	return resp.Header, b, nil
}

// report is how a command of a script ends: output for `stdout`, or an error
// for `stderr`.
func report(ts *testscript.TestScript, neg bool, out string, err error) {
	if err != nil {
		out = err.Error()
		_, werr := fmt.Fprintln(ts.Stderr(), out)
		ts.Check(werr)
	} else {
		_, werr := fmt.Fprintln(ts.Stdout(), out)
		ts.Check(werr)
	}
	if (err != nil) != neg {
		ts.Fatalf("%s", out)
	}
}

// api calls the ECR API with the environment's credentials.
func api(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: api OPERATION JSON")
	}
	out, err := callAPI(ts.Getenv, args[0], args[1])
	report(ts, neg, out, err)
}

func callAPI(getenv func(string) string, operation, body string) (string, error) {
	r, err := http.NewRequest(http.MethodPost, getenv("AWS_ENDPOINT_URL"), strings.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921."+operation)
	sum := sha256.Sum256([]byte(body))
	credentials := aws.Credentials{AccessKeyID: getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: getenv("AWS_SECRET_ACCESS_KEY")}
	if err := v4.NewSigner().SignHTTP(context.Background(), credentials, r, hex.EncodeToString(sum[:]), "ecr", getenv("AWS_REGION"), time.Now()); err != nil {
		return "", err
	}
	_, b, err := do(r)
	return strings.TrimSpace(string(b)), err
}

// image is a docker client's view of one: host/repository:tag.
type image struct {
	host, repository, tag string
	user, password        string
}

// parseImage finds the credentials for an image where docker would.
func parseImage(ts *testscript.TestScript, ref string) (image, error) {
	host, rest, ok := strings.Cut(ref, "/")
	repository, tag, tagged := strings.Cut(rest, ":")
	if !ok || !tagged {
		return image{}, fmt.Errorf("%s is not host/repository:tag", ref)
	}
	i := image{host: host, repository: repository, tag: tag}
	dir := ts.Getenv("DOCKER_CONFIG")
	if dir == "" {
		dir = filepath.Join(ts.Getenv("HOME"), ".docker")
	}
	b, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		return image{}, err
	}
	var config struct {
		Auths       map[string]struct{ Auth []byte }
		CredsStore  string
		CredHelpers map[string]string
	}
	if err := json.Unmarshal(b, &config); err != nil {
		return image{}, err
	}
	helper := config.CredsStore
	if h := config.CredHelpers[host]; h != "" {
		helper = h
	}
	if helper == "" {
		i.user, i.password, _ = strings.Cut(string(config.Auths[host].Auth), ":")
		return i, nil
	}
	cmd := exec.Command(filepath.Join(ts.Getenv("WORK"), "bin", "docker-credential-"+helper), "get")
	cmd.Stdin, cmd.Env = strings.NewReader(host), environ(ts)
	if b, err = cmd.Output(); err != nil {
		return image{}, fmt.Errorf("%v: %w", cmd, err)
	}
	var got struct{ Username, Secret string }
	err = json.Unmarshal(b, &got)
	i.user, i.password = got.Username, got.Secret
	return i, err
}

func (i image) do(method, path string, body []byte, contentType string) (http.Header, []byte, error) {
	r, err := http.NewRequest(method, "http://"+i.host+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(i.user+":"+i.password)))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return do(r)
}

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int    `json:"size"`
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

const manifestType = "application/vnd.oci.image.manifest.v1+json"

// push pushes an image with one layer: CONTENT, or what the file has for @FILE.
func push(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: push IMAGE CONTENT")
	}
	if name, ok := strings.CutPrefix(args[1], "@"); ok {
		args[1] = ts.ReadFile(name)
	}
	i, err := parseImage(ts, args[0])
	ts.Check(err)
	digest, err := i.push(args[1])
	report(ts, neg, digest, err)
}

func (i image) push(content string) (string, error) {
	m := manifest{SchemaVersion: 2, MediaType: manifestType}
	upload := func(mediaType string, content []byte) (descriptor, error) {
		d := descriptor{mediaType, string(ecr.DigestOf(content)), len(content)}
		_, _, err := i.do(http.MethodPost, "/v2/"+i.repository+"/blobs/uploads/?digest="+d.Digest, content, "application/octet-stream")
		return d, err
	}
	var err error
	if m.Config, err = upload("application/vnd.oci.image.config.v1+json", []byte(`{"architecture":"amd64","os":"linux"}`)); err != nil {
		return "", err
	}
	layer, err := upload("application/vnd.oci.image.layer.v1.tar", []byte(content))
	if err != nil {
		return "", err
	}
	m.Layers = []descriptor{layer}
	b, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	_, _, err = i.do(http.MethodPut, "/v2/"+i.repository+"/manifests/"+i.tag, b, manifestType)
	return string(ecr.DigestOf(b)), err
}

func pull(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: pull IMAGE")
	}
	i, err := parseImage(ts, args[0])
	ts.Check(err)
	layer, err := i.pull()
	report(ts, neg, layer, err)
}

func (i image) pull() (string, error) {
	header, b, err := i.do(http.MethodGet, "/v2/"+i.repository+"/manifests/"+i.tag, nil, "")
	if err != nil {
		return "", err
	}
	if d := header.Get("Docker-Content-Digest"); d != string(ecr.DigestOf(b)) {
		return "", fmt.Errorf("the manifest is %s, and said to be %s", string(ecr.DigestOf(b)), d)
	}
	var m manifest
	if err := json.Unmarshal(b, &m); err != nil || len(m.Layers) != 1 {
		return "", fmt.Errorf("manifest %s: %w", b, err)
	}
	_, layer, err := i.do(http.MethodGet, "/v2/"+i.repository+"/blobs/"+m.Layers[0].Digest, nil, "")
	if err == nil && string(ecr.DigestOf(layer)) != m.Layers[0].Digest {
		err = errors.New("the layer is not what its digest says")
	}
	return string(layer), err
}
