// Package foreign reads repositories from the files of other tools: the state, the
// plan and the code of Terraform and OpenTofu, and templates of CloudFormation. Of
// Terraform it reads creation templates and pull-through cache rules as well, and of both
// the replication of registries.
//
// It reads what a file says, and nothing else. A value that the file does not have,
// such as a variable's or what another resource exports, is a Finding with its
// place: never a guess. A repository is left out if its name, its tag mutability or
// one of its policies is not known, because a file without them would change it.
// Scanning, encryption and resource tags that are not known are left out alone: what
// a file does not say of them stays as it is.
//
// Of modules it knows the ones that many use (see modules.go), with the defaults of
// their latest versions; other modules are not read.
//
// Sources: Terraform, "JSON Output Format" and state version 4; Terraform AWS
// provider 6, resources aws_ecr_*; CloudFormation, AWS::ECR::Repository and
// AWS::ECR::ReplicationConfiguration.
package foreign

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// Options say what the caller knows that files do not say.
type Options struct {
	// Registry is that of the repositories; zero when it is not known. What the
	// files call the current account, region and partition has its values.
	Registry ecr.RegistryID
}

// Repository is one that the files declare. Origins.Repository is where.
type Repository struct {
	state.Repository
	// Account and Region are where it is; "" when the files do not say.
	Account ecr.AccountID
	Region  ecr.Region
	// Module is the module that makes it, such as "cloudposse/ecr"; "" for none.
	Module string
}

// Finding is something that was not read, or what a reader should know.
type Finding struct {
	state.Position
	Message string
}

// String is "FILE:LINE:COLUMN: MESSAGE".
func (f Finding) String() string { return f.Position.String() + ": " + f.Message }

// Found is what files declare, both in the order of the files.
type Found struct {
	Repositories []Repository
	Templates    []Template
	Upstreams    []Upstream
	Replications []Replication
	Findings     []Finding
}

// Read reads the files of list. An error is a lang.Errors: files that cannot be
// read, or that declare a repository twice.
func Read(list []lang.Source, o Options) (Found, error) {
	r := &reader{opts: o}
	var files []string
	code := map[string]*module{} // by folder
	var folders []string
	var variables []lang.Source
	for _, s := range list {
		files = append(files, s.Name)
		switch kindOf(s.Name) {
		case terraformVariables:
			variables = append(variables, s)
		case terraformCode:
			dir := folderOf(s.Name)
			if code[dir] == nil {
				code[dir] = newModule(r)
				folders = append(folders, dir)
			}
			code[dir].add(s)
		default:
			r.document(s)
		}
	}
	for _, dir := range folders {
		for _, s := range variables {
			if !automatic(s.Name) || folderOf(s.Name) == dir {
				code[dir].setVariables(s)
			}
		}
		code[dir].read()
	}
	found := r.assemble()
	if len(r.errs) > 0 {
		return Found{}, r.errs.InOrder(files)
	}
	less := lang.Order(files)
	slices.SortStableFunc(found.Findings, func(a, b Finding) int { return less(a.Position, b.Position) })
	found.Findings = slices.Compact(found.Findings)
	return found, nil
}

// fileKind is what a file is by its name.
type fileKind int

const (
	document fileKind = iota // its content says what it is
	terraformCode
	terraformVariables
)

// Endings are the endings of the names of files that are read in a folder.
func Endings() []string { return []string{".tf", ".tofu"} }

func kindOf(name string) fileKind {
	name = strings.ToLower(name)
	switch {
	case strings.HasSuffix(name, ".tfvars"), strings.HasSuffix(name, ".tfvars.json"):
		return terraformVariables
	case slices.ContainsFunc(Endings(), func(e string) bool { return strings.HasSuffix(name, e) }):
		return terraformCode
	}
	return document
}

