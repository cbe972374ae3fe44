package delivery

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/lazyregexp"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// secrets are what is sealed of a receiver.
type secrets struct {
	URL     string            `json:"url"`
	Secret  string            `json:"secret"`
	Headers map[string]string `json:"headers,omitempty"`
	// Previous signs, too, until then.
	Previous      string    `json:"previous,omitempty"`
	PreviousUntil time.Time `json:"previousUntil,omitzero"`
}

// overlap is how long the old secret signs after it was replaced.
const overlap = 24 * time.Hour

func (s *Service) seal(id string, o secrets) ([]byte, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("encoding the secrets of a receiver: %w", err)
	}
	return s.cfg.Key.Seal(identity.KindReceiver, id, text), nil
}

// open reads the secrets of r. Its error is for the log.
func (s *Service) open(r events.Receiver) (o secrets, err error) {
	text, err := s.cfg.Key.Open(identity.KindReceiver, r.ID, r.Sealed)
	if err == nil {
		err = json.Unmarshal(text, &o)
	}
	if err != nil {
		return o, fmt.Errorf("its URL and secret cannot be decrypted: add the receiver again: %w", err)
	}
	return o, nil
}

// NewReceiver is a receiver to be added, or changed: then what is zero stays as it is.
type NewReceiver struct {
	Name   string
	URL    string // https://HOST/PATH?QUERY
	Format events.Format
	// Types and Repositories are patterns; ["*"] is all.
	Types, Repositories []string
	// Secret signs; a new receiver without one gets one. RotateSecret makes another one.
	Secret       string
	RotateSecret bool
	// Headers are sent in addition, such as Authorization.
	Headers map[string]string
	// OfFile: the server's configuration file has it.
	OfFile bool
}

// Bounds of receivers.
const (
	maxURL     = 2048
	minSecret  = 16
	maxSecret  = 512
	maxHeaders = 10
)

var receiverName = lazyregexp.New(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// Check is an error for what cannot be a receiver. Its URL must be on a host of the list.
func (s *Service) Check(n NewReceiver, isNew bool) error {
	bad := func(field string, err error) error { return ecr.InvalidParameter(field, "%s", err.Error()) }
	if !receiverName.MatchString(n.Name) {
		return ecr.InvalidParameter("name", "Member must satisfy regular expression '%s'", receiverName.String())
	}
	if n.URL != "" || isNew {
		if err := s.checkURL(n.URL); err != nil {
			return bad("url", err)
		}
	}
	if _, err := events.ParseFormat(string(n.Format)); err != nil {
		return bad("format", err)
	}
	if err := events.ParsePatterns(n.Types); err != nil {
		return bad("types", err)
	}
	if err := events.ParseRepositories(n.Repositories); err != nil {
		return bad("repositories", err)
	}
	if n.Secret != "" && (len(n.Secret) < minSecret || len(n.Secret) > maxSecret) {
		return ecr.InvalidParameter("secret", "Member must have length from %d to %d", minSecret, maxSecret)
	}
	if len(n.Headers) > maxHeaders {
		return ecr.InvalidParameter("headers", "must have at most %d elements", maxHeaders)
	}
	for k, v := range n.Headers {
		if err := checkHeader(k, v); err != nil {
			return bad("headers", err)
		}
	}
	return nil
}

func (s *Service) checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || len(text) > maxURL:
		return fmt.Errorf("want https://HOST/PATH of at most %d bytes", maxURL)
	case u.User != nil || u.Fragment != "":
		return fmt.Errorf("want no user, password or fragment in the URL: send a password as a header")
	}
	_, err = s.client.to(u)
	return err
}

// headerName is that of a field (RFC 9110, 5.6.2).
var headerName = lazyregexp.New("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$")

func checkHeader(name, value string) error {
	if !headerName.MatchString(name) || len(value) > maxSecret || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
		return fmt.Errorf("header %q: want NAME: VALUE of printable ASCII", name)
	}
	switch name := textproto.CanonicalMIMEHeaderKey(name); name {
	case "Content-Type", "Content-Length", "Host", "Transfer-Encoding", "Connection", "User-Agent":
		return fmt.Errorf("header %s cannot be set", name)
	default:
		for _, own := range []string{"Webhook-", "Kontor-", "Ce-"} {
			if strings.HasPrefix(name, own) {
				return fmt.Errorf("header %s cannot be set", name)
			}
		}
	}
	return nil
}

