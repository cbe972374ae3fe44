package spec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// reader puts files together.
type reader struct {
	decoder
	stack        *node
	defaults     *node
	defaultValue settings
	registries   []registry
	repositories map[ecr.RepositoryName]declaration
	declared     bool // some file has ecr_repositories
	// lifecycleTests, and the repositories that they name.
	lifecycleTests []LifecycleTest
	tested         []node
	clusters       []state.Cluster
	accessTests    []state.AccessTest
	promotions     []state.Promotion
	templates      []template
	templatesGiven bool
	upstreams      []upstream
	signers        []signer
	signerNames    map[string]state.Position
	receivers      []receiver
	receiverNames  map[string]state.Position
	replication    []replicationRule
	// replicationGiven: some file has the field.
	replicationGiven bool
	// templatePrefixes and upstreamPrefixes are where their prefixes are given.
	templatePrefixes, upstreamPrefixes map[string]state.Position

	plan      *node
	maxExpire *state.Budget
	// named are names of repositories, routed those of registries, that must
	// be in the files.
	named, routed []node
	badRegistries bool // some entry of registries could not be read
}

// declaration is an entry of ecr_repositories.
type declaration struct {
	name     ecr.RepositoryName
	node     node
	settings settings
}

// source reads a file in whatever form it is.
func (r *reader) source(s Source) {
	if why := notRead(s.Name); why != "" {
		r.declared = true // it may be in there
		r.errorf(state.Position{File: s.Name, Line: 1, Column: 1}, nil, "%s", why)
		return
	}
	root, errs := lang.Parse(s)
	others := variables(s.Name)
	if terragrunt(s.Name, root) {
		root, others = r.inputs(root, errs), true
	} else {
		r.errs = append(r.errs, errs...)
	}
	if root == nil {
		return
	}
	n := node{Value: root, key: root.At}
	if others {
		n = r.fieldsAmong(n)
	}
	r.file(n)
}

// file reads what a file has at its top.
func (r *reader) file(root node) {
	if root.Kind == lang.Null {
		r.wrong(root, "the file is empty; it needs ecr_repositories")
		r.declared = true // said already
		return
	}
	top := r.object(root, "")
	if root.Kind != lang.Mapping {
		r.declared = true
	}
	if n, ok := top["stack"]; ok && r.once(&r.stack, n) {
		r.stackName(n)
	}
	if n, ok := top["defaults"]; ok && r.once(&r.defaults, n) {
		r.defaultValue = r.repository(n)
	}
	if n, ok := top["registries"]; ok {
		before := len(r.errs)
		for _, item := range r.list(n, "registries {name, account, region}") {
			r.registry(item)
		}
		r.badRegistries = r.badRegistries || len(r.errs) > before
	}
	for _, m := range root.Members {
		if m.Key != "ecr_repositories" {
			continue
		}
		r.declared = true
		// An empty template produces this. To mean no repositories it takes {}.
		if m.Value.Kind == lang.Null {
			r.errorf(m.At, root.path.At(m.Key), "there is no value; to declare no repositories, write %s", noRepositories(m.At.File))
		}
	}
	if n, ok := top["ecr_repositories"]; ok {
		r.repositoryMap(n)
	}
	if n, ok := top["templates"]; ok {
		r.templateMap(n)
	}
	if n, ok := top["upstreams"]; ok {
		r.upstreamMap(n)
	}
	if n, ok := top["signers"]; ok {
		r.signerMap(n)
	}
	if n, ok := top["event_receivers"]; ok {
		r.receiverMap(n)
	}
	if n, ok := top["replication"]; ok {
		r.replicationRules(n)
	}
	if n, ok := top["lifecycle_tests"]; ok {
		for _, item := range r.list(n, "tests {image, expect}") {
			r.lifecycleTest(item)
		}
	}
	if n, ok := top["clusters"]; ok {
		for _, item := range r.list(n, "clusters {name, account, region}") {
			r.cluster(item)
		}
	}
	if n, ok := top["access_tests"]; ok {
		for _, item := range r.list(n, "tests {principal, repository, allow, deny}") {
			r.accessTest(item)
		}
	}
	if n, ok := top["promotions"]; ok {
		for _, item := range r.list(n, "promotions {name, from, to}") {
			r.promotion(item)
		}
	}
	if n, ok := top["plan"]; ok && r.once(&r.plan, n) {
		r.planBounds(n)
	}
}

// once keeps n in place unless another file was first.
func (r *reader) once(place **node, n node) bool {
	if *place != nil {
		r.errorf(n.key, n.path, "given twice, first at %s", from((*place).key, n.key))
		return false
	}
	*place = &n
	return true
}

func (r *reader) stackName(n node) {
	name, ok := r.text(n)
	if !ok {
		return
	}
	if why := badTagText(name, 1, fields.MaxTagValue); why != "" {
		r.wrong(n, "the stack's name becomes the value of the tag %s: %s", state.TagStack, why)
	} else if name != strings.TrimSpace(name) {
		r.wrong(n, "the stack's name begins or ends with a space")
	}
}

