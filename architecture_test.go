package kontor_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/kontor-registry/kontor"

// rooms are the packages of the house and their levels: a package imports only
// rooms of smaller levels. A room holds the packages below it that are not
// rooms themselves. docs/design/0001-rooms-and-levels.md says why.
var rooms = map[string]int{
	"internal/ecr":        0,
	"internal/durable":    0,
	"internal/budget":     0,
	"internal/jsonpos":    0,
	"internal/jsonscan":   0,
	"internal/latergc":    0,
	"internal/memo":       0,
	"internal/lazyregexp": 0,
	"internal/mirrors":    0,
	"internal/spelling":   0,
	"internal/race":       0,
	"internal/version":    0,
	"internal/dockerauth": 0,
	"internal/textfile":   0,

	"lifecycle": 1,
	"policy":    1,

	"internal/access":       10,
	"internal/store/blob":   10,
	"internal/manifest":     10,
	"internal/wire":         10,
	"internal/deploy/state": 10,
	"internal/store/meta":   11,
	"internal/leases":       12,
	"internal/events":       12,

	"internal/access/authn":        20,
	"internal/access/authz":        20,
	"internal/access/audit":        20,
	"internal/access/identity":     20,
	"internal/access/proof":        20,
	"internal/gate":                22,
	"internal/access/iam":          25,
	"internal/access/declared":     26,
	"internal/store/check":         20,
	"internal/store/repair":        30,
	"internal/store/blob/blobtest": 20,
	"internal/store/blob/crashfs":  20,
	"internal/store/blob/disk":     19,
	"internal/store/blob/s3":       29,
	"internal/store/blob/limited":  21,
	"internal/store/blob/small":    21,
	"internal/store/meta/metatest": 20,
	"internal/store/meta/sqlstore": 20,
	"internal/store/meta/transfer": 19,
	"internal/deploy/lang":         19,
	"internal/deploy/spec":         20,
	"internal/deploy/plan":         20,
	"internal/deploy/exporter":     31,
	"internal/deploy/importer":     31,
	"internal/deploy/foreign":      31,
	"internal/deploy/wording":      22,
	"internal/deploy/images":       20,
	"internal/deploy/principals":   21,
	"internal/deploy/effects":      25,
	"internal/deploy/leasetags":    21,
	"internal/pgtest":              20,

	"internal/store/meta/postgres": 30,
	"internal/store/meta/sqlite":   30,
	"internal/remote":              29,
	"internal/retention":           30,
	"internal/registry":            31,
	"internal/signing":             32,
	"internal/signing/trust":       12,
	"internal/signing/managed":     33,
	"internal/templates":           32,
	"internal/upstream":            32,
	"internal/replication":         32,
	"internal/replication/amazon":  33,
	"internal/inspect":             32,
	"internal/events/delivery":     32,
	"internal/scanning":            33,
	"internal/jobs":                35,
	"internal/store/move":          36,
	"internal/testkit":             36,
	"internal/testkit/push":        37,
	"internal/testkit/histories":   37,
	"internal/testkit/faults":      40,
	"internal/testkit/idp":         40,
	"internal/deploy":              30,
	"internal/deploy/clusters":     31,
	"internal/deploy/tokens":       31,
	"internal/deploy/promote":      32,

	"internal/deploy/promote/amazon":    33,
	"internal/deploy/promote/expiry":    31,
	"internal/deploy/promote/history":   31,
	"internal/deploy/promote/platforms": 31,

	"internal/report":         28,
	"internal/report/rollout": 38,
	"internal/render/page":    39,

	"internal/render":       40,
	"internal/datadir":      38,
	"internal/store/backup": 39,
	"internal/kube":         40,

	"internal/adminclient": 41,
	"internal/deploy/run":  45,

	"internal/front/adminapi": 50,
	"internal/front/console":  50,
	"internal/front/ecrapi":   50,
	"internal/front/iamapi":   50,
	"internal/front/ociapi":   50,
	"internal/front/stsapi":   50,
	"internal/front/tagapi":   50,

	"internal/server":  60,
	"internal/metrics": 61,
	"internal/traces":  61,
	"internal/host":    62,
	"internal/host/up": 65,

	"internal/host/serve": 65,

	"kontortest":                70,
	"kontortest/awstest":        71,
	"internal/cli/command":      71,
	"internal/cli/accesscmd":    72,
	"internal/cli/admincmd":     72,
	"internal/cli/leasecmd":     72,
	"internal/cli/lifecyclecmd": 72,
	"internal/cli/logincmd":     72,
	"internal/cli/signerscmd":   72,
	"internal/cli/upstreamcmd":  72,
	"internal/cli":              75,
	"internal/cli/clitest":      76,

	"cmd/kontor":     80,
	"bench/deploy":   80,
	"bench/promote":  80,
	"bench/registry": 80,
	"release":        80,
	"test/all":       80,
	"test/docs":      80,
	"test/dockerd":   79,
	"test/cluster":   79,
	"test/crash":     80,
	"test/load":      80,
}

