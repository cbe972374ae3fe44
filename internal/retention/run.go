package retention

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/lifecycle"
)

// RunOptions say how to run a lifecycle policy.
type RunOptions struct {
	DryRun bool // change nothing
	Force  bool // whatever Config.MaxExpire says
}

// LifecycleRun is what a run of a repository's lifecycle policy did, or in a
// dry run would do.
type LifecycleRun struct {
	ecr.Repo
	At     time.Time // of the decision
	DryRun bool
	Images int // that the repository had
	// Expired and Archived count the images that went, SizeBytes sums the
	// sizes of the expired ones.
	Expired   int
	Archived  int
	SizeBytes int64
	// Stopped says that nothing was done; Findings say why.
	Stopped bool
	// Outcomes are the images on which a rule acts, whether they went or not.
	Outcomes []RunOutcome
	Findings []RunFinding
}

// RunOutcome is one image on which a rule acts.
type RunOutcome struct {
	Digest    ecr.Digest
	Tags      []ecr.Tag
	PushedAt  time.Time
	SizeBytes int64
	Rule      int    // priority
	Reason    string // such as "rule 10: untagged, pushed more than 1 day ago"
	// Action is what happens to the image: Expire, Transition, or Keep when
	// something keeps it. Wanted is what the rule says.
	Action lifecycle.ActionType
	Wanted lifecycle.ActionType
	With   ecr.Digest // the subject that it goes with; empty when it goes on its own
	// What keeps it: the index that lists it or the subject that it refers to,
	// a lease ("collector: user"), or what happened since the decision.
	GuardedBy ecr.Digest
	HeldBy    string
	Saved     string
}

// RunFinding is a finding for the operator.
type RunFinding struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Codes of findings about a repository.
const (
	FindingMaxExpire       = "max-expire"
	FindingSilentCollector = "silent-collector"
	FindingUnsettled       = "unsettled"
)

// MaxExpire is how many images a run of one repository may expire. The zero
// MaxExpire means no limit.
type MaxExpire struct {
	Images  int
	Percent int // of the images of the repository; used when Images is 0
}

// ParseMaxExpire reads a number of images, "50", or a part of a repository's
// images, "20%". The empty text means no limit.
func ParseMaxExpire(s string) (MaxExpire, error) {
	if s == "" {
		return MaxExpire{}, nil
	}
	number, percent := strings.CutSuffix(s, "%")
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || percent && n > 100 {
		return MaxExpire{}, fmt.Errorf("%q: want a number of images from 1, such as 50, or a part of a repository's images from 1%% to 100%%", s)
	}
	if percent {
		return MaxExpire{Percent: n}, nil
	}
	return MaxExpire{Images: n}, nil
}

// String is what ParseMaxExpire reads.
func (m MaxExpire) String() string {
	switch {
	case m.Images > 0:
		return strconv.Itoa(m.Images)
	case m.Percent > 0:
		return strconv.Itoa(m.Percent) + "%"
	}
	return ""
}

// allows reports whether expire of total images may go.
func (m MaxExpire) allows(expire, total int) bool {
	switch {
	case m.Images > 0:
		return expire <= m.Images
	case m.Percent > 0:
		return expire*100 <= m.Percent*total
	}
	return true
}

// A decision is what is to happen to a repository's images, and what that
// rests on.
type decision struct {
	repo   meta.Repository
	now    time.Time
	policy lifecycle.Policy
	images []meta.Manifest // without bodies
	leases []meta.Lease
	// seq is the last entry of the repository's journal that the decision
	// knows, of those not older than since.
	seq       int64
	since     time.Time
	referrers map[ecr.Digest][]ecr.Digest
	steps     []step
	takes     map[ecr.Digest]bool // those of steps that do not keep
	findings  []RunFinding
}

// A step is what is to happen to one image.
type step struct {
	RunOutcome
	image ecr.Image
	pulls bool // the rule looks at pulls
}

// decide looks at a repository and says what its policy does now.
// Errors: LifecyclePolicyNotFound.
func (c *Caller) decideRun(ctx context.Context, r *gate.View, at ecr.Repo, repo meta.Repository) (*decision, error) {
	if repo.LifecycleText == "" {
		return nil, noLifecyclePolicy(at)
	}
	p, err := lifecycle.Decode([]byte(repo.LifecycleText))
	if err != nil {
		return nil, fmt.Errorf("reading the stored lifecycle policy of %s: %w", at.ARN(), err)
	}
	d := &decision{repo: repo, now: c.s.cfg.Now(), policy: p, referrers: map[ecr.Digest][]ecr.Digest{}}
	// The clock may be set back a little while the run continues.
	d.since = d.now.Add(-time.Minute)
	if d.seq, err = lastEntry(ctx, r.Retention(), at); err != nil {
		return nil, err
	}
	images, err := c.lifecycleImages(ctx, r, repo, d)
	if err != nil {
		return nil, err
	}
	if d.leases, err = r.Retention().ListLeases(ctx, at.In, at.Name); err != nil {
		return nil, err
	}
	if d.findings, err = silent(ctx, r.Retention(), at.In, d.leases, d.now); err != nil {
		return nil, err
	}
	held, err := (&inventory{images: d.images}).leased(ctx, r.Retention(), repo)
	if err != nil {
		return nil, err
	}
	d.steps, d.takes = plan(p, images, d.images, held, d.now), map[ecr.Digest]bool{}
	for _, s := range d.steps {
		d.takes[s.Digest] = s.Action != lifecycle.Keep
	}
	return d, nil
}

