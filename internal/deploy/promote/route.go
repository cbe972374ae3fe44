package promote

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
)

// Route is a way that images take again and again: which images of which
// repositories go where, and under which conditions.
type Route struct {
	Name string
	From Place
	To   []Place
	// Repositories and Tags are wildcards, '*' matching any run of characters;
	// none match all. A repository's name is looked at without the prefix.
	Repositories []string
	Tags         []string
	// Newest, if it is above 0, takes that many of the tags of a repository: those
	// of the images that were pushed last.
	Newest int
	// Platforms and NewIndex are those of Request.
	Platforms []string
	NewIndex  bool
	// Move are wildcards of tags that may be taken from another image.
	Move            []string
	ReferrersAsTags bool
	Record          bool
	Require         Require
}

// Place is a registry, and a part of its repositories: those whose names begin
// with the prefix and a slash, or all.
type Place struct {
	Registry string `json:"registry"`
	Prefix   string `json:"prefix,omitempty"`
}

// in is the full name of a repository in p.
func (p Place) in(name string) ecr.RepositoryName {
	if p.Prefix == "" {
		return ecr.RepositoryName(name)
	}
	return ecr.RepositoryName(p.Prefix + "/" + name)
}

// Select narrows routes down for one run.
type Select struct {
	// Repository and Tag are wildcards; "" for all that the routes take.
	Repository, Tag string
	// Newest stands in place of the routes' own, if it is above 0.
	Newest int
	// To keeps the destinations of this registry only; "" for all.
	To string
}