// confined are imports that only some rooms may have; "" represents every
// room of level 40 and up.
var confined = []struct {
	imported string
	rooms    []string
}{
	{"net/http", []string{"internal/wire", "internal/access/authn", "internal/remote", "internal/upstream", "internal/replication/amazon", "internal/scanning", "internal/events/delivery", "internal/store/blob/s3", ""}},
	{"database/sql", []string{"internal/store/meta/sqlstore", "internal/store/meta/transfer", "internal/store/meta/sqlite", "internal/store/meta/postgres"}},
	{"github.com/jackc/pgx", []string{"internal/store/meta/postgres", "internal/pgtest"}},
	{"github.com/aws/", []string{
		"internal/deploy", "internal/deploy/images", "internal/deploy/principals", "internal/deploy/leasetags", "internal/deploy/clusters",
		"internal/deploy/tokens", "internal/deploy/run", "internal/adminclient", "internal/cli/command", "internal/cli/admincmd", "internal/testkit/push", "kontortest/awstest", "test/load", "bench/registry", "test/cluster",
		"internal/store/blob/s3", "internal/replication/amazon",
	}},
	{"github.com/spf13/cobra", []string{"internal/cli", "internal/cli/command", "internal/cli/accesscmd", "internal/cli/admincmd", "internal/cli/leasecmd", "internal/cli/lifecyclecmd", "internal/cli/logincmd", "internal/cli/signerscmd", "internal/cli/upstreamcmd", "cmd/kontor"}},
	{"github.com/goccy/go-yaml", []string{"internal/access/declared", "internal/deploy/lang", "internal/kube"}},
	{"github.com/hashicorp/hcl", []string{"internal/deploy/lang", "internal/deploy/exporter", "internal/deploy/foreign"}},
	{"oras.land/", []string{"internal/remote"}},
	{"github.com/pires/", []string{"internal/host/serve"}},
	{"golang.org/x/time", []string{"internal/remote"}},
}

// strangers are rooms and what they never bring with them, at any depth: rooms
// or modules. Each represents itself and all below it.
var strangers = []struct{ room, never string }{
	{"internal/registry", "internal/deploy"},
	{"internal/deploy", "internal/store"},
	// Front ends and data folders are the business of whoever calls run.
	{"internal/deploy/run", "internal/render"},
	{"internal/deploy/run", "internal/datadir"},
	{"internal/deploy/run", "internal/host"},
	{"internal/deploy/run", "internal/cli"},
	{"internal/deploy/run", "github.com/spf13/cobra"},
}

// deployers are what reaches registries from outside, and reads files.
var deployers = []string{module + "/internal/deploy", "github.com/aws/", "github.com/hashicorp/", "github.com/goccy/", "net/http"}

// closures are what packages may and may not bring with them: the public ones,
// and those that a server links, too.
var closures = map[string]struct {
	only      []string // outside the standard library and the package itself; nil for anything
	forbidden []string
}{
	"lifecycle": {only: []string{module + "/internal/jsonpos", module + "/internal/lazyregexp"}},
	"policy":    {only: []string{module + "/internal/jsonpos", module + "/internal/ecr", module + "/internal/lazyregexp", module + "/internal/spelling"}},
	// A server makes pages of reports, so that they bring no deployer.
	"internal/report":      {forbidden: deployers},
	"internal/render/page": {forbidden: deployers},
	"kontortest": {forbidden: []string{
		"github.com/hashicorp/", "github.com/jackc/pgx", "github.com/spf13/", "github.com/prometheus/",
		"github.com/aws/", "github.com/goccy/", module + "/internal/deploy", module + "/internal/cli",
	}},
}

type goPackage struct {
	ImportPath string
	Doc        string // the first sentence of its comment
	Imports    []string
	Deps       []string
	Standard   bool
}

func list(t *testing.T, args ...string) []goPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Doc,Imports,Deps,Standard"}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, &stderr)
	}
	var all []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// roomOf finds the room that pkg, a path within the module, stands in.
func roomOf(pkg string) (string, bool) {
	for p := pkg; p != ""; {
		if _, ok := rooms[p]; ok {
			return p, true
		}
		i := strings.LastIndexByte(p, '/')
		if i < 0 {
			return "", false
		}
		p = p[:i]
	}
	return "", false
}

