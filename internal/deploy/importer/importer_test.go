package importer_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/race"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/deploy/importer"
	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/deploy/wording"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/lifecycle"
	"github.com/kontor-registry/kontor/policy"
)

// tb is what tests and properties have.
type tb interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// applied is what a registry has after a file was applied to it.
func applied(d state.Desired) state.Observed {
	o := observed()
	for _, r := range d.For(target).Repositories {
		r.Origins = state.Origins{}
		if r.ScanOnPush == nil {
			r.ScanOnPush = new(bool)
		}
		if r.Encryption == nil {
			r.Encryption = &ecr.Encryption{Type: "AES256"}
		}
		o.Repositories[r.Name] = r
	}
	return o
}

func load(t tb, name string, text []byte) state.Desired {
	t.Helper()
	f, _, err := spec.Load(spec.Source{Name: name, Data: text})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return f.Desired(target.Registry)
}

func write(t tb, o state.Observed, opts importer.Options) importer.File {
	t.Helper()
	f, err := importer.Write(o, opts)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// fieldValues are values of the fields; one of a group goes with all others.
var fieldValues = []map[string][]string{
	{"is_immutable": {"true", "false"}, "scan_on_push": {"true", "false"}, "delete_protection": {"true", "false"}, "tags": {`{"team":"a b","ü":""}`, `{"team":"a b"}`, "{}"}},
	{"mutable_tags": {`["latest"]`, `["main*","latest"]`}},
	{"encryption": {`{"type":"AES256"}`, `{"type":"KMS","kms_key":"alias/images"}`}},
	{
		"keep": {`["v*"]`, `["v*","release-*"]`}, "expiration_rules": {`[{"tag_pattern":"pr-*","days":7}]`, `[{"tag_pattern":"main-*","keep_last":5},{"tag_pattern":"rc*","days":7}]`},
		"expire_untagged_after_days": {"1", "30", `"never"`}, "expire_all_images": {"true", "false"},
	},
	{"expire_all_images": {"true"}, "expire_all_after_days": {"14", "90"}, "keep_last_untagged": {"1", "5"}},
	{"keep_last_images": {"1", "100", `"all"`}},
	{
		"additional_pull_account_ids": {"[]", `["333333333333"]`, `["555555555555","333333333333"]`}, "additional_push_account_ids": {`["444444444444","333333333333"]`},
		"pull_organization_ids": {`["o-a1b2c3d4e5"]`},
		"pull_principals":       {`["arn:aws:iam::666666666666:role/reader",{"service":"lambda.amazonaws.com","source_account":"777777777777"}]`},
		"push_principals":       {`[{"service":"codebuild.amazonaws.com","source_arn":"arn:aws:codebuild:us-east-1:777777777777:project/*"}]`},
		"extra_policy_statements": {
			`[{"Sid":"Mine","Effect":"Deny","Principal":"*","Action":"ecr:ReplicateImage","Condition":{"Bool":{"aws:SecureTransport":false}}}]`,
			`[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::888888888888:root"},"Action":["ecr:BatchDeleteImage"]}]`,
		},
	},
}

var documents = []map[string][]string{
	{"lifecycle_policy_json": {
		`{"rules":[{"rulePriority":7,"description":"<old> & \"new\"","selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":3},"action":{"type":"expire"}}]}`,
		`{"rules":[{"action":{"type":"expire"},"rulePriority":2,"selection":{"tagStatus":"tagged","tagPrefixList":["b","a"],"countType":"sinceImagePushed","countUnit":"days","countNumber":9}}]}`,
		`{"rules":[{"action":{"type":"expire"},"rulePriority":2,"selection":{"tagStatus":"tagged","tagPrefixList":["b"],"countType":"imageCountMoreThan","countNumber":200000}},{"action":{"type":"expire"},"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"imageCountMoreThan","countNumber":2}}]}`,
	}},
	{"repository_policy_json": {
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"333333333333"},"Action":["ecr:batchgetimage","ecr:BatchGetImage"]}}`,
		`{"Version":"2012-10-17","Statement":[{"Sid":"A","Effect":"Allow","Principal":"*","Action":"ecr:ListImages","Condition":{"StringEquals":{"aws:principalorgid":"o-a1b2c3d4e5"}}}]}`,
		`{"Version":"2008-10-17","Statement":[{"Sid":"A","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::333333333333:root"},"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"]}]}`,
	}},
}

// file draws a file, with whole documents or without.
func file(t *rapid.T, groups []map[string][]string) []byte {
	repositories := map[string]any{}
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"api", "team/api", "web", "db", "x1", "x2", "x3", "x4"}), 0, 8, rapid.ID).Draw(t, "names") {
		for {
			fields := map[string]json.RawMessage{}
			for _, group := range groups {
				if rapid.IntRange(0, 2).Draw(t, "group") > 0 {
					continue
				}
				for _, f := range slices.Sorted(maps.Keys(group)) {
					if rapid.Bool().Draw(t, f) {
						fields[f] = json.RawMessage(rapid.SampledFrom(group[f]).Draw(t, "value"))
					}
				}
			}
			text, err := json.Marshal(map[string]any{"ecr_repositories": map[string]any{name: fields}})
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := spec.Load(spec.Source{Name: "k.json", Data: text}); err == nil { // else fields that do not go together
				repositories[name] = fields
				break
			}
		}
	}
	text, err := json.Marshal(map[string]any{"stack": "platform", "registries": []any{map[string]any{"name": "prod", "account": target.Registry.Account, "region": target.Registry.Region}}, "ecr_repositories": repositories})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A file that is read back from the registry to which it was applied wants
// nothing changed, and is written in the same way the next time.
func TestImportOfAppliedFiles(t *testing.T) {
	for name, c := range map[string]struct {
		groups []map[string][]string
		exact  bool
	}{
		"fields": {fieldValues, false}, "fields, exact": {fieldValues, true}, "and documents, exact": {slices.Concat(fieldValues, documents), true},
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				o := applied(load(t, "k.json", file(t, c.groups)))
				opts := importer.Options{Language: rapid.SampledFrom([]lang.Language{lang.YAML, lang.JSON, lang.HCL}).Draw(t, "language"), Exact: c.exact, NewStack: "platform"}
				got := write(t, o, opts)
				d := load(t, "printed."+string(opts.Language), got.Text)
				p := plan.Diff(d, o)
				if n := p.Pending(); len(n) > 0 || len(p.Findings) > 0 {
					t.Fatalf("the plan wants %+v\n%s", p, got.Text)
				}
				if d := cmp.Diff(string(got.Text), string(write(t, applied(d), opts).Text)); d != "" {
					t.Error(d)
				}
			})
		})
	}
}

// With documents, a plan after an import changes words, and nothing that happens to
// images or that people may do; the file that is read back then stays as it is.
func TestImportOfDocumentsHasNoEffect(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := applied(load(t, "k.json", file(t, slices.Concat(fieldValues, documents))))
		got := write(t, o, importer.Options{})
		d := load(t, "k.yaml", got.Text)
		wantNoEffects(t, o, d)
		second := write(t, applied(d), importer.Options{})
		third := write(t, applied(load(t, "k.yaml", second.Text)), importer.Options{})
		if d := cmp.Diff(bare(got.Text), bare(second.Text)); d != "" {
			t.Errorf("applied and read back: %s", d)
		}
		if d := cmp.Diff(string(second.Text), string(third.Text)); d != "" {
			t.Errorf("and again: %s", d)
		}
	})
}

// bare is a file without comments and blank lines: comments say what was found.
func bare(text []byte) string {
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		if s := strings.TrimSpace(line); s != "" && !strings.HasPrefix(s, "#") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// wantNoEffects holds a plan to what an import may change: documents that have the
// same effect, the tag of the stack, and nothing else.
func wantNoEffects(t tb, o state.Observed, d state.Desired) {
	t.Helper()
	for _, c := range plan.Diff(d, o).Changes {
		if c.Before == nil || c.After == nil {
			if c.Op != plan.OpNone {
				t.Errorf("%s: %s", c.Repository, c.Op)
			}
			continue
		}
		before, after := *c.Before, *c.After
		p, q := decode(t, before.Lifecycle), decode(t, after.Lifecycle)
		if image := wording.SameLifecycle(p, q); image != "" {
			t.Errorf("%s: images such as %s\n%s\n%s", c.Repository, image, before.Lifecycle, after.Lifecycle)
		}
		if a := wording.CompareAccess(o.Target.Registry, document(t, before.Policy), document(t, after.Policy)); a.Right != "" {
			t.Errorf("%s: %+v\n%s\n%s", c.Repository, a, before.Policy, after.Policy)
		}
		before.Policy, before.Lifecycle, after.Policy, after.Lifecycle = "", "", "", ""
		delete(after.Tags, state.TagStack)
		delete(before.Tags, state.TagStack)
		if d := cmp.Diff(before, after); d != "" {
			t.Errorf("%s: %s", c.Repository, d)
		}
	}
}

func decode(t tb, text string) lifecycle.Policy {
	t.Helper()
	if text == "" {
		return lifecycle.Policy{}
	}
	p, err := lifecycle.Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func document(t tb, text string) policy.Document {
	t.Helper()
	if text == "" {
		return policy.Document{}
	}
	d, err := policy.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Each configuration that people have, alone: the plan after its import has no
// effect; exact, it has nothing but the tag of the stack.
func TestPlansAfterImportsOfShapes(t *testing.T) {
	for i, s := range shapes(t) {
		if s.Refused || race.Enabled && i%4 != 0 {
			continue
		}
		t.Run(fmt.Sprintf("%02d %s", i, s.Tool), func(t *testing.T) {
			o := observed(s.repository(i))
			wantNoEffects(t, o, load(t, "k.yaml", write(t, o, importer.Options{NewStack: "images"}).Text))
			exact := write(t, o, importer.Options{NewStack: "images", Exact: true})
			for _, c := range plan.Diff(load(t, "k.yaml", exact.Text), o).Changes {
				for _, d := range c.Differences {
					// an action that ECR takes and that has no effect
					if !strings.Contains(string(s.Policy), "GetAuthorizationToken") && (d.Field != plan.FieldTag || d.Key != state.TagStack) {
						t.Errorf("%+v\n%s", d, exact.Text)
					}
				}
			}
		})
	}
}

// Policies that look alike and are not are told apart.
func TestEffectsAreTold(t *testing.T) {
	rule := func(priority int, status lifecycle.TagStatus, count lifecycle.CountType, n int, patterns ...string) lifecycle.Rule {
		s := lifecycle.Selection{TagStatus: status, CountType: count, CountNumber: n, TagPatterns: patterns}
		if count != lifecycle.ImageCountMoreThan {
			s.CountUnit = lifecycle.Days
		}
		return lifecycle.Rule{Priority: priority, Selection: s, Action: lifecycle.Action{Type: lifecycle.Expire}}
	}
	of := func(rules ...lifecycle.Rule) lifecycle.Policy { return lifecycle.Policy{Rules: rules} }
	count, age := lifecycle.ImageCountMoreThan, lifecycle.SinceImagePushed
	for name, c := range map[string]struct {
		a, b lifecycle.Policy
		same bool
	}{
		"a day more":         {of(rule(1, lifecycle.Any, age, 30)), of(rule(1, lifecycle.Any, age, 31)), false},
		"an image more":      {of(rule(1, lifecycle.Any, count, 500)), of(rule(1, lifecycle.Any, count, 501)), false},
		"order of tagged":    {of(rule(1, lifecycle.Tagged, age, 3, "a*"), rule(2, lifecycle.Tagged, age, 9, "*b")), of(rule(2, lifecycle.Tagged, age, 3, "a*"), rule(1, lifecycle.Tagged, age, 9, "*b")), false},
		"all of two":         {of(rule(1, lifecycle.Tagged, age, 3, "a*", "b*")), of(rule(1, lifecycle.Tagged, age, 3, "a*"), rule(2, lifecycle.Tagged, age, 3, "b*")), false},
		"no rule":            {of(rule(1, lifecycle.Untagged, count, 3)), of(), false},
		"any is not tagged":  {of(rule(1, lifecycle.Any, age, 3)), of(rule(1, lifecycle.Tagged, age, 3, "*")), false},
		"place of untagged":  {of(rule(1, lifecycle.Untagged, age, 3), rule(2, lifecycle.Tagged, age, 9, "*b")), of(rule(9, lifecycle.Untagged, age, 3), rule(1, lifecycle.Tagged, age, 9, "*b")), true},
		"more than there is": {of(rule(1, lifecycle.Tagged, count, 100_000, "v*")), of(rule(1, lifecycle.Tagged, count, 999_999, "v*")), true},
	} {
		if image := wording.SameLifecycle(c.a, c.b); (image == "") != c.same {
			t.Errorf("%s: %q", name, image)
		}
	}
	doc := func(statements string) policy.Document {
		return document(t, `{"Version":"2012-10-17","Statement":[`+statements+`]}`)
	}
	allow := func(principal, actions, condition string) string {
		return fmt.Sprintf(`{"Effect":"Allow","Principal":%s,"Action":[%s]%s}`, principal, actions, condition)
	}
	const pull = `"ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"`
	root := `{"AWS":"arn:aws:iam::222222222222:root"}`
	lambda := `{"Service":"lambda.amazonaws.com"}`
	for name, c := range map[string]struct {
		a, b  string
		right string // begins so
	}{
		"another account":   {allow(root, pull, ""), allow(`{"AWS":"333333333333"}`, pull, ""), "pull for"},
		"a role of it":      {allow(root, pull, ""), allow(`{"AWS":"arn:aws:iam::222222222222:role/a"}`, pull, ""), "pull for"},
		"delete":            {allow(root, pull, ""), allow(root, pull+`,"ecr:BatchDeleteImage"`, ""), "delete for"},
		"settings":          {allow(root, pull, ""), allow(root, pull+`,"ecr:DeleteRepositoryPolicy"`, ""), "ecr:DeleteRepositoryPolicy for"},
		"an organization":   {allow(`"*"`, pull, `,"Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-a1b2c3d4e5"}}`), allow(`"*"`, pull, `,"Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-a1b2c3d4e6"}}`), "pull for"},
		"another function":  {allow(lambda, pull, `,"Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:lambda:us-east-1:222222222222:function:a"}}`), allow(lambda, pull, `,"Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:lambda:us-east-1:222222222222:function:a*"}}`), "pull for"},
		"any account":       {allow(lambda, pull, ""), allow(lambda, pull, `,"Condition":{"StringEquals":{"aws:SourceAccount":"222222222222"}}`), "pull for"},
		"the own account":   {allow(`{"AWS":"111111111111"}`, pull, ""), `{"Effect":"Deny","Principal":{"AWS":"333333333333"},"Action":"ecr:PutImage"}`, ""},
		"reading more":      {allow(root, pull, ""), allow(root, pull+`,"ecr:ListImages"`, ""), ""},
		"a user of our own": {allow(`{"AWS":"111111111111"}`, pull, ""), allow(`{"AWS":"arn:aws:iam::111111111111:user/bob"}`, pull, ""), "pull for"},
	} {
		got := wording.CompareAccess(target.Registry, doc(c.a), doc(c.b))
		if (got.Right == "") != (c.right == "") || !strings.HasPrefix(got.Right, c.right) {
			t.Errorf("%s: %+v", name, got)
		}
		if name == "reading more" && (!slices.Equal(got.Gained, []string{"ecr:ListImages"}) || got.Lost != nil) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// What a repository has besides: other stacks, tags of AWS, protection, and
// policies that no file can have.
func TestOtherThingsOfRepositories(t *testing.T) {
	repo := func(name ecr.RepositoryName, tags map[string]string) state.Repository {
		return state.Repository{Name: name, Mutability: ecr.Mutability{Mode: ecr.Immutable}, Tags: tags}
	}
	a, b := repo("aa", map[string]string{"kontor:stack": "one", "kontor:delete-protection": "off"}), repo("bb", map[string]string{"kontor:stack": "two"})
	c := repo("cc", map[string]string{"aws:cloudformation:stack-name": "net", "aws:x": "y", "team": "web"})
	d := repo("dd", nil)
	d.Policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*"}]}`
	e := repo("ee", nil)
	e.Lifecycle = "{"
	e.Encryption = &ecr.Encryption{Type: "KMS", KMSKey: "alias/images"}
	var stacks *importer.StackError
	if _, err := importer.Write(observed(a, b), importer.Options{}); !errors.As(err, &stacks) || !slices.Equal(stacks.Stacks, []string{"one", "two"}) {
		t.Errorf("two stacks: %v", err)
	}
	got := write(t, observed(a, b, c, d, e), importer.Options{Stack: "one"})
	want := `stack: one
registries:
  - name: prod
    account: "111111111111"
    region: us-east-1
ecr_repositories:
  aa:
    expire_untagged_after_days: never
    delete_protection: false
  cc:
    expire_untagged_after_days: never
    tags: {team: web}
`
	if d := cmp.Diff(want, bare(got.Text)); d != "" {
		t.Error(d)
	}
	var notices []string
	for _, n := range got.Notices {
		notices = append(notices, n.String())
	}
	for i, begins := range []string{"repository bb: left out: owned by stack two", "repository cc: CloudFormation manages it, in stack net", `repository dd: left out: `, "repository ee: left out: the lifecycle policy cannot be read"} {
		if len(notices) != 4 || !strings.HasPrefix(notices[i], begins) {
			t.Errorf("%d: %q", i, notices)
		}
	}
	if s := (importer.Notice{Repositories: []ecr.RepositoryName{"a", "b", "c", "d", "e"}, Message: "m"}).String(); s != "a, b, c and 2 more repositories: m" {
		t.Error(s)
	}
}