// newSecret makes a secret of 32 bytes.
func newSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return secretPrefix + base64.StdEncoding.EncodeToString(b[:])
}

// secretPart reports whether a part of a path may be a secret, as in URLs of chats: it is
// long, and not made of lower-case words.
func secretPart(p string) bool {
	const least = 16
	return len(p) >= least && strings.ContainsFunc(p, func(r rune) bool { return r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' })
}

// shownURL is a URL without the values of its query and without the parts of its path that
// may be secrets. What has no name in a query is a value, too.
func shownURL(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	parts := strings.FieldsFunc(u.RawQuery, betweenValues)
	for i, p := range parts {
		name, _, named := strings.Cut(p, "=")
		if parts[i] = "..."; named {
			parts[i] = name + "=..."
		}
	}
	u.RawQuery = strings.Join(parts, "&")
	path := strings.Split(u.EscapedPath(), "/")
	for i, p := range path {
		if secretPart(p) {
			path[i] = "..."
		}
	}
	u.Path, u.RawPath = "", ""
	return strings.TrimSuffix(u.Scheme+"://"+u.Host+strings.Join(path, "/")+"?"+u.RawQuery, "?")
}

// betweenValues is what separates the values of a query; some servers take semicolons.
func betweenValues(r rune) bool { return r == '&' || r == ';' }

// changed is r as n changes it, and the secret if it is a new one.
func (s *Service) changed(r events.Receiver, n NewReceiver, now time.Time) (events.Receiver, string, error) {
	var o secrets
	if r.ID == "" {
		r.ID, r.Name, r.CreatedAt = strings.ToLower(rand.Text()[:16]), n.Name, now
	} else {
		var err error
		if o, err = s.open(r); err != nil && (n.URL == "" || n.Secret == "") {
			return r, "", ecr.InvalidParameter("name", "%s", "the receiver's URL and secret cannot be decrypted: give both, or delete the receiver")
		}
	}
	shown := ""
	if n.URL != "" {
		o.URL, r.Host = n.URL, shownURL(n.URL)
	}
	if n.Format != "" || r.Format == "" {
		r.Format, _ = events.ParseFormat(string(n.Format)) // it was checked
	}
	if n.Types != nil {
		r.Types = n.Types
	}
	if n.Repositories != nil {
		r.Repositories = n.Repositories
	}
	if n.Headers != nil {
		o.Headers = n.Headers
	}
	secret := n.Secret
	if secret == "" && (o.Secret == "" || n.RotateSecret) {
		secret = newSecret()
		shown = secret
	}
	if secret != "" && secret != o.Secret {
		if o.Secret != "" {
			o.Previous, o.PreviousUntil = o.Secret, now.Add(overlap)
		}
		o.Secret = secret
	}
	r.OfFile, r.UpdatedAt = n.OfFile, now
	var err error
	r.Sealed, err = s.seal(r.ID, o)
	return r, shown, err
}

// everything makes ["*"] none, which is all.
func everything(patterns []string) []string {
	if slices.Contains(patterns, "*") {
		return []string{}
	}
	return patterns
}

// Caller is the operations on receivers in the name of one principal. It is safe for
// concurrent use.
type Caller struct {
	s    *Service
	gate *gate.Caller
}

// As returns the operations as p may use them.
func (s *Service) As(p access.Principal) *Caller { return &Caller{s, s.cfg.Gate.As(p)} }

// Operations lists every operation. Each stands next to its method; a test holds the
// list against the methods of Caller.
func Operations() []gate.Operation {
	return []gate.Operation{opPutReceiver, opReceivers, opDeleteReceiver, opTestReceiver, opDeliveries, opRedeliver}
}

// noReceiver is for names that no receiver has.
func noReceiver(in ecr.RegistryID, name string) error {
	return ecr.InvalidParameter("name", "There is no event receiver '%s' in the registry with id '%s'", name, in.Account)
}

// find finds a receiver by its name.
func find(s meta.RegistrySettings, in ecr.RegistryID, name string) ([]events.Receiver, int, error) {
	list, err := events.ReceiversOf(s)
	if err != nil {
		return nil, 0, err
	}
	i := slices.IndexFunc(list, func(r events.Receiver) bool { return r.Name == name })
	if i < 0 {
		return list, i, noReceiver(in, name)
	}
	return list, i, nil
}

// errOfFile refuses to change what the configuration file has.
func errOfFile(name string) error {
	return ecr.InvalidParameter("name", "The event receiver '%s' is in the configuration file of the server: change it there", name)
}

var opPutReceiver = gate.Op("PutEventReceiver", "kontor:PutEventReceiver")

// PutEventReceiver adds a receiver, or changes one. secret is "", unless one was made: it
// is told this once. Errors: InvalidParameter.
func (c *Caller) PutEventReceiver(ctx context.Context, in ecr.RegistryID, n NewReceiver) (r events.Receiver, secret string, err error) {
	err = c.gate.Change(ctx, opPutReceiver, func(ctx context.Context, tx *gate.Tx) error {
		scene, err := tx.EnterRegistry(ctx, in)
		if err != nil {
			return err
		}
		r, secret, err = c.s.put(ctx, tx, in, scene.Settings, n)
		return err
	})
	return r, secret, err
}

func (s *Service) put(ctx context.Context, tx *gate.Tx, in ecr.RegistryID, settings meta.RegistrySettings, n NewReceiver) (r events.Receiver, secret string, err error) {
	list, i, err := find(settings, in, n.Name)
	if i >= 0 && err != nil {
		return r, "", err
	}
	if err := s.Check(n, i < 0); err != nil {
		return r, "", err
	}
	n.Types, n.Repositories = everything(n.Types), everything(n.Repositories)
	list = slices.Clone(list)
	if i < 0 {
		if len(list) >= events.MaxReceivers {
			return r, "", ecr.InvalidParameter("name", "a registry has at most %d event receivers", events.MaxReceivers)
		}
		list, i = append(list, events.Receiver{}), len(list)
	} else if list[i].OfFile && !n.OfFile {
		return r, "", errOfFile(n.Name)
	}
	if r, secret, err = s.changed(list[i], n, s.cfg.Outbox.Now()); err != nil {
		return r, "", err
	}
	list[i] = r
	if err := events.SetReceivers(&settings, list); err != nil {
		return r, "", err
	}
	return r, secret, tx.Registries().PutRegistrySettings(ctx, in, settings)
}

// Status is a receiver with its queue.
type Status struct {
	events.Receiver
	Queue meta.DeliveryQueue
}

var opReceivers = gate.Op("EventReceivers", "kontor:ListEventReceivers")

// EventReceivers returns the receivers of a registry, in byte order of their names.
func (c *Caller) EventReceivers(ctx context.Context, in ecr.RegistryID) (out []Status, err error) {
	err = c.gate.Read(ctx, opReceivers, func(ctx context.Context, v *gate.View) error {
		scene, err := v.EnterRegistry(ctx, in)
		if err != nil {
			return err
		}
		list, err := events.ReceiversOf(scene.Settings)
		if err != nil {
			return err
		}
		queues, err := v.Registries().DeliveryQueues(ctx)
		out = nil
		for _, r := range list {
			s := Status{Receiver: r}
			if i := slices.IndexFunc(queues, func(q meta.DeliveryQueue) bool { return q.Receiver == r.ID }); i >= 0 {
				s.Queue = queues[i]
			}
			out = append(out, s)
		}
		return err
	})
	return out, err
}

var opDeleteReceiver = gate.Op("DeleteEventReceiver", "kontor:DeleteEventReceiver")

// DeleteEventReceiver removes a receiver with its queue and its log.
// Errors: InvalidParameter.
func (c *Caller) DeleteEventReceiver(ctx context.Context, in ecr.RegistryID, name string) error {
	return c.gate.Change(ctx, opDeleteReceiver, func(ctx context.Context, tx *gate.Tx) error {
		scene, err := tx.EnterRegistry(ctx, in)
		if err != nil {
			return err
		}
		list, i, err := find(scene.Settings, in, name)
		if err != nil {
			return err
		}
		if list[i].OfFile {
			return errOfFile(name)
		}
		return remove(ctx, tx, in, scene.Settings, list, i)
	})
}

func remove(ctx context.Context, tx *gate.Tx, in ecr.RegistryID, settings meta.RegistrySettings, list []events.Receiver, i int) error {
	if err := tx.Registries().DeleteDeliveries(ctx, list[i].ID); err != nil {
		return err
	}
	if err := events.SetReceivers(&settings, slices.Delete(slices.Clone(list), i, i+1)); err != nil {
		return err
	}
	return tx.Registries().PutRegistrySettings(ctx, in, settings)
}

// Result is how a test ended.
type Result struct {
	Status int // 0: nothing was answered
	Took   time.Duration
	Error  string // "" for success
	Answer string
}

var opTestReceiver = gate.Op("TestEventReceiver", "kontor:TestEventReceiver")

// TestEventReceiver sends a test event at once, past the queue. Errors: InvalidParameter.
func (c *Caller) TestEventReceiver(ctx context.Context, in ecr.RegistryID, name string) (Result, error) {
	var r events.Receiver
	err := c.gate.Ask(ctx, opTestReceiver, func(ctx context.Context, v *gate.View) error {
		scene, err := v.EnterRegistry(ctx, in)
		if err != nil {
			return err
		}
		list, i, err := find(scene.Settings, in, name)
		if err == nil {
			r = list[i]
		}
		return err
	})
	if err != nil {
		return Result{}, err
	}
	p := c.gate.Principal()
	e := events.Event{ID: events.NewID(), Type: events.Test, At: c.s.cfg.Outbox.Now(), Registry: in, Actor: p.String(), RequestID: p.Request.ID}
	a := c.s.send(ctx, target{r, in}, e, meta.Delivery{})
	return Result{Status: a.status, Took: a.took, Error: clean(a.err), Answer: clean(a.answer)}, nil
}

var opDeliveries = gate.Op("EventDeliveries", "kontor:ListEventDeliveries")

// EventDeliveries returns at most limit deliveries to the receiver name that q selects,
// newest first, before the id before, or with 0 from the newest, the id to continue
// before, 0 when that was all, and the receiver. Errors: InvalidParameter.
func (c *Caller) EventDeliveries(ctx context.Context, in ecr.RegistryID, name string, q meta.DeliveryQuery, before int64, limit int) (list []meta.Delivery, next int64, r events.Receiver, err error) {
	err = c.gate.Read(ctx, opDeliveries, func(ctx context.Context, v *gate.View) error {
		scene, err := v.EnterRegistry(ctx, in)
		if err != nil {
			return err
		}
		receivers, i, err := find(scene.Settings, in, name)
		if err != nil {
			return err
		}
		r, next = receivers[i], 0
		q.Receiver = r.ID
		if list, err = v.Registries().Deliveries(ctx, q, before, limit+1); err == nil && len(list) > limit {
			list, next = list[:limit], list[limit-1].ID
		}
		return err
	})
	return list, next, r, err
}

// Render is the body of d as it is sent to r.
func Render(d meta.Delivery, f events.Format) ([]byte, error) {
	var e events.Event
	if err := json.Unmarshal(d.Event.Body, &e); err != nil {
		return nil, fmt.Errorf("reading event %s: %w", d.Event.ID, err)
	}
	m, err := events.Render(e, f)
	return m.Body, err
}

// maxRedeliver is how many deliveries are queued again at a time.
const maxRedeliver = 1000

var opRedeliver = gate.Op("RedeliverEvents", "kontor:RedeliverEvents")

// RedeliverEvents queues deliveries to the receiver name again that q selects and that
// have ended, the oldest first, and returns how many. Errors: InvalidParameter.
func (c *Caller) RedeliverEvents(ctx context.Context, in ecr.RegistryID, name string, q meta.DeliveryQuery) (n int, err error) {
	err = c.gate.Change(ctx, opRedeliver, func(ctx context.Context, tx *gate.Tx) error {
		scene, err := tx.EnterRegistry(ctx, in)
		if err != nil {
			return err
		}
		list, i, err := find(scene.Settings, in, name)
		if err != nil {
			return err
		}
		q.Receiver = list[i].ID
		n, err = tx.Registries().RequeueDeliveries(ctx, q, c.s.cfg.Outbox.Now(), maxRedeliver)
		return err
	})
	if err == nil && n > 0 {
		c.s.mu.Lock()
		clear(c.s.paused) // who asks for it knows that the receiver is there again
		c.s.mu.Unlock()
		c.s.cfg.Outbox.Wake()
	}
	return n, err
}