func TestImportsGoDown(t *testing.T) {
	used := map[string]bool{}
	for _, p := range list(t, "./...") {
		pkg, ok := strings.CutPrefix(p.ImportPath, module+"/")
		if !ok {
			continue // the root, which holds this test only
		}
		room, ok := roomOf(pkg)
		if !ok {
			t.Errorf("%s stands in no room: give it a level in %s", pkg, "architecture_test.go")
			continue
		}
		used[room] = true
		for _, imp := range p.Imports {
			to, ok := strings.CutPrefix(imp, module+"/")
			if !ok {
				continue
			}
			target, ok := roomOf(to)
			if ok && target != room && rooms[target] >= rooms[room] {
				t.Errorf("%s (level %d) imports %s (level %d): imports go to smaller levels only", pkg, rooms[room], to, rooms[target])
			}
		}
		for _, c := range confined {
			may := slices.Contains(c.rooms, room) || slices.Contains(c.rooms, "") && rooms[room] >= 40
			for _, imp := range p.Imports {
				if !may && (imp == c.imported || strings.HasPrefix(imp, strings.TrimSuffix(c.imported, "/")+"/")) {
					t.Errorf("%s imports %s, which is for %v only", pkg, imp, c.rooms)
				}
			}
		}
	}
	for room := range rooms {
		if !used[room] {
			t.Errorf("the room %s is gone: take it out of the rules", room)
		}
	}
	for _, c := range confined {
		for _, room := range c.rooms {
			if _, ok := rooms[room]; room != "" && !ok {
				t.Errorf("the rule for %s names %s, which is no room", c.imported, room)
			}
		}
	}
}

var update = flag.Bool("update", false, "write the table of docs/design/0001-rooms-and-levels.md")

// The page about rooms has all of them, with what their packages say of
// themselves.
func TestRoomsOfThePage(t *testing.T) {
	const page, begin, end = "docs/design/0001-rooms-and-levels.md", "<!-- Written by `go test -run TestRoomsOfThePage -update .` -->\n", "<!-- End -->\n"
	doc := map[string]string{}
	for _, p := range list(t, "./...") {
		doc[strings.TrimPrefix(p.ImportPath, module+"/")] = p.Doc
	}
	table := "| Level | Room | What it is |\n|---|---|---|\n"
	highestFirst := func(a, b string) int { return cmp.Or(rooms[b]-rooms[a], strings.Compare(a, b)) }
	for _, room := range slices.SortedFunc(maps.Keys(rooms), highestFirst) {
		what := doc[room] // "Package room does what"
		if f := strings.SplitN(what, " ", 3); len(f) == 3 {
			what, _, _ = strings.Cut(f[2], ": ")
		}
		what = strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(strings.TrimRight(cmp.Or(what, "holds tests only"), ".:"))
		table += fmt.Sprintf("| %d | `%s` | %s |\n", rooms[room], room, what)
	}
	have, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(have), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table: want %q, the table, %q", page, begin, end)
	}
	want := before + begin + "\n" + table + "\n" + end + after
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if want != string(have) && !*update {
		t.Errorf("the table of %s is not that of the rules: write it with go test -run TestRoomsOfThePage -update .", page)
	}
}

// within reports whether pkg is room or a package below it.
func within(pkg, room string) bool { return pkg == room || strings.HasPrefix(pkg, room+"/") }

func TestStrangersStayStrangers(t *testing.T) {
	all := list(t, "./...")
	for _, s := range strangers {
		var from, to bool
		for _, p := range all {
			pkg := strings.TrimPrefix(p.ImportPath, module+"/")
			is := within(pkg, s.room)
			from = from || is
			for _, dep := range append(p.Deps, p.ImportPath) {
				in := strings.TrimPrefix(dep, module+"/")
				if !within(in, s.never) {
					continue
				}
				if to = true; is {
					t.Errorf("%s brings %s with it, and %s never needs %s", pkg, in, s.room, s.never)
				}
			}
		}
		if !from || !to {
			t.Errorf("the rule that %s never needs %s is about packages that are gone", s.room, s.never)
		}
	}
}

func TestPublicPackagesBringLittle(t *testing.T) {
	for pkg, rule := range closures {
		p := list(t, "./"+pkg)[0]
		standard := map[string]bool{}
		for _, d := range list(t, append([]string{"-e"}, p.Deps...)...) {
			standard[d.ImportPath] = d.Standard
		}
		for _, dep := range p.Deps {
			if rule.only != nil && !standard[dep] && !slices.Contains(rule.only, dep) {
				t.Errorf("%s brings %s with it", pkg, dep)
			}
			for _, f := range rule.forbidden {
				if dep == f || strings.HasPrefix(dep, strings.TrimSuffix(f, "/")+"/") {
					t.Errorf("%s brings %s with it", pkg, dep)
				}
			}
		}
	}
}
