// Package promote copies images from one repository to another, of the same
// registry or of any other, so that they are the same there: Plan says what
// would be done, as data, and Execute does it.
//
// What it guarantees:
//   - nothing is sent before it is certain to be taken, as far as that can be
//     known: the tag is free or may be moved, the repository exists or is made
//     from the file, the gates are met, the rights are there;
//   - manifests and blobs are kept byte for byte, and what was resolved once is
//     what is copied, whatever the tag comes to mean meanwhile;
//   - an image goes with all that belongs to it: its platforms, and signatures,
//     SBOMs and attestations of it, of its platforms and of each other, in all
//     forms in which registries keep them;
//   - the tag is set once and last, so that it is never visible while part of
//     its image is missing. A promotion that was interrupted is finished by
//     another one;
//   - what is there is not sent again; nothing is ever deleted;
//   - an image that fails does not hold up the others.
//
// It leaves out who asks and who is told: files, commands and the rendering of
// plans are others' matter.
package promote

import (
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/deploy/images"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/remote"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/signing/trust"
)

// Registry is a registry that images are promoted from or to.
type Registry struct {
	// Name is what plans and messages call it: its name in the file, or its
	// host.
	Name   string
	Remote *remote.Registry
	// ECR: what Amazon ECR refuses is refused by this registry, too.
	ECR bool
	// Principal is who promotes, for records of what comes here: an ARN, or the
	// name of a login. "" for Config's.
	Principal string
	// The following may be nil.

	// API tells what the distribution API does not.
	API API
	// Creator makes repositories.
	Creator Creator
	// Rights tells what the caller may do.
	Rights Rights
}

// API is what the ECR API tells of a registry's repositories.
type API interface {
	// Repositories are the names of all.
	Repositories(ctx context.Context) ([]ecr.RepositoryName, error)
	// Mutability is that of the repository's tags; ok is false when it does not
	// exist.
	Mutability(ctx context.Context, name ecr.RepositoryName) (m ecr.Mutability, ok bool, err error)
	// Images are those of the repository. Neither its manifests nor its lifecycle
	// policy need be read.
	Images(ctx context.Context, name ecr.RepositoryName) (images.Snapshot, error)
	// Lifecycle is the repository's lifecycle policy; "" where it has none.
	Lifecycle(ctx context.Context, name ecr.RepositoryName) (string, error)
	// Scan is what the scan of an image found.
	Scan(ctx context.Context, name ecr.RepositoryName, d ecr.Digest) (images.Scan, error)
	// Signed is whose signatures the registry has verified, or made.
	Signed(ctx context.Context, name ecr.RepositoryName, d ecr.Digest) ([]images.Signed, error)
}

// Creator makes repositories with the settings that the file has for them.
type Creator interface {
	// Wanted are the settings; ok is false for a repository that the file does
	// not have, which is then not made.
	Wanted(name ecr.RepositoryName) (r state.Repository, ok bool)
	Create(ctx context.Context, name ecr.RepositoryName) error
}

// Rights tells what the caller may do in a repository.
type Rights interface {
	// Missing are those of the actions that are certain to be denied.
	Missing(ctx context.Context, name ecr.RepositoryName, actions []access.Action) ([]access.Action, error)
	// MissingIn is Missing for a repository that does not exist, as if it had the
	// policy and the tags of as.
	MissingIn(ctx context.Context, as state.Repository, actions []access.Action) ([]access.Action, error)
}

// Rights that promoting needs of the repository that an image comes from, and of
// the one that it goes to.
var (
	rightsFrom = []access.Action{"ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:ListImageReferrers"}
	rightsTo   = []access.Action{
		"ecr:BatchGetImage", "ecr:BatchCheckLayerAvailability", "ecr:ListImageReferrers",
		"ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage",
	}
)

// How much is done at a time when Config does not say.
const (
	DefaultImages = 4
	DefaultBlobs  = 8
	// requests are the small requests of one image at a time.
	requests = 8
)

// Config is what a Promoter is made of.
type Config struct {
	// Open returns the registry of a name, the same one each time. Required.
	Open func(ctx context.Context, name string) (*Registry, error)
	// Now tells the time. Required.
	Now func() time.Time
	// Principal is who promotes, where the Registry does not say.
	Principal string
	// Images is how many images are promoted at a time, Blobs how many blobs are
	// on their way to one registry; 0 for the defaults.
	Images, Blobs int
	// Run runs the command of a gate and returns what it prints; nil runs it as
	// a process.
	Run func(ctx context.Context, command []string) (output []byte, err error)
	// Signers are those whose signatures are verified here, by name. For others the
	// registry is asked that the image comes from.
	Signers map[string]*trust.Verifier
	// Progress is told what Execute does, from several goroutines. It may be
	// nil.
	Progress func(Progress)
}

// Progress is a step of an image's promotion.
type Progress struct {
	// Image is its index in the plan.
	Image int
	// Bytes are on their way to the registry, of Total. They may be taken back
	// when an upload begins again.
	Bytes, Total int64
	// Result is set when the image is done, one way or the other.
	Result *ImageResult
}

// Promoter plans and carries out promotions. What it reads of registries it
// remembers, so that one should be made for each run. It is safe for concurrent
// use.
type Promoter struct {
	cfg   Config
	cache manifestCache

	mu           sync.Mutex
	repositories map[place]*repository // guarded by mu
}