// automatic reports whether Terraform takes a file of variables without being told,
// for the code in its folder.
func automatic(name string) bool {
	name = strings.TrimSuffix(name[len(folderOf(name)):], ".json")
	return name == "terraform.tfvars" || strings.HasSuffix(name, ".auto.tfvars")
}

func folderOf(name string) string {
	return name[:strings.LastIndexAny(name, `/\`)+1]
}

// reader collects the resources of all files.
type reader struct {
	opts      Options
	resources []resource
	findings  []Finding
	errs      lang.Errors
}

func (r *reader) errorf(at state.Position, format string, args ...any) {
	r.errs = append(r.errs, &lang.Error{Position: at, Message: fmt.Sprintf(format, args...)})
}

func (r *reader) findf(at state.Position, format string, args ...any) {
	r.findings = append(r.findings, Finding{at, fmt.Sprintf(format, args...)})
}

// The types of resources that are read; those of CloudFormation are taken apart
// into them.
const (
	repositoryType = "aws_ecr_repository"
	lifecycleType  = "aws_ecr_lifecycle_policy"
	policyType     = "aws_ecr_repository_policy"
)

// registryTypes are other settings of registries, which are not read.
var registryTypes = []string{
	"aws_ecr_registry_policy", "aws_ecr_registry_scanning_configuration",
	"aws_ecr_account_setting",
}

// resource is one resource with the attributes of Terraform's AWS provider.
type resource struct {
	kind string
	at   state.Position
	// name is how messages call it, such as aws_ecr_repository.api.
	name string
	// provider is the configuration of the provider, "" for the usual one: it tells
	// apart repositories of the same name in several registries.
	provider string
	module   string
	// values are those of JSON: nil, bool, json.Number, string, []any and
	// map[string]any.
	values map[string]any
	// unknown are attributes whose values are not known, and why.
	unknown map[string]Finding
}

func (x *resource) text(attribute string) string {
	s, _ := x.values[attribute].(string)
	return s
}

// block is the first block of a kind, which is a list in JSON.
func (x *resource) block(name string) map[string]any {
	switch v := x.values[name].(type) {
	case []any:
		if len(v) > 0 {
			m, _ := v[0].(map[string]any)
			return m
		}
	case map[string]any:
		return v
	}
	return nil
}

// registry is what the resource says of its registry.
func (x *resource) registry() (ecr.AccountID, ecr.Region) {
	if id, _, err := ecr.ParseRepositoryARN(x.text("arn")); err == nil {
		return id.Account, id.Region
	}
	account, _ := ecr.ParseAccountID(x.text("registry_id")) // "" when it is none
	region, err := ecr.ParseRegion(x.text("region"))
	if err != nil {
		return account, ""
	}
	return account, region
}

// assemble puts the resources of each repository together.
func (r *reader) assemble() Found {
	var out []Repository
	var providers []string // of out
	for _, x := range r.resources {
		if x.kind != repositoryType {
			continue
		}
		repo, ok := r.repository(x)
		if !ok {
			continue
		}
		i := slices.IndexFunc(out, func(o Repository) bool {
			return o.Name == repo.Name && agree(o.Account, repo.Account) && agree(o.Region, repo.Region)
		})
		if i >= 0 && (providers[i] == x.provider || out[i].Account != "" && out[i].Region != "") {
			r.errorf(x.at, "repository %s is declared twice, first at %s: pass one of the files only", repo.Name, out[i].Origins.Repository)
			continue
		}
		out = append(out, repo)
		providers = append(providers, x.provider)
	}
	left := map[int]bool{}
	for _, x := range r.resources {
		if x.kind != lifecycleType && x.kind != policyType {
			continue
		}
		if why, bad := x.unknown["repository"]; bad {
			if why.Message == "" {
				continue // said of the repository
			}
			r.findf(why.Position, "%s: %s; it is not read: check that its repository has it in the file before you apply that", x.name, why.Message)
			continue
		}
		name := x.text("repository")
		account, region := x.registry()
		candidates := indexes(out, func(i int) bool {
			return string(out[i].Name) == name && agree(out[i].Account, account) && agree(out[i].Region, region)
		})
		if len(candidates) > 1 {
			candidates = slices.DeleteFunc(candidates, func(i int) bool { return providers[i] != x.provider })
		}
		if len(candidates) != 1 {
			if !r.declares(name) {
				r.findf(x.at, "%s: repository %s is not in these files, so this is not read", x.name, name)
			}
			continue
		}
		repo := &out[candidates[0]]
		if why, bad := x.unknown["policy"]; bad {
			r.findf(why.Position, "%s: %s; repository %s is left out", x.name, why.Message, name)
			left[candidates[0]] = true
			continue
		}
		text := strings.TrimSpace(x.text("policy"))
		if x.kind == lifecycleType {
			repo.Lifecycle = text
		} else {
			repo.Policy = text
		}
	}
	templates, upstreams, replications := r.settings()
	found := Found{Templates: templates, Upstreams: upstreams, Replications: replications, Findings: r.findings}
	for i, repo := range out {
		if !left[i] {
			found.Repositories = append(found.Repositories, repo)
		}
	}
	return found
}

// declares reports whether a resource is a repository of that name, which may have
// been left out.
func (r *reader) declares(name string) bool {
	return slices.ContainsFunc(r.resources, func(x resource) bool { return x.kind == repositoryType && x.text("name") == name })
}

func indexes(list []Repository, match func(i int) bool) []int {
	var out []int
	for i := range list {
		if match(i) {
			out = append(out, i)
		}
	}
	return out
}

// agree reports whether two values can be the same, "" being any.
func agree[T ~string](a, b T) bool { return a == "" || b == "" || a == b }

// repository makes the settings of a repository. ok is false when it is left out.
func (r *reader) repository(x resource) (Repository, bool) {
	for _, required := range []string{"name", "image_tag_mutability", "image_tag_mutability_exclusion_filter"} {
		if why, bad := x.unknown[required]; bad {
			r.findf(why.Position, "%s: %s: %s; the repository is left out", x.name, required, why.Message)
			return Repository{}, false
		}
	}
	for _, optional := range []string{"image_scanning_configuration", "encryption_configuration", "tags"} {
		if why, bad := x.unknown[optional]; bad {
			r.findf(why.Position, "%s: %s: %s; it is not in the file, and stays as it is", x.name, optional, why.Message)
		}
	}
	name, err := ecr.ParseRepositoryName(x.text("name"))
	if err != nil {
		r.findf(x.at, "%s: %q is not a name that a repository can have; it is left out", x.name, x.text("name"))
		return Repository{}, false
	}
	out := Repository{Repository: state.Repository{Name: name, Tags: map[string]string{}}, Module: x.module}
	out.Origins.Repository = x.at
	out.Account, out.Region = x.registry()
	out.Mutability = x.mutability()
	if b := x.block("image_scanning_configuration"); b != nil {
		if scan, ok := boolean(b["scan_on_push"]); ok {
			out.ScanOnPush = &scan
		}
	}
	if _, bad := x.unknown["encryption_configuration"]; !bad {
		out.Encryption = x.encryption()
	}
	for _, attribute := range []string{"tags", "tags_all"} { // the second has those of the provider, too
		m, _ := x.values[attribute].(map[string]any)
		for k, v := range m {
			if s, ok := scalar(v); ok {
				out.Tags[k] = s
			}
		}
	}
	return out, true
}

// boolean reads true, and "true" as tools write it too.
func boolean(v any) (value, ok bool) {
	switch v := v.(type) {
	case bool:
		return v, true
	case string:
		return strings.EqualFold(v, "true"), strings.EqualFold(v, "true") || strings.EqualFold(v, "false")
	}
	return false, false
}

// scalar is a string, number or boolean as a string.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return fmt.Sprint(v), true
	}
	return "", false
}
