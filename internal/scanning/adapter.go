package scanning

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/remote"
	"github.com/kontor-registry/kontor/internal/upstream"
)

// AdapterConfig is a scanner that is a web service.
type AdapterConfig struct {
	// URL is that of the service, whose paths begin with /api/v1 below it. Required.
	URL *url.URL
	// Private allows addresses of private networks and of this machine.
	Private bool
	// Trust are certificate authorities to trust besides the system's.
	Trust *x509.CertPool
	// Authorization is the header of that name for each request; "" for none.
	Authorization string
	// Address is how the service reaches a registry: the URL of its docker endpoint.
	// Required.
	Address func(in ecr.RegistryID) *url.URL
	// Credentials gives the service access to what it scans. Required.
	Credentials Credentials
}

// Credentials makes passwords for scanners.
type Credentials interface {
	// Issue returns a user name and a password with which the images of the one repository
	// can be read, until Revoke is called, or at the latest until then.
	Issue(ctx context.Context, at ecr.Repo, until time.Time) (user, password, id string, err error)
	Revoke(ctx context.Context, at ecr.Repo, id string) error
}

// Media types of the API. Source: Harbor, "Pluggable Image Vulnerability Scanning API",
// api/spec/scanner-adapter-openapi-v1.1.yaml.
const (
	typeMetadata = "application/vnd.scanner.adapter.metadata+json; version=1.0"
	typeRequest  = "application/vnd.scanner.adapter.scan.request+json; version=1.0"
	typeReport   = "application/vnd.security.vulnerability.report; version=1.1"
	typeReport10 = "application/vnd.scanner.adapter.vuln.report.harbor+json; version=1.0"
)

const (
	// maxSmall bounds answers that are no report.
	maxSmall = 1 << 20
	// Pauses between two looks whether a report is there.
	shortestLook, look, longestLook = time.Second, 5 * time.Second, time.Minute
	// extraTime is how much longer than the scan a password lasts.
	extraTime = time.Minute
	// silent is how long the service may take to answer.
	silent = time.Minute
)

// NewAdapter returns a scanner that is a web service.
func NewAdapter(cfg AdapterConfig) Scanner {
	t := remote.NewTransport()
	t.DialContext = upstream.Dialer(cfg.Private).DialContext
	t.Proxy = nil // what is configured is dialled, and nothing else
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.Trust}
	t.MaxResponseHeaderBytes, t.ResponseHeaderTimeout = 64<<10, silent
	return &adapter{cfg, &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

type adapter struct {
	cfg    AdapterConfig
	client *http.Client
}

// errStatus is an answer that is not what was asked for.
type errStatus struct {
	code int
	text string
}

func (e *errStatus) Error() string {
	return strings.TrimSuffix(fmt.Sprintf("the scanner answered %d %s: %s", e.code, http.StatusText(e.code), e.text), ": ")
}

// call makes one request. Answers with another status than want are *errStatus.
func (a *adapter) call(ctx context.Context, method, path, accept string, in any, most int64, want ...int) (status int, header http.Header, body []byte, err error) {
	var r io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return 0, nil, nil, err
		}
		r = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.cfg.URL.JoinPath("api", "v1").String()+path, r)
	if err != nil {
		return 0, nil, nil, err
	}
	req.Header.Set("Accept", accept)
	if in != nil {
		req.Header.Set("Content-Type", typeRequest)
	}
	if a.cfg.Authorization != "" {
		req.Header.Set("Authorization", a.cfg.Authorization)
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return 0, nil, nil, fmt.Errorf("asking the scanner: %w", err)
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	body, err = io.ReadAll(io.LimitReader(resp.Body, most+1))
	if err != nil {
		return 0, nil, nil, fmt.Errorf("reading the scanner's answer: %w", err)
	}
	if int64(len(body)) > most {
		return 0, nil, nil, fmt.Errorf("the scanner's answer has more than %d bytes", most)
	}
	for _, w := range want {
		if resp.StatusCode == w {
			return w, resp.Header, body, nil
		}
	}
	return 0, nil, nil, &errStatus{resp.StatusCode, said(body)}
}

// said is the message of an error's body.
func said(body []byte) string {
	var e struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &e) == nil && e.Error.Message != "" {
		return clean(e.Error.Message, maxReason/2)
	}
	return clean(string(body), maxText)
}

// metadata is what the service says of itself.
type metadata struct {
	Scanner struct {
		Name    string `json:"name"`
		Vendor  string `json:"vendor"`
		Version string `json:"version"`
	} `json:"scanner"`
	Capabilities []struct {
		Consumes []string `json:"consumes_mime_types"`
		Produces []string `json:"produces_mime_types"`
	} `json:"capabilities"`
	Properties map[string]string `json:"properties"`
}

func (a *adapter) metadata(ctx context.Context) (m metadata, err error) {
	_, _, body, err := a.call(ctx, http.MethodGet, "/metadata", typeMetadata, nil, maxSmall, http.StatusOK)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return m, fmt.Errorf("reading the scanner's metadata: %w", err)
	}
	return m, nil
}

