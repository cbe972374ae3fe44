// Package kube reads which images a Kubernetes cluster uses, from its API:
// plain HTTP with a bearer token or a client certificate.
//
// It guarantees that it only reads, and only lists pods and the six kinds that
// make pods; that it reads lists in parts, so that a large cluster is no large
// answer; and that a report is whole: a list that cannot be read to its end is
// an error. It knows nothing of a registry.
//
// Sources: Kubernetes API concepts, "Retrieving large results sets in chunks"
// and "410 Gone responses"; kubeconfig (v1); client-go credential plugins
// (client.authentication.k8s.io/v1).
package kube

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/leases"
)

// Config says how to reach a cluster.
type Config struct {
	// Server is the URL of the API, for example "https://10.0.0.1:443".
	Server string
	// CA are the certificates (PEM) that the server's must come from; empty for
	// the system's.
	CA []byte
	// ServerName stands in for the host of Server in its certificate.
	ServerName string
	// Insecure trusts any certificate.
	Insecure bool
	// Token returns the bearer token; nil for none. It is asked each time.
	Token func() (string, error)
	// ClientCertificate and ClientKey (PEM) say who the client is; may be
	// empty.
	ClientCertificate, ClientKey []byte
	// Username and Password are for basic authentication; may be empty.
	Username, Password string
}

// Client reads a cluster. It is safe for concurrent use.
type Client struct {
	cfg  Config
	base *url.URL
	http *http.Client
}

// Limits of what is read.
const (
	pageSize = 500
	// maxPage bounds one part of a list; an object has at most 1.5 MB.
	maxPage = 1 << 30
	// maxError is how much of an error's body is looked at.
	maxError = 64 << 10
	// restarts is how often a list begins anew whose token got too old.
	restarts = 3
	// patience is how long the server may take to begin an answer.
	patience = 60 * time.Second
)

// New returns a Client. Nothing is sent yet.
func New(cfg Config) (*Client, error) {
	base, err := url.Parse(cfg.Server)
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" {
		return nil, fmt.Errorf("%q is not the URL of a cluster", cfg.Server)
	}
	// who says insecure-skip-tls-verify gets it
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: cfg.ServerName, InsecureSkipVerify: cfg.Insecure}
	if len(cfg.CA) > 0 {
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(cfg.CA) {
			return nil, errors.New("the cluster's certificate authority is not a PEM certificate")
		}
	}
	if len(cfg.ClientCertificate) > 0 {
		pair, err := tls.X509KeyPair(cfg.ClientCertificate, cfg.ClientKey)
		if err != nil {
			return nil, fmt.Errorf("the client certificate for the cluster cannot be used: %w", err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return &Client{cfg: cfg, base: base, http: &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: conf, ForceAttemptHTTP2: true, ResponseHeaderTimeout: patience,
		},
		// A cluster's API redirects nobody, and the token is for it alone.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// lists are where the objects are that have images.
var lists = []string{
	"/api/v1/pods", "/apis/apps/v1/deployments", "/apis/apps/v1/statefulsets", "/apis/apps/v1/daemonsets",
	"/apis/apps/v1/replicasets", "/apis/batch/v1/cronjobs",
}

// Images lists the pods, deployments, stateful sets, daemon sets, replica sets
// and cron jobs of all namespaces, and returns what they use. Its errors name
// what could not be listed and say what to do.
func (c *Client) Images(ctx context.Context) (leases.Objects, error) {
	var all leases.Objects
	for _, path := range lists {
		part, err := c.list(ctx, path)
		if err != nil {
			return leases.Objects{}, err
		}
		all.Add(part)
	}
	return all, nil
}

// list reads a whole list. When its token has become too old in between, it
// begins anew: half of one moment and half of another would overlook what
// moved.
func (c *Client) list(ctx context.Context, path string) (leases.Objects, error) {
	for try := 0; ; try++ {
		all, err := c.parts(ctx, path)
		var status *statusError
		if errors.As(err, &status) && status.code == http.StatusGone && try < restarts {
			continue
		}
		return all, err
	}
}

func (c *Client) parts(ctx context.Context, path string) (leases.Objects, error) {
	var all leases.Objects
	for next := ""; ; {
		query := url.Values{"limit": {fmt.Sprint(pageSize)}}
		if next != "" {
			query.Set("continue", next)
		}
		text, err := c.get(ctx, path, query)
		if err != nil {
			return leases.Objects{}, err
		}
		part, err := leases.Kubernetes(text)
		if err != nil {
			return leases.Objects{}, fmt.Errorf("listing %s of %s: %w", path, c.base.Redacted(), err)
		}
		if part.Continue != "" && part.Continue == next {
			return leases.Objects{}, fmt.Errorf("listing %s of %s: the list does not end", path, c.base.Redacted())
		}
		all.Add(part)
		if next = part.Continue; next == "" {
			return all, nil
		}
	}
}

func (c *Client) get(ctx context.Context, path string, query url.Values) (text []byte, err error) {
	at := c.base.JoinPath(path)
	at.RawQuery = query.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "kontor")
	switch {
	case c.cfg.Token != nil:
		token, err := c.cfg.Token()
		if err != nil {
			return nil, err
		}
		r.Header.Set("Authorization", "Bearer "+token)
	case c.cfg.Username != "":
		r.SetBasicAuth(c.cfg.Username, c.cfg.Password)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("reaching the cluster: %w", err)
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxError)) // what there is of it
		return nil, &statusError{resp.StatusCode, fmt.Sprintf("listing %s of %s: %s", path, c.base.Redacted(), complaint(resp, body))}
	}
	text, err = io.ReadAll(io.LimitReader(resp.Body, maxPage+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("listing %s of %s: %w", path, c.base.Redacted(), err)
	case len(text) > maxPage:
		return nil, fmt.Errorf("listing %s of %s: a part of it has more than %d bytes", path, c.base.Redacted(), maxPage)
	}
	return text, nil
}

// statusError is a refusal.
type statusError struct {
	code    int
	message string
}

func (e *statusError) Error() string { return e.message }

// complaint is what the server says, and what to do about it.
func complaint(resp *http.Response, body []byte) string {
	var status struct{ Message string }
	said := resp.Status
	if json.Unmarshal(body, &status) == nil && status.Message != "" {
		said = strings.Join(strings.Fields(status.Message), " ")
	}
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		return said + ": the cluster does not know these credentials; log in again"
	case http.StatusForbidden:
		return said + ": give the user a ClusterRole that may list pods, deployments, statefulsets, daemonsets, replicasets and cronjobs"
	}
	return said
}