// lifecycleImages reads the images of a repository, as d.images and as rules
// see them.
func (c *Caller) lifecycleImages(ctx context.Context, r *gate.View, repo meta.Repository, d *decision) ([]lifecycle.Image, error) {
	children, err := meta.Children(ctx, r, repo.ID, surveyPage)
	if err != nil {
		return nil, err
	}
	var images []lifecycle.Image
	for row, err := range meta.Images(ctx, r, repo.ID, "", surveyPage) {
		if err != nil {
			return nil, err
		}
		m := &row.Image
		Settle(m, d.now)
		if m.Subject != "" {
			d.referrers[m.Subject] = append(d.referrers[m.Subject], m.Digest)
		}
		d.images, images = append(d.images, row), append(images, usageImage(*m, children[m.Digest]))
	}
	return images, nil
}

// plan decides, and puts subjects before what refers to them.
func plan(p lifecycle.Policy, images []lifecycle.Image, rows []meta.Manifest, held lifecycle.Held, now time.Time) []step {
	outcomes := lifecycle.Options{Held: held}.Decide(p, images, now)
	rules := map[int]lifecycle.Rule{}
	for _, r := range p.Rules {
		rules[r.Priority] = r
	}
	place := make(map[ecr.Digest]int, len(rows))
	for i, m := range rows {
		place[m.Image.Digest] = i
	}
	var steps []step
	seen := make([]bool, len(rows))
	var add func(i int)
	add = func(i int) {
		if seen[i] {
			return
		}
		seen[i] = true
		if j, ok := place[rows[i].Image.Subject]; ok {
			add(j)
		}
		o := outcomes[i]
		if o.Rule == 0 {
			return
		}
		m := rows[i].Image
		s := step{image: m, pulls: rules[o.Rule].Selection.CountType == lifecycle.SinceImagePulled}
		s.RunOutcome = RunOutcome{
			Digest: m.Digest, Tags: m.Tags, PushedAt: m.PushedAt, SizeBytes: m.SizeBytes,
			Rule: o.Rule, Reason: reason(rules[o.Rule], o), Action: o.Action, Wanted: o.Action, With: ecr.Digest(o.With),
		}
		if g := o.GuardedBy; g != nil {
			s.Wanted = g.Action
			if g.Kind == lifecycle.GuardHeld {
				s.HeldBy = g.By
			} else {
				s.GuardedBy = ecr.Digest(g.By)
			}
		}
		steps = append(steps, s)
	}
	for i := range rows {
		add(i)
	}
	return steps
}

// reason says in words why an image goes.
func reason(r lifecycle.Rule, o lifecycle.Outcome) string {
	about := fmt.Sprintf("rule %d: ", r.Priority)
	if o.With != "" {
		return about + "goes with its subject " + o.With
	}
	s := r.Selection
	switch list := slices.Concat(s.TagPatterns, s.TagPrefixes); {
	case s.TagStatus == lifecycle.Untagged:
		about += "untagged"
	case s.TagStatus == lifecycle.Any:
		about += "any image"
	case len(s.TagPrefixes) > 0:
		about += "tagged with prefix " + strings.Join(list, " and ")
	default:
		about += "tagged " + strings.Join(list, " and ")
	}
	days := fmt.Sprintf("%d days", s.CountNumber)
	if s.CountNumber == 1 {
		days = "1 day"
	}
	switch s.CountType {
	case lifecycle.ImageCountMoreThan:
		return fmt.Sprintf("%s, not among the %d youngest", about, s.CountNumber)
	case lifecycle.SinceImagePulled:
		return about + ", not pulled for more than " + days
	case lifecycle.SinceImageTransitioned:
		return about + ", archived more than " + days + " ago"
	}
	return about + ", pushed more than " + days + " ago"
}

// silent are the findings about collectors that are overdue and hold leases of
// these.
func silent(ctx context.Context, r meta.LeaseReader, in ecr.RegistryID, leases []meta.Lease, now time.Time) ([]RunFinding, error) {
	if len(leases) == 0 {
		return nil, nil
	}
	collectors, err := r.LeaseCollectors(ctx, in)
	if err != nil {
		return nil, err
	}
	n := map[string]int{}
	for _, l := range leases {
		n[l.Collector]++
	}
	var found []RunFinding
	for _, row := range collectors {
		if c := newCollector(row, now); c.Silent && n[c.Name] > 0 {
			found = append(found, RunFinding{FindingSilentCollector, fmt.Sprintf(
				"collector %s was expected by %s and is silent: its %d leases of this repository stay in force until it reports again or is forgotten",
				c.Name, c.ExpectedAt.Format(time.RFC3339), n[c.Name])})
		}
	}
	return found, nil
}