// updatedAt is when the scanner's database was updated. Source: Harbor's name of the
// property.
func (m metadata) updatedAt() time.Time {
	at, err := time.Parse(time.RFC3339, m.Properties["harbor.scanner-adapter/vulnerability-database-updated-at"])
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}

// sameType compares media types as far as spaces go.
func sameType(a, b string) bool {
	return strings.EqualFold(strings.ReplaceAll(a, " ", ""), strings.ReplaceAll(b, " ", ""))
}

// reports is the media type of the report to ask for about an image of a media type; ""
// where the service does not scan such.
func (m metadata) reports(mediaType string) string {
	for _, want := range []string{typeReport, typeReport10} {
		for _, c := range m.Capabilities {
			for _, p := range c.Produces {
				for _, in := range c.Consumes {
					if sameType(p, want) && sameType(in, mediaType) {
						return want
					}
				}
			}
		}
	}
	return ""
}

// About implements Scanner.
func (a *adapter) About(ctx context.Context) (About, error) {
	about := About{Kind: "adapter", Name: a.cfg.URL.String()}
	m, err := a.metadata(ctx)
	if err != nil {
		return about, err
	}
	about.Name, about.Vendor, about.Version = clean(m.Scanner.Name, maxText), clean(m.Scanner.Vendor, maxText), clean(m.Scanner.Version, maxText)
	about.UpdatedAt = m.updatedAt()
	return about, nil
}

type (
	scanRequest struct {
		Registry struct {
			URL           string `json:"url"`
			Authorization string `json:"authorization"`
		} `json:"registry"`
		Artifact struct {
			Repository string     `json:"repository"`
			Digest     ecr.Digest `json:"digest"`
			Tag        ecr.Tag    `json:"tag,omitempty"`
			MediaType  string     `json:"mime_type"`
		} `json:"artifact"`
		Capabilities []scanCapability `json:"enabled_capabilities"`
	}
	scanCapability struct {
		Type     string   `json:"type"`
		Produces []string `json:"produces_mime_types"`
	}
)

// Scan implements Scanner.
func (a *adapter) Scan(ctx context.Context, t Target) (r Report, err error) {
	m, err := a.metadata(ctx)
	if err != nil {
		return r, err
	}
	kind := m.reports(t.Manifest.MediaType)
	if kind == "" {
		return r, fmt.Errorf("%w: it takes no %s", ErrUnsupported, t.Manifest.MediaType)
	}
	until := time.Now().Add(longestLook)
	if d, ok := ctx.Deadline(); ok {
		until = d
	}
	user, password, id, err := a.cfg.Credentials.Issue(ctx, t.At, until.Add(extraTime))
	if err != nil {
		return r, fmt.Errorf("making the scanner's password: %w", err)
	}
	defer func() {
		// Also when the scan was stopped.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killWait)
		defer cancel()
		if rerr := a.cfg.Credentials.Revoke(ctx, t.At, id); rerr != nil && err == nil {
			err = fmt.Errorf("revoking the scanner's password: %w", rerr)
		}
	}()
	var in scanRequest
	in.Registry.URL = a.cfg.Address(t.At.In).String()
	in.Registry.Authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	in.Artifact.Repository, in.Artifact.Digest, in.Artifact.Tag, in.Artifact.MediaType = string(t.At.Name), t.Digest, t.Tag, t.Manifest.MediaType
	in.Capabilities = []scanCapability{{"vulnerability", []string{kind}}}
	_, _, body, err := a.call(ctx, http.MethodPost, "/scan", "application/vnd.scanner.adapter.scan.response+json; version=1.0", in, maxSmall, http.StatusAccepted)
	if err != nil {
		return r, a.hidden(err, password)
	}
	var begun struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(body, &begun); err != nil || begun.ID == "" || len(begun.ID) > maxText {
		return r, errors.New("the scanner's answer has no id of the scan")
	}
	text, err := a.report(ctx, begun.ID, kind)
	if err != nil {
		return r, a.hidden(err, password)
	}
	if r, err = Parse(text); err == nil && r.UpdatedAt.IsZero() {
		r.UpdatedAt = m.updatedAt()
	}
	return r, err
}

// hidden is err without the password, which a service may repeat in its errors.
func (a *adapter) hidden(err error, password string) error {
	var e *errStatus
	if errors.As(err, &e) && strings.Contains(e.text, password) {
		e.text = strings.ReplaceAll(e.text, password, "...")
	}
	return err
}

// report waits for a report.
func (a *adapter) report(ctx context.Context, id, kind string) ([]byte, error) {
	for {
		status, header, body, err := a.call(ctx, http.MethodGet, "/scan/"+url.PathEscape(id)+"/report", kind, nil, maxReport, http.StatusOK, http.StatusFound)
		if err != nil {
			return nil, err
		}
		if status == http.StatusOK {
			return body, nil
		}
		wait := look
		if n, err := strconv.Atoi(header.Get("Refresh-After")); err == nil && n >= 0 {
			wait = min(max(time.Duration(min(n, 3600))*time.Second, shortestLook), longestLook)
		}
		pause := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			pause.Stop()
			return nil, ctx.Err()
		case <-pause.C:
		}
	}
}