// PlanRoutes is Plan for the images that take routes. A repository that cannot
// be read is a failure in the plan and does not hold up the others.
func (p *Promoter) PlanRoutes(ctx context.Context, routes []Route, s Select) (Plan, error) {
	var (
		out  Plan
		jobs []*listing
	)
	fail := func(r Route, name ecr.RepositoryName, err error) {
		out.Failures = append(out.Failures, Failure{Route: r.Name, From: Ref{Registry: r.From.Registry, Repository: name}, Error: err.Error()})
	}
	var all []string
	routes = slices.Clone(routes)
	for i, r := range routes {
		routes[i].To = slices.DeleteFunc(slices.Clone(r.To), func(to Place) bool { return s.To != "" && to.Registry != s.To })
		for _, to := range routes[i].To {
			all = append(all, r.From.Registry, to.Registry)
		}
	}
	p.openAll(ctx, all)
	for _, r := range routes {
		names, err := p.repositoriesOf(ctx, r, s)
		if err != nil {
			fail(r, "", err)
		}
		for _, name := range names {
			jobs = append(jobs, &listing{route: r, name: name})
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(requests)
	for _, j := range jobs {
		g.Go(func() error {
			j.taken, j.dropped, j.err = p.tagsOf(gctx, j.route, s, j.name)
			return nil
		})
	}
	_ = g.Wait() // its functions return no errors
	if ctx.Err() != nil {
		return Plan{}, context.Cause(ctx)
	}
	var list []Request
	for _, j := range jobs {
		if j.err != nil {
			fail(j.route, j.route.From.in(j.name), j.err)
			continue
		}
		out.Dropped = append(out.Dropped, j.dropped...)
		list = append(list, j.route.requests(j.name, j.taken)...)
	}
	if err := p.readTargets(ctx, list); err != nil {
		return Plan{}, err
	}
	planned, err := p.Plan(ctx, list)
	planned.Dropped, planned.Failures = out.Dropped, out.Failures
	return planned, err
}

// listing is what a repository has for a route.
type listing struct {
	route   Route
	name    string
	taken   []ecr.Tag
	dropped []Dropped
	err     error
}

// requests are those for the tags of one repository.
func (r Route) requests(name string, tags []ecr.Tag) []Request {
	var out []Request
	for _, tag := range tags {
		for _, to := range r.To {
			out = append(out, Request{
				Route: r.Name, From: Ref{Registry: r.From.Registry, Repository: r.From.in(name), Tag: tag}, To: Ref{Registry: to.Registry, Repository: to.in(name), Tag: tag},
				Platforms: r.Platforms, NewIndex: r.NewIndex, Move: matchesAny(r.Move, string(tag)), ReferrersAsTags: r.ReferrersAsTags,
				Record: r.Record, Require: r.Require, quick: true,
			})
		}
	}
	return out
}

// Named are the requests for one image by its name, as the routes take it: those
// from image's registry, unless that is "", to the registry to, unless that is
// "". More is looked at than for a whole route, and Newest does not count. The
// error says why no route, or more than one, takes the image there.
func Named(routes []Route, image Ref, to string) ([]Request, error) {
	if image.Tag == "" || image.Digest != "" {
		return nil, fmt.Errorf("%s: a route takes an image by its tag: give one", strings.TrimPrefix(image.String(), "/"))
	}
	var (
		out  []Request
		why  []string
		bare = string(image.Repository)
		by   = map[Place]string{} // routes by where they lead
	)
	for _, r := range routes {
		r.To = slices.DeleteFunc(slices.Clone(r.To), func(p Place) bool { return to != "" && p.Registry != to })
		name, within := bare, true
		if image.Registry != "" && r.From.Prefix != "" {
			name, within = strings.CutPrefix(bare, r.From.Prefix+"/")
		}
		switch {
		case len(r.To) == 0:
			continue
		case !within:
			why = append(why, fmt.Sprintf("route %s is for repositories %s/*", r.Name, r.From.Prefix))
			continue
		case image.Registry != "" && image.Registry != r.From.Registry:
			why = append(why, fmt.Sprintf("route %s comes from %s", r.Name, r.From.Registry))
			continue
		case len(r.Repositories) > 0 && !matchesAny(r.Repositories, name):
			why = append(why, fmt.Sprintf("route %s is for repositories %s", r.Name, list(r.Repositories)))
			continue
		case len(r.Tags) > 0 && !matchesAny(r.Tags, string(image.Tag)):
			why = append(why, fmt.Sprintf("route %s is for tags %s", r.Name, list(r.Tags)))
			continue
		}
		for _, p := range r.To {
			if other := by[p]; other != "" {
				return nil, fmt.Errorf("%s:%s takes the routes %s and %s to %s: say which with --route, or begin the image with its registry", bare, image.Tag, other, r.Name, p.Registry)
			}
			by[p] = r.Name
		}
		out = append(out, r.requests(name, []ecr.Tag{image.Tag})...)
	}
	if len(out) == 0 {
		where := ""
		if to != "" {
			where = " to " + to
		}
		if len(why) == 0 {
			why = []string{"no route leads there"}
		}
		return nil, fmt.Errorf("%s:%s takes no route%s: %s", bare, image.Tag, where, strings.Join(why, "; "))
	}
	for i := range out {
		out[i].quick = false
	}
	return out, nil
}

func matchesAny(wildcards []string, s string) bool {
	return slices.ContainsFunc(wildcards, func(w string) bool { return ecr.MatchWildcard(w, s) })
}

// repositoriesOf are the names, without the prefix, of the repositories that
// take the route.
func (p *Promoter) repositoriesOf(ctx context.Context, r Route, s Select) ([]string, error) {
	patterns := r.Repositories
	if len(patterns) == 0 {
		patterns = []string{"*"}
	}
	takes := func(name string) bool {
		return matchesAny(patterns, name) && (s.Repository == "" || ecr.MatchWildcard(s.Repository, name))
	}
	// Names without wildcards need no list, which not every registry has.
	for _, exact := range [][]string{{s.Repository}, patterns} {
		if !slices.ContainsFunc(exact, func(w string) bool { return w == "" || strings.Contains(w, "*") }) {
			return slices.DeleteFunc(slices.Clone(exact), func(n string) bool { return !takes(n) }), nil
		}
	}
	reg, err := p.cfg.Open(ctx, r.From.Registry)
	if err != nil {
		return nil, err
	}
	var all []ecr.RepositoryName
	if reg.API != nil {
		if all, err = reg.API.Repositories(ctx); err != nil {
			return nil, err
		}
	} else {
		for page, err := range reg.Remote.Repositories(ctx) {
			if err != nil {
				return nil, fmt.Errorf("%w: name the repositories of the route without wildcards, and no list is needed", err)
			}
			all = append(all, page.Items...)
		}
	}
	var names []string
	for _, full := range all {
		name, ok := string(full), true
		if r.From.Prefix != "" {
			name, ok = strings.CutPrefix(name, r.From.Prefix+"/")
		}
		if ok && takes(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// many is how many tags make it worth to read all that the ECR API tells of a
// repository, in place of asking for each; few is how many images of a repository
// it tells with one call, which is less than asking for one tag costs.
const (
	many = 4
	few  = 1000
)

// tagsOf are the tags of a repository that take the route, and those that do
// not.
func (p *Promoter) tagsOf(ctx context.Context, r Route, s Select, name string) (taken []ecr.Tag, dropped []Dropped, err error) {
	from, err := p.repository(ctx, r.From.Registry, r.From.in(name))
	if err != nil {
		return nil, nil, err
	}
	patterns := r.Tags
	if len(patterns) == 0 {
		patterns = []string{"*"}
	}
	drop := func(tag ecr.Tag, format string, args ...any) {
		dropped = append(dropped, Dropped{Route: r.Name, From: from.ref(tag), Why: fmt.Sprintf(format, args...)})
	}
	all, err := from.allTags(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, tag := range all {
		switch {
		case isSignatureTag(tag):
			drop(tag, "it goes with the image that it belongs to")
		case !matchesAny(patterns, string(tag)):
			drop(tag, "it does not match tags of the route: %s", list(patterns))
		case s.Tag != "" && !ecr.MatchWildcard(s.Tag, string(tag)):
			drop(tag, "it does not match --tag %s", s.Tag)
		default:
			taken = append(taken, tag)
		}
	}
	slices.Sort(taken)
	if len(taken) >= many || r.Newest > 0 || s.Newest > 0 {
		if _, err := from.inventory(ctx); err != nil {
			return nil, nil, err
		}
	}
	if newest := cmp.Or(s.Newest, r.Newest); newest > 0 {
		older, err := p.newest(ctx, from, &taken, newest)
		if err != nil {
			return nil, nil, err
		}
		for _, tag := range older {
			drop(tag, "it is not among the newest %d", newest)
		}
	}
	slices.SortFunc(dropped, func(a, b Dropped) int { return cmp.Compare(a.From.Tag, b.From.Tag) })
	return taken, dropped, nil
}

// newest leaves the tags of the n newest images, the newest first, and returns
// the others.
func (p *Promoter) newest(ctx context.Context, from *repository, tags *[]ecr.Tag, n int) (older []ecr.Tag, err error) {
	ages := make([]time.Time, len(*tags))
	digests := make([]ecr.Digest, len(*tags))
	known := from.known()
	g, ctx := group(ctx)
	for i, tag := range *tags {
		if known != nil {
			digests[i] = known.byTag[tag]
			ages[i] = known.byDigest[digests[i]].PushedAt.Time
			continue
		}
		g.Go(func() (err error) {
			ages[i], digests[i], err = created(ctx, from, tag)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	order := make([]int, len(*tags))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(ages[b].Compare(ages[a]), cmp.Compare((*tags)[a], (*tags)[b]))
	})
	var kept []ecr.Tag
	images := map[ecr.Digest]bool{}
	for _, i := range order {
		if !images[digests[i]] && len(images) == n {
			older = append(older, (*tags)[i])
			continue
		}
		images[digests[i]] = true
		kept = append(kept, (*tags)[i])
	}
	*tags = kept
	return older, nil
}

// maxConfig bounds the config that is read for an image's age.
const maxConfig = 4 << 20

// created is when an image was built, as its config says: of an index the first
// one's. Zero where it does not say.
func created(ctx context.Context, from *repository, tag ecr.Tag) (time.Time, ecr.Digest, error) {
	m, err := from.manifest(ctx, string(tag))
	if err != nil {
		return time.Time{}, "", err
	}
	digest := m.Digest
	for range 2 { // an index, and its image
		parsed, err := manifest.ParseElsewhere(m.Body, m.MediaType)
		if err != nil {
			return time.Time{}, "", fmt.Errorf("%s: %w", from.ref(tag), err)
		}
		if parsed.Kind == manifest.Index {
			first := slices.IndexFunc(parsed.Children, func(c manifest.Descriptor) bool { return manifest.IsManifest(c.MediaType) })
			if first < 0 {
				break
			}
			if m, err = from.manifest(ctx, string(parsed.Children[first].Digest)); err != nil {
				return time.Time{}, "", err
			}
			continue
		}
		if parsed.Config.Size > maxConfig {
			break
		}
		text, err := from.blob(ctx, Blob{Digest: parsed.Config.Digest, Size: parsed.Config.Size})
		if err != nil {
			return time.Time{}, "", err
		}
		var config struct{ Created time.Time }
		if json.Unmarshal(text, &config) != nil {
			break // an artifact's
		}
		return config.Created, digest, nil
	}
	return time.Time{}, digest, nil
}

// readTargets reads all that there is to know of repositories that many images
// go to, or whose source has few images: they are much alike. One that does not
// exist, or may not be listed, is asked about image by image.
func (p *Promoter) readTargets(ctx context.Context, list []Request) error {
	n, large := map[place]int{}, map[place]bool{}
	for _, r := range list {
		at := place{r.To.Registry, r.To.Repository}
		n[at]++
		from, err := p.repository(ctx, r.From.Registry, r.From.Repository)
		if err != nil {
			return err
		}
		if known := from.known(); known == nil || len(known.byDigest) > few {
			large[at] = true
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(requests)
	for at, n := range n {
		if n < many && large[at] {
			continue
		}
		g.Go(func() error {
			to, err := p.repository(gctx, at.registry, at.repository)
			if err != nil {
				return err
			}
			// What is wrong, each image's plan says.
			if to.registry.API == nil {
				_, _ = to.listTags(gctx, false)
			} else {
				_, _ = to.inventory(gctx)
			}
			return context.Cause(gctx)
		})
	}
	return g.Wait()
}