// journalPage is how many entries of the journal one statement reads.
const journalPage = 500

// lastEntry is the newest entry of a repository's journal; 0 for none.
func lastEntry(ctx context.Context, r meta.JournalReader, at ecr.Repo) (seq int64, err error) {
	list, err := r.QueryJournal(ctx, meta.JournalQuery{Registry: at.In, Name: at.Name, Backward: true}, 0, 1)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	return list[0].Seq, nil
}

var opRunLifecycle = gate.Op("RunLifecycle", "kontor:RunLifecycle")

// RunLifecycle runs the lifecycle policy of a repository now: before
// each image goes, the transaction that removes it looks at it again, and at
// everything that the decision rests on. A run that would expire more than
// Config.MaxExpire does nothing. A run that is not dry confirms, for its
// registry, that the image clock is right.
// Errors: RepositoryNotFound, LifecyclePolicyNotFound, Unavailable while
// another run of the repository is under way.
func (c *Caller) RunLifecycle(ctx context.Context, at ecr.Repo, o RunOptions) (LifecycleRun, error) {
	if !o.DryRun {
		if _, busy := c.s.running.LoadOrStore(at.ARN(), true); busy {
			return LifecycleRun{}, c.gate.ReadRepository(ctx, opRunLifecycle, at, func(context.Context, *gate.View, meta.Repository) error {
				return ecr.Errorf(ecr.CodeUnavailable,
					"A lifecycle run of the repository with name '%s' in the registry with id '%s' is under way. Try again later.", at.Name, at.In.Account)
			})
		}
		defer c.s.running.Delete(at.ARN())
	}
	// Pulls of the last seconds count.
	if err := c.s.FlushPulls(ctx); err != nil {
		return LifecycleRun{}, err
	}
	x := &execution{c: c, at: at, o: o, run: LifecycleRun{Repo: at, DryRun: o.DryRun}}
	err := x.all(ctx)
	return x.run, err
}

// execution is one run under way.
type execution struct {
	c    *Caller
	at   ecr.Repo
	o    RunOptions
	run  LifecycleRun
	mine map[ecr.Digest]bool // went in this run, or to the archive
	done []RunOutcome        // those of earlier rounds that did
}

// maxRounds is how often a run decides again because something changed.
const maxRounds = 5

// errMoved: the repository is no longer as it was when the run decided.
var errMoved = errors.New("registry: the repository changed since the decision")

func (x *execution) all(ctx context.Context) error {
	x.mine = map[ecr.Digest]bool{}
	for round := 1; ; round++ {
		d, err := x.decide(ctx, round == 1)
		if err != nil {
			return err
		}
		x.run.Findings = d.findings
		if x.stopped(d) || x.o.DryRun {
			break
		}
		err = x.batches(ctx, d)
		if err == nil {
			break
		}
		if !errors.Is(err, errMoved) {
			return err
		}
		x.done = nil
		for _, o := range x.run.Outcomes {
			if x.mine[o.Digest] {
				x.done = append(x.done, o)
			}
		}
		if round == maxRounds {
			x.run.Findings = append(x.run.Findings, RunFinding{FindingUnsettled, "the repository changed again and again during the run: what is left is for the next one"})
			break
		}
	}
	if x.o.DryRun {
		return nil
	}
	return x.finish(ctx)
}

func (x *execution) decide(ctx context.Context, first bool) (*decision, error) {
	var d *decision
	read := func(ctx context.Context, r *gate.View, repo meta.Repository) (err error) {
		d, err = x.c.decideRun(ctx, r, x.at, repo)
		return err
	}
	if err := x.c.gate.ReadRepository(ctx, opRunLifecycle, x.at, read); err != nil {
		return nil, err
	}
	if first {
		x.run.At, x.run.Images = d.now, len(d.images)
	}
	x.run.Outcomes = slices.Clone(x.done)
	for _, s := range d.steps {
		x.run.Outcomes = append(x.run.Outcomes, s.RunOutcome)
	}
	if x.o.DryRun {
		for _, s := range d.steps {
			x.count(s)
		}
	}
	return d, nil
}

func (x *execution) count(s step) {
	switch s.Action {
	case lifecycle.Expire:
		x.run.Expired++
		x.run.SizeBytes += s.SizeBytes
	case lifecycle.Transition:
		x.run.Archived++
	}
}

// stopped reports whether the run must not continue, with a finding.
func (x *execution) stopped(d *decision) bool {
	expire := x.run.Expired
	for _, s := range d.steps {
		if s.Action == lifecycle.Expire {
			expire++
		}
	}
	most := x.c.s.cfg.MaxExpire
	if x.o.Force || most.allows(expire, x.run.Images) {
		return false
	}
	x.run.Stopped = len(x.done) == 0
	x.run.Findings = append(x.run.Findings, RunFinding{FindingMaxExpire, fmt.Sprintf(
		"the run would expire %d of %d images, which is more than --max-expire %s allows: it stopped before; look at a dry run, then change the policy or run it with --force",
		expire, x.run.Images, most)})
	return true
}
