package delivery

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/events"
	"github.com/kontor-registry/kontor/internal/lazyregexp"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/version"
)

// Host is a host that the operator lists as one that receivers may be on, whatever
// address it has: webhooks inside of a cluster are usual.
type Host struct {
	Host string // with its port, if that is not the usual one, such as "hooks.example.com:8443"
	// PlainHTTP allows http:// URLs.
	PlainHTTP bool
	// Trust are the certificate authorities to trust; nil for the system's.
	Trust *x509.CertPool
}

var hostPattern = lazyregexp.New(`^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$`)

// ParseHost reads HOST or HOST:PORT, or for plain HTTP one of them with "=http".
func ParseHost(s string) (Host, error) {
	name, option, given := strings.Cut(s, "=")
	if !hostPattern.MatchString(name) || given && option != "http" {
		return Host{}, fmt.Errorf("%q: want a host, such as hooks.example.com or hooks.example.com:8443, with =http behind it for plain HTTP", s)
	}
	return Host{Host: name, PlainHTTP: given}, nil
}

// Bounds of what a receiver may send.
const (
	maxHeader = 64 << 10
	maxAnswer = 1 << 10 // of a body, in the log
	maxWait   = time.Hour
)

// client reaches hosts of the list, and no others.
type client struct {
	hosts []Host
	by    map[string]*http.Client
}

func newClient(hosts []Host, timeout time.Duration) *client {
	c := &client{hosts: hosts, by: map[string]*http.Client{}}
	for _, h := range hosts {
		t := &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: timeout, KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: h.Trust},
			TLSHandshakeTimeout:    timeout,
			MaxResponseHeaderBytes: maxHeader,
			MaxIdleConnsPerHost:    width,
			IdleConnTimeout:        30 * time.Second,
			ForceAttemptHTTP2:      true,
		}
		c.by[strings.ToLower(h.Host)] = &http.Client{
			Transport: t, Timeout: timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return c
}

// to is the client for a URL. Its error is for the administrator of the registry.
func (c *client) to(u *url.URL) (*http.Client, error) {
	for _, h := range c.hosts {
		if !sameHost(h.Host, u) {
			continue
		}
		if u.Scheme != "https" && !h.PlainHTTP {
			return nil, fmt.Errorf("the operator of this server allows https only for %s", h.Host)
		}
		return c.by[strings.ToLower(h.Host)], nil
	}
	return nil, fmt.Errorf("the operator of this server does not list %s as a host of receivers", hostOf(u))
}

// sameHost reports whether a host of the list, with a port or without one for the usual, is
// that of a URL.
func sameHost(listed string, u *url.URL) bool {
	return strings.EqualFold(hostOf(&url.URL{Scheme: u.Scheme, Host: listed}), hostOf(u))
}

// hostOf is the host of a URL as lists have it: with its port, unless that is the usual.
func hostOf(u *url.URL) string {
	if u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80" {
		return strings.TrimSuffix(u.Host, ":"+u.Port())
	}
	return u.Host
}

// attempt is how a request ended; err is "" for success.
type attempt struct {
	status int // 0: nothing was answered
	took   time.Duration
	err    string
	answer string
	wait   time.Duration // at least so long until the next
	// final: another attempt makes no sense. passes: the refusal is a passing one. away: it
	// is of the receiver, not of the event, so others would be refused, too.
	final, passes, away bool
}

// send sends e once.
func (s *Service) send(ctx context.Context, t target, e events.Event, d meta.Delivery) attempt {
	open, err := s.open(t.Receiver)
	if err != nil {
		return attempt{err: err.Error()}
	}
	to, err := url.Parse(open.URL)
	if err != nil {
		return attempt{err: "its URL cannot be read"}
	}
	c, err := s.client.to(to)
	if err != nil {
		return attempt{err: err.Error()}
	}
	m, err := events.Render(e, t.Format)
	if err != nil {
		return attempt{err: err.Error(), final: true}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, open.URL, strings.NewReader(string(m.Body)))
	if err != nil {
		return attempt{err: "its URL cannot be used"}
	}
	now := s.cfg.Outbox.Now()
	r.Header.Set("Content-Type", m.ContentType)
	r.Header.Set("User-Agent", "kontor/"+version.String())
	for k, v := range m.Headers {
		r.Header.Set(k, v)
	}
	r.Header.Set("Webhook-Id", e.ID)
	r.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	r.Header.Set("Webhook-Signature", open.signature(e.ID, now, m.Body))
	r.Header.Set("Kontor-Event", string(e.Type))
	r.Header.Set("Kontor-Delivery", strconv.FormatInt(d.ID, 10))
	r.Header.Set("Kontor-Attempt", strconv.Itoa(d.Attempts+1))
	for k, v := range open.Headers {
		r.Header.Set(k, v)
	}
	a := do(c, r)
	hide := open.hidden(to)
	a.err, a.answer = hide.Replace(a.err), hide.Replace(a.answer)
	return a
}