// planBounds reads the bounds on plans.
func (r *reader) planBounds(n node) {
	m := r.object(n, "plan")
	v, ok := m["max_expire"]
	if !ok {
		return
	}
	b := &state.Budget{Origin: v.origin()}
	switch {
	case v.Kind == lang.Integer:
		count, err := strconv.Atoi(v.Text)
		if err != nil || count < 0 || count > fields.MaxBudget {
			r.wrong(v, "want a number of images from 0 to %d, not %s", fields.MaxBudget, lang.Clip(v.Text))
			return
		}
		b.Count = count
	case v.Kind == lang.Text && fields.Share.MatchString(v.Text):
		share, err := strconv.ParseFloat(strings.TrimSuffix(v.Text, "%"), 64)
		if err != nil || share > 100 {
			r.wrong(v, "want a share from 0%% to 100%%, not %s", lang.Clip(v.Text))
			return
		}
		b.Share, b.Percent = true, share
	default:
		r.wrong(v, "want a whole number of images, or a share of them such as 10%%, not %s", v)
		return
	}
	r.maxExpire = b
}

func (r *reader) repositoryMap(n node) {
	if n.Kind != lang.Mapping {
		hint := ""
		if n.Kind == lang.List {
			hint = "; write NAME: {} for each"
			if lang.Of(n.At.File) == lang.HCL {
				hint = "; write NAME = {} for each"
			}
		}
		r.wrong(n, "want a mapping from repository names to their settings, not %s%s", n, hint)
		return
	}
	if r.repositories == nil {
		r.repositories = make(map[ecr.RepositoryName]declaration, len(n.Members))
	}
	for _, m := range n.Members {
		item := node{m.Value, n.path.At(m.Key), m.At}
		before := len(r.errs)
		f := r.repository(item)
		if len(r.errs) > before && slices.Contains(fields.Names(fields.Repository), m.Key) {
			r.errs = r.errs[:before]
			r.errorf(m.At, n.path, "%q is a field of a repository; put it under a repository's name, or into defaults for all", m.Key)
			continue
		}
		name, err := ecr.ParseRepositoryName(m.Key)
		if err != nil {
			r.errorf(m.At, n.path, "%q is not a repository name: %s", lang.Clip(m.Key), badName(m.Key))
			continue
		}
		if first, twice := r.repositories[name]; twice {
			r.errorf(m.At, item.path, "given twice, first at %s", from(first.node.key, m.At))
			continue
		}
		r.repositories[name] = declaration{name, item, f}
	}
}

// badName says what is wrong with a repository name.
func badName(s string) string {
	switch {
	case len(s) < ecr.MinRepositoryName || len(s) > ecr.MaxRepositoryName:
		return fmt.Sprintf("want %d to %d characters", ecr.MinRepositoryName, ecr.MaxRepositoryName)
	case s != strings.ToLower(s):
		if _, err := ecr.ParseRepositoryName(strings.ToLower(s)); err == nil {
			return fmt.Sprintf("letters must be lower case; did you mean %q?", strings.ToLower(s))
		}
	}
	return "use lower-case letters and digits, separated by '.', '_', '__' or any number of '-', in parts separated by '/'"
}

// finish puts together what was read. What is wrong is in r.problems.
func (r *reader) finish(files []Source) *File {
	r.checkTests()
	r.checkNames()
	f := &File{
		stack: DefaultStack, lifecycleTests: r.lifecycleTests,
		clusters: r.clusters, accessTests: r.accessTests, promotions: r.promotions, maxExpire: r.maxExpire,
	}
	if !r.declared && len(r.errs) == 0 {
		at := state.Position{Line: 1, Column: 1}
		if len(files) > 0 {
			at.File = files[0].Name
		}
		r.errorf(at, nil, "ecr_repositories is missing; to declare no repositories, write %s", noRepositories(at.File))
	}
	if r.stack != nil {
		f.stack, f.explicit = r.stack.Text, true
	}
	for _, reg := range r.registries {
		f.targets = append(f.targets, reg.Target)
	}
	f.repositories = make([]repository, 0, len(r.repositories))
	for _, d := range r.repositories {
		f.repositories = append(f.repositories, d.with(r.defaultValue))
	}
	slices.SortFunc(f.repositories, func(a, b repository) int { return strings.Compare(string(a.name), string(b.name)) })
	for _, t := range r.templates {
		f.templates = append(f.templates, t.with(r.defaultValue))
	}
	slices.SortFunc(f.templates, func(a, b template) int { return strings.Compare(a.prefix, b.prefix) })
	f.upstreams, f.templatesGiven = r.upstreams, r.templatesGiven
	f.signers, f.replication, f.replicationGiven = r.signers, r.replication, r.replicationGiven
	f.receivers = r.receivers
	slices.SortFunc(f.signers, byName)
	slices.SortFunc(f.receivers, func(a, b receiver) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(f.upstreams, func(a, b upstream) int { return strings.Compare(a.Prefix, b.Prefix) })
	return f
}

// noRepositories is how the file called name says that there are none.
func noRepositories(name string) string {
	if lang.Of(name) == lang.HCL {
		return "ecr_repositories = {}"
	}
	return "ecr_repositories: {}"
}

// with fills in the defaults, and works out what is different where there are
// overrides.
func (d declaration) with(defaults settings) repository {
	r := repository{name: d.name, origin: d.node.origin(), settings: d.settings.over(defaults)}
	own := d.settings.overrides.given
	for name, o := range r.overrides.value {
		f := d.settings.over(o.settings).over(defaults)
		if own {
			f = o.settings.over(d.settings).over(defaults)
		}
		if r.in == nil {
			r.in = map[string]settings{}
		}
		r.in[name] = f
	}
	return r
}
