package render

import (
	"cmp"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/report/rollout"
)

// Ready is a local registry that has started.
type Ready struct {
	Took    time.Duration // from the process's start
	DataDir string
	Default bool   // DataDir is the default one, which commands find on their own
	Source  string // of the repositories, in words or a file's name
	// TLS tells that the registries speak https. Authority is the file of the
	// local authority that clients must trust; "" where others vouch.
	TLS       bool
	Authority string
	// Registries are served now, each on its own port. Never empty.
	Registries []ReadyRegistry
	NoConsole  bool // the web console is off
}

// ReadyRegistry is one registry of Ready.
type ReadyRegistry struct {
	Name string
	ID   ecr.RegistryID
	Host string
	// External is the URL at which clients reach it, where that was given; Host
	// is of it then.
	External string
	// Repositories that the file names, in its order, and the plan that made
	// them so.
	Repositories []state.Repository
	Plan         plan.Plan
}

// done says what a plan's operation did.
var done = map[plan.Op]string{
	plan.OpNone: "", plan.OpCreate: "created", plan.OpAdopt: "adopted", plan.OpUpdate: "updated",
}

// Up writes what a user wants to know of a registry that has started: what is
// there, and the lines that log in and push with each tool.
func Up(w io.Writer, r Ready, o Options) error {
	pr := newPrinter(o)
	pr.linef(bold, "kontor is ready (%s)", r.Took)
	pr.linef(plain, "  data   %s", clean(r.DataDir))
	pr.linef(plain, "  file   %s", clean(r.Source))
	for _, reg := range r.Registries {
		pr.linef(plain, "")
		pr.linef(bold, "%s: account %s, region %s", reg.Host, reg.ID.Account, reg.ID.Region)
		var rows [][2]string
		for _, r := range reg.Repositories {
			note := mutability(r)
			if d := done[reg.op(r.Name)]; d != "" {
				note = d + ", " + note
			}
			rows = append(rows, [2]string{reg.Host + "/" + string(r.Name), note})
		}
		if len(rows) == 0 {
			pr.linef(plain, "  no repositories: add some to the file")
		}
		for _, l := range align("  ", rows) {
			pr.linef(plain, "%s", l)
		}
		made := rollout.NewPlan(reg.Plan)
		for _, x := range made.RegistrySettings {
			pr.linef(plain, "  %s: %s", clean(x.Name), cmp.Or(done[x.Op], "deleted"))
		}
		changes := made.Changes
		// what was there is gone
		for _, g := range grouped(slices.DeleteFunc(changes, func(c rollout.Change) bool { return c.Op == plan.OpCreate }), o) {
			pr.group(g, false, o)
		}
		pr.findings(reg.Plan.Findings)
	}
	for _, l := range instructions(r) {
		pr.linef(plain, "%s", l)
	}
	return pr.flush(w)
}

// op is what the plan did to the repository.
func (r ReadyRegistry) op(name ecr.RepositoryName) plan.Op {
	for _, c := range r.Plan.Changes {
		if c.Repository == name {
			return c.Op
		}
	}
	return plan.OpNone
}

// mutability says whether tags of the repository can move.
func mutability(r state.Repository) string {
	return strings.ReplaceAll(strings.ToLower(string(r.Mutability.Mode)), "_", " ")
}

// instructions are the commands to copy, for the first registry.
func instructions(r Ready) []string {
	first := r.Registries[0]
	data := ""
	if !r.Default {
		data = " --data " + quoteShell(r.DataDir)
	}
	target := ""
	if len(r.Registries) > 1 {
		target = " --target " + quoteShell(first.Name)
	}
	repo := "REPOSITORY"
	if len(first.Repositories) > 0 {
		repo = string(first.Repositories[0].Name)
	}
	image := first.Host + "/" + repo + ":v1"
	secure, authority := r.TLS, r.Authority
	if first.External != "" {
		secure, authority = strings.HasPrefix(first.External, "https://"), ""
	}
	trust, insecure := "", []string{" --tls-verify=false", "", " --dest-tls-verify=false", "", ",registry.insecure=true", ""}
	if !secure {
		insecure = nil
	}
	if authority != "" {
		trust = `
Trust this registry once: its certificate is signed by its own authority.
  docker           sudo install -D -m 644 {ca} /etc/docker/certs.d/{host}/ca.crt
  podman, skopeo   install -D -m 644 {ca} ~/.config/containers/certs.d/{host}/ca.crt
  Debian           sudo install -m 644 {ca} /usr/local/share/ca-certificates/kontor.crt && sudo update-ca-certificates
The AWS CLI and SDKs find it in AWS_CA_BUNDLE, which kontor env sets.
`
	}
	lines := trust + `
Log in once (12 hours; docker, podman, buildah, skopeo and BuildKit read it):
  kontor login{data}{target}

Push:
  docker    docker tag IMAGE {image} && docker push {image}
  podman    podman push --tls-verify=false IMAGE {image}
  skopeo    skopeo copy --dest-tls-verify=false docker-archive:IMAGE.tar docker://{image}
  BuildKit  buildctl build --frontend dockerfile.v0 --local context=. --local dockerfile=. \
              --output type=image,name={image},push=true,registry.insecure=true

Log in with each tool itself:
  docker    kontor login{data}{target} --print-password | docker login -u AWS --password-stdin {host}
  podman    kontor login{data}{target} --print-password | podman login --tls-verify=false -u AWS --password-stdin {host}
  skopeo    kontor login{data}{target} --print-password | skopeo login --tls-verify=false -u AWS --password-stdin {host}

{desktop}{console}AWS CLI and SDKs:
  eval "$(kontor env{data}{target})"
  aws --endpoint-url "$AWS_ENDPOINT_URL" ecr describe-repositories

Press Ctrl-C to stop. The data stays.`
	console := ""
	if !r.NoConsole {
		console = "Look at it in a browser:\n  kontor console" + data + target + "\n\n"
	}
	lines = strings.NewReplacer(append(insecure, "{ca}", quoteShell(authority), "{data}", data, "{target}", target, "{image}", image,
		"{host}", first.Host, "{repo}", repo, "{console}", console, "{desktop}", dockerDesktop(first, repo, secure))...).Replace(lines)
	return strings.Split(lines, "\n")
}

// dockerDesktop is how Docker Desktop reaches r, whose address is this machine's:
// "" where clients are given another.
func dockerDesktop(r ReadyRegistry, repo string, secure bool) string {
	if r.External != "" {
		return ""
	}
	host := "host.docker.internal" + r.Host[strings.LastIndexByte(r.Host, ':'):]
	s := "Docker Desktop pushes from its own virtual machine, where the registry is " + host + "."
	if secure {
		s += " Push to"
	} else {
		s += "\nAdd \"insecure-registries\": [\"" + host + "\"] to its engine settings and push to"
	}
	return s + "\n  " + host + "/" + repo + ":v1\n\n"
}

// quoteShell writes s as one word of a POSIX shell.
func quoteShell(s string) string {
	plainWord := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@%,", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plainWord(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