// hidden replaces what must not be in the log, although a receiver may answer with what
// it was sent.
func (o secrets) hidden(u *url.URL) *strings.Replacer {
	const shortest = 4 // less is part of many words
	all := []string{o.Secret, o.Previous}
	for _, v := range o.Headers {
		_, credentials, _ := strings.Cut(v, " ") // of a scheme, such as Bearer
		all = append(all, v, credentials)
	}
	for _, p := range strings.FieldsFunc(u.RawQuery, betweenValues) {
		_, value, named := strings.Cut(p, "=")
		if !named {
			value = p
		}
		all = append(all, value)
		if plain, err := url.QueryUnescape(value); err == nil {
			all = append(all, plain)
		}
	}
	for _, p := range strings.Split(u.EscapedPath(), "/") {
		if secretPart(p) {
			all = append(all, p)
			if plain, err := url.PathUnescape(p); err == nil {
				all = append(all, plain)
			}
		}
	}
	// The longest first: one may be part of another.
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, s := range all {
		if len(s) >= shortest {
			pairs = append(pairs, s, "...")
		}
	}
	return strings.NewReplacer(pairs...)
}

// do sends r and reads the beginning of what is answered.
func do(c *http.Client, r *http.Request) (a attempt) {
	began := time.Now() // monotonic
	resp, err := c.Do(r)
	if err != nil {
		return attempt{took: time.Since(began), err: reason(err)}
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	_ = resp.Body.Close() // what else it sends is not read
	a = attempt{status: resp.StatusCode, took: time.Since(began), answer: string(text)}
	switch {
	case a.status >= 200 && a.status < 300:
		// It took the event, whatever became of its answer.
	case a.status >= 300 && a.status < 400:
		a.err = fmt.Sprintf("it answered %s: redirects are not followed; add the receiver with the new URL", resp.Status)
	default:
		a.err = "it answered " + resp.Status
		switch a.status {
		case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
			a.passes = true
		case http.StatusGone:
			a.final = true
		}
		switch a.status {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			a.away = true
		}
		if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && n > 0 {
			a.wait = min(time.Duration(min(n, int(maxWait.Seconds())))*time.Second, maxWait)
		}
	}
	if err != nil && a.err != "" {
		a.answer = ""
	}
	return a
}

// reason is why nothing was answered, without the URL, which may hold a secret.
func reason(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		if u.Timeout() {
			return "it did not answer in time"
		}
		err = u.Err
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}

// signature signs body as Standard Webhooks has it: with the secret, and for a while with
// the one that it replaced.
func (o secrets) signature(id string, now time.Time, body []byte) string {
	sign := func(secret string) string {
		h := hmac.New(sha256.New, keyOf(secret))
		_, _ = fmt.Fprintf(h, "%s.%d.", id, now.Unix()) // a hash takes all
		_, _ = h.Write(body)
		return "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil))
	}
	out := sign(o.Secret)
	if o.Previous != "" && now.Before(o.PreviousUntil) {
		out += " " + sign(o.Previous)
	}
	return out
}

// secretPrefix begins secrets of Standard Webhooks, which are base64 behind it.
const secretPrefix = "whsec_"

// keyOf is the key of a secret: what the base64 stands for, or the text itself.
func keyOf(secret string) []byte {
	if text, ok := strings.CutPrefix(secret, secretPrefix); ok {
		if key, err := base64.StdEncoding.DecodeString(text); err == nil {
			return key
		}
	}
	return []byte(secret)
}

// clean is a text as every database takes it.
func clean(s string) string {
	const most = 1 << 10
	return strings.ToValidUTF8(strings.ReplaceAll(s[:min(len(s), most)], "\x00", ""), "")
}

func gone(err error) bool { return errors.Is(err, meta.ErrNotFound) }
