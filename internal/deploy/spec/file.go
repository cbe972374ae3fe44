package spec

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// reader puts files together.
type reader struct {
	decoder
	stack        *node
	defaults     *node
	defaultValue fields
	registries   []registry
	repositories map[ecr.RepositoryName]declaration
	declared     bool // some file has ecr_repositories
	// lifecycleTests, and the repositories that they name.
	lifecycleTests []LifecycleTest
	tested         []node
	clusters       []state.Cluster
	accessTests    []state.AccessTest
	promotions     []state.Promotion
	plan           *node
	maxExpire      *state.Budget
	// named are names of repositories, routed those of registries, that must
	// be in the files.
	named, routed []node
	badRegistries bool // some entry of registries could not be read
}

// registry is an entry of registries.
type registry struct {
	state.Target
	name, entry node
}

// declaration is an entry of ecr_repositories.
type declaration struct {
	name   ecr.RepositoryName
	node   node
	fields fields
}

func (r *reader) file(root node) {
	if root.Kind == lang.Null {
		r.wrong(root, "the file is empty; it needs ecr_repositories")
		r.declared = true // said already
		return
	}
	elsewhere := func(field string) string {
		if slices.Contains(fieldNames(Repository), field) {
			return "; it is a field of a repository, or of defaults"
		}
		return ""
	}
	if variables(root.At.File) {
		root = r.fieldsAmong(root)
	}
	top := r.object(root, fieldNames(""), elsewhere)
	if root.Kind != lang.Mapping {
		r.declared = true
	}
	if n, ok := top["stack"]; ok && r.once(&r.stack, n) {
		r.stackName(n)
	}
	if n, ok := top["defaults"]; ok && r.once(&r.defaults, n) {
		r.defaultValue = r.fields(n)
	}
	if n, ok := top["registries"]; ok {
		before := len(r.errs)
		for _, item := range r.list(n, "registries") {
			r.registry(item)
		}
		r.badRegistries = r.badRegistries || len(r.errs) > before
	}
	// The key alone is enough, so that a file can ask for no repositories.
	for _, m := range root.Members {
		r.declared = r.declared || m.Key == "ecr_repositories"
	}
	if n, ok := top["ecr_repositories"]; ok {
		r.repositoryMap(n)
	}
	if n, ok := top["lifecycle_tests"]; ok {
		for _, item := range r.list(n, "tests {image, expect}") {
			r.lifecycleTest(item)
		}
	}
	if n, ok := top["clusters"]; ok {
		for _, item := range r.list(n, "clusters") {
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

// variables reports whether the source called name holds Terraform's
// variables, of which only some are fields.
func variables(name string) bool {
	name = strings.ToLower(name)
	return strings.HasSuffix(name, ".tfvars") || strings.HasSuffix(name, ".tfvars.json")
}

// fieldsAmong is what of a file of Terraform's variables is ours: other
// variables are left out, with a notice.
func (r *reader) fieldsAmong(root node) node {
	if root.Kind != lang.Mapping {
		return root
	}
	names := fieldNames("")
	ours := *root.Value
	ours.Members = nil
	for _, m := range root.Members {
		if slices.Contains(names, m.Key) {
			ours.Members = append(ours.Members, m)
			continue
		}
		hint := ""
		if near := nearest(m.Key, names); near != "" {
			hint = fmt.Sprintf("; did you mean %q?", near)
		}
		r.notef(state.Origin{Field: root.path.At(m.Key).String(), Position: m.At}, CodeOtherVariable, "this variable is no field of Kontor's, and is not used%s", hint)
	}
	root.Value = &ours
	return root
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
	if why := badTagText(name, 1, maxTagValue); why != "" {
		r.wrong(n, "the stack's name becomes the value of the tag %s: %s", state.TagStack, why)
	} else if name != strings.TrimSpace(name) {
		r.wrong(n, "the stack's name begins or ends with a space")
	}
}

var registryName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// Bounds of the texts that reach AWS as they are.
const (
	maxARN     = 2048
	maxProfile = 256
)

func (r *reader) registry(n node) {
	names := fieldNames("registries")
	if n.Kind == lang.Null {
		r.wrong(n, "want a mapping with the fields %s, not nothing", strings.Join(names, ", "))
		return
	}
	before := len(r.errs)
	f := r.object(n, names, nil)
	if f == nil {
		return
	}
	// a field that is not known may be the one that is missing
	if len(r.errs) == before {
		r.need(n, f, "a registry", "name", "account", "region")
	}
	reg := registry{entry: n, name: f["name"]}
	reg.Name = r.checked(f["name"], func(s string) string {
		if !registryName.MatchString(s) {
			return fmt.Sprintf("%q is not a registry's name: want 1 to 63 letters, digits, '.', '_' and '-', beginning with a letter or digit", lang.Clip(s))
		}
		return ""
	})
	if v, ok := f["account"]; ok {
		reg.Registry.Account, _ = r.account(v)
	}
	reg.Registry.Region = ecr.Region(r.checked(f["region"], badRegion))
	reg.RoleARN = r.checked(f["role_arn"], func(s string) string { return badRole(s, reg.Registry.Region) })
	reg.Profile = r.checked(f["profile"], badProfile)
	reg.Endpoint = r.checked(f["endpoint"], badEndpoint)
	if len(r.errs) == before {
		r.addRegistry(reg)
	}
}

func badRegion(s string) string {
	if _, err := ecr.ParseRegion(lang.Clip(s)); err != nil {
		return err.Error()
	}
	return ""
}

func badProfile(s string) string {
	if n := utf8.RuneCountInString(s); n == 0 || n > maxProfile || strings.ContainsFunc(s, func(c rune) bool { return c < ' ' }) {
		return fmt.Sprintf("want the name of a profile of the AWS configuration, 1 to %d characters", maxProfile)
	}
	return ""
}

// addRegistry keeps reg unless it is there already, by name or by place.
func (r *reader) addRegistry(reg registry) {
	for _, other := range r.registries {
		if other.Name == reg.Name {
			r.wrong(reg.name, "registry %q is given twice, first at %s", reg.Name, from(other.name.At, reg.name.At))
			return
		}
		if other.Registry == reg.Registry && other.Endpoint == reg.Endpoint {
			r.wrong(reg.entry, "account %s in region %s is registry %q at %s already", reg.Registry.Account, reg.Registry.Region, other.Name, from(other.entry.At, reg.entry.At))
			return
		}
	}
	r.registries = append(r.registries, reg)
}

var rolePattern = regexp.MustCompile(`^arn:(aws[a-z-]*):iam::[0-9]{12}:role/[\w+=,.@/-]*[\w+=,.@-]$`)

// badRole says what is wrong with the ARN of a role that is to be used in
// region, "" when that is not known.
func badRole(s string, region ecr.Region) string {
	m := rolePattern.FindStringSubmatch(s)
	switch {
	case m == nil || len(s) > maxARN:
		return fmt.Sprintf("%q is not the ARN of a role; want one such as arn:aws:iam::111111111111:role/deployer", lang.Clip(s))
	case region != "" && m[1] != region.Partition():
		return fmt.Sprintf("the role is in partition %s, but region %s is in %s", m[1], region, region.Partition())
	}
	return ""
}

func badEndpoint(s string) string {
	u, err := url.Parse(s)
	if err == nil && u.User != nil {
		return "an endpoint carries no user and password; credentials come from role_arn, profile or the environment"
	}
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery {
		return fmt.Sprintf("%q is not an endpoint; want http:// or https:// with a host, and a port if needed, such as http://localhost:5050", lang.Clip(s))
	}
	return ""
}

func (r *reader) repositoryMap(n node) {
	if n.Kind != lang.Mapping {
		r.wrong(n, "want a mapping from repository names to their settings, not %s", n)
		return
	}
	if r.repositories == nil {
		r.repositories = make(map[ecr.RepositoryName]declaration, len(n.Members))
	}
	for _, m := range n.Members {
		item := node{m.Value, n.path.At(m.Key), m.At}
		f := r.fields(item)
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
	return "want lower-case letters and digits, in between one '.', '_' or '__' or any number of '-', and '/' between such parts"
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
		r.errorf(at, nil, "ecr_repositories is missing; without repositories write ecr_repositories: {}")
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
	return f
}

// with fills in the defaults, and works out what is different where there are
// overrides.
func (d declaration) with(defaults fields) repository {
	r := repository{name: d.name, origin: d.node.origin(), fields: d.fields.over(defaults)}
	own := d.fields.overrides.given
	for name, o := range r.overrides.value {
		f := d.fields.over(o.fields).over(defaults)
		if own {
			f = o.fields.over(d.fields).over(defaults)
		}
		if r.in == nil {
			r.in = map[string]fields{}
		}
		r.in[name] = f
	}
	return r
}
