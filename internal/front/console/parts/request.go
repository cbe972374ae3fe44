package parts

import (
	"context"
	"log/slog"
	"net/url"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events/delivery"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/inspect"
	"github.com/kontor-registry/kontor/internal/jobs"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/replication"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/scanning"
	"github.com/kontor-registry/kontor/internal/signing"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/templates"
	"github.com/kontor-registry/kontor/internal/upstream"
)

// Root is the path below which everything is.
const Root = "/console/"

// Config is what a Handler is made of. All fields are required.
type Config struct {
	Gate        *gate.Gate
	Inspect     *inspect.Service
	Registry    *registry.Registry
	Retention   *retention.Service
	Jobs        *jobs.Jobs
	Upstreams   *upstream.Service
	Templates   *templates.Service
	Signing     *signing.Service
	Scanning    *scanning.Service
	Replication *replication.Service
	Events      *delivery.Service
	// Now is the clock of sessions, ImageNow that of images.
	Now, ImageNow func() time.Time
	// MachineTokens: those of users are accepted. Otherwise none is made.
	MachineTokens func(ecr.RegistryID) bool
	Log           *slog.Logger
}

// Request is what the server knows of a request.
type Request struct {
	ID       string         // as answered
	Registry ecr.RegistryID // that pages are about
	// Host is what the registry's image references begin with, Endpoint the URL of its
	// API, for commands to copy.
	Host, Endpoint string
	Self           string // URL of the console's host
	Secure         bool   // the browser came by https
	// Principal is who has the session of the request's cookie; its zero value is
	// nobody.
	Principal access.Principal
	Session   meta.ConsoleSession
	IAM       *iam.Service
	Logins    Logins
}

// Logins begin and end sessions. Their limits are those of logins to the APIs.
type Logins interface {
	// LogIn begins a session for an access key and returns the value of its cookie.
	// Errors: UnrecognizedClient, ExpiredToken; Throttling after too many failures.
	LogIn(ctx context.Context, keyID, secret, token string) (string, error)
	// LinkCaller returns whose a one-time link is, and OpenLink uses it up and begins
	// the session. UnrecognizedClient for one that is none, or no longer.
	LinkCaller(ctx context.Context, code string) (access.Principal, error)
	OpenLink(ctx context.Context, code string) (string, error)
	// Providers are the names of the identity providers that people may log in with.
	Providers() []string
	// BeginSignIn begins a login with one of Providers, which leads to the page back. It
	// returns where to send the browser, and what the browser keeps until it comes back.
	// AccessDenied; Unavailable when the provider does not answer.
	BeginSignIn(ctx context.Context, provider, back string) (to, kept string, err error)
	// FinishSignIn takes the answer of the provider. ChooseRole begins the session where
	// there were several roles. ExpiredToken, AccessDenied, Unavailable.
	FinishSignIn(ctx context.Context, kept string, answer url.Values) (SignedIn, error)
	ChooseRole(ctx context.Context, kept, ticket, role string) (SignedIn, error)
	// LogOut ends p's session id.
	LogOut(ctx context.Context, p access.Principal, id string) error
}

// SignedIn is a login with an identity provider that succeeded.
type SignedIn struct {
	Cookie string // of the session; "" where a role must be chosen first
	Back   string // the page that the person came for
	// Roles are those to choose from, Ticket what the form has that chooses one, and Kept
	// what the browser keeps until then. More: there are other roles.
	Roles        []iam.SignInRole
	More         bool
	Ticket, Kept string
}