// New returns a Promoter.
func New(cfg Config) *Promoter {
	cfg.Images, cfg.Blobs = cmp.Or(cfg.Images, DefaultImages), cmp.Or(cfg.Blobs, DefaultBlobs)
	if cfg.Run == nil {
		cfg.Run = runCommand
	}
	return &Promoter{cfg: cfg, repositories: map[place]*repository{}}
}

// runCommand runs a gate's command.
func runCommand(ctx context.Context, command []string) ([]byte, error) {
	return exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
}

// place names a repository of a registry.
type place struct {
	registry   string
	repository ecr.RepositoryName
}

// openAll opens registries at the same time, so that none waits for another's
// login. What is wrong, whoever uses one is told.
func (p *Promoter) openAll(ctx context.Context, names []string) {
	var g errgroup.Group
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		g.Go(func() error {
			_, _ = p.cfg.Open(ctx, name)
			return nil
		})
	}
	_ = g.Wait() // its functions return no errors
}

// repository returns the repository that p has read of so far.
func (p *Promoter) repository(ctx context.Context, registry string, name ecr.RepositoryName) (*repository, error) {
	reg, err := p.cfg.Open(ctx, registry)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	at := place{registry, name}
	if r, ok := p.repositories[at]; ok {
		return r, nil
	}
	client, err := reg.Remote.Repository(name)
	if err != nil {
		return nil, err
	}
	r := &repository{promoter: p, registry: reg, remote: client, name: name}
	p.repositories[at] = r
	return r, nil
}

// Ref names an image in a repository.
type Ref struct {
	Registry   string             `json:"registry"` // its name
	Repository ecr.RepositoryName `json:"repository"`
	Tag        ecr.Tag            `json:"tag,omitempty"`
	Digest     ecr.Digest         `json:"digest,omitempty"` // in place of a tag
}

// String is "prod/website:1.4.2".
func (r Ref) String() string {
	s := r.Registry + "/" + string(r.Repository)
	switch {
	case r.Digest != "":
		s += "@" + string(r.Digest)
	case r.Tag != "":
		s += ":" + string(r.Tag)
	}
	return s
}

// reference is what a registry is asked for.
func (r Ref) reference() string { return cmp.Or(string(r.Digest), string(r.Tag)) }

// check refuses what no registry can have.
func (r Ref) check() error {
	if (r.Tag == "") == (r.Digest == "") {
		return fmt.Errorf("%s: want a tag or a digest", r)
	}
	if r.Tag != "" {
		if _, err := ecr.ParseTag(string(r.Tag)); err != nil {
			return fmt.Errorf("%s: %q is not a tag", r, r.Tag)
		}
		return nil
	}
	if _, err := ecr.ParseDigest(string(r.Digest)); err != nil {
		return fmt.Errorf("%s: %q is not a digest", r, r.Digest)
	}
	return nil
}

// Request asks for one image to be promoted.
type Request struct {
	// Route is the name of the route that asks for it; "" for none.
	Route    string
	From, To Ref // To has a tag
	// Platforms are those wanted, "os/arch" or "os/arch/variant"; none for all.
	// One is promoted as the image that it is, several as a NewIndex.
	Platforms []string
	// NewIndex makes an index of the platforms: another image, with another
	// digest, to which the signatures of the old index do not apply.
	NewIndex bool
	// Move allows the tag to be taken from another image.
	Move bool
	// ReferrersAsTags writes lists of referrers under tags, where the target has
	// no referrers API.
	ReferrersAsTags bool
	// Record leaves a record of the promotion with the image.
	Record  bool
	Require Require

	// quick looks at an image that is there already less closely, see unchanged.
	quick bool
}

// Require are the conditions for an image to be promoted.
type Require struct {
	// Platforms that its index must have.
	Platforms []string `json:"platforms,omitempty"`
	// Referrers are artifact types that must refer to it, or to each of its
	// platforms.
	Referrers []string `json:"referrers,omitempty"`
	// Signature and SBOM must exist, in whatever form. Neither is verified.
	Signature bool `json:"signature,omitempty"`
	SBOM      bool `json:"sbom,omitempty"`
	// SignedBy are names of signers, each of whom must have signed it: the registry that
	// it comes from says so, or the promoter has verified it.
	SignedBy []string `json:"signed_by,omitempty"`
	// Scanned: a scan of it, or of each of its platforms, must be complete.
	// MaxSeverity is the highest severity that such a scan may have found.
	Scanned     bool         `json:"scanned,omitempty"`
	MaxSeverity ecr.Severity `json:"max_severity,omitempty"`
	// MinAge is how long it must have been where it comes from.
	MinAge time.Duration `json:"min_age,omitempty"`
	// Verify is a command that must succeed; "{image}" in it becomes the image's
	// name with its digest.
	Verify []string `json:"verify,omitempty"`
}

// group runs functions on one image's behalf, several at a time.
func group(ctx context.Context) (*errgroup.Group, context.Context) {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(requests)
	return g, ctx
}

// short is a digest for messages.
func short(d ecr.Digest) string { return images.Short(string(d)) }

// count is "1 tag" or "3 tags".
func count(n int, what string) string { return words.Count(n, what, what+"s") }

// list is a, b and c.
func list[T ~string](items []T) string {
	s := make([]string, len(items))
	for i, item := range items {
		s[i] = string(item)
	}
	return words.And(s)
}
