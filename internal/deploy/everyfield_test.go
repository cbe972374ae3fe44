package deploy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
	"github.com/kontor-registry/kontor/kontortest"
	"github.com/kontor-registry/kontor/policy"
)

// values of the fields of a repository. A value is used as it stands; one of
// each group goes with all of the others.
var fieldValues = map[string]map[string][]string{
	"tags in place": {
		"is_immutable": {"true", "false"},
	},
	"tags that move": {
		"is_immutable": {"true"}, "mutable_tags": {`[latest]`, `[latest, "main*"]`},
	},
	"tags that stay": {
		"is_immutable": {"false"}, "immutable_tags": {`["v*"]`, `["v*", release]`},
	},
	"rules": {
		"keep": {`["v*"]`, `["v*", "release-*"]`}, "expiration_rules": {`[{tag_pattern: "pr-*", days: 7}]`, `[{tag_pattern: "main-*", keep_last: 5}, {tag_pattern: "rc*", days: 7}]`},
		"expire_untagged_after_days": {"1", "30", "never"}, "expire_all_images": {"true"}, "expire_all_after_days": {"14", "90"},
	},
	"rules that count": {
		"keep_last_untagged": {"1", "5"}, "keep_last_images": {"1", "100", "all"},
	},
	"rules as they stand": {
		"lifecycle_policy_json": {
			`{rules: [{rulePriority: 7, description: "<old> & \"new\"", selection: {tagStatus: any, countType: imageCountMoreThan, countNumber: 3}, action: {type: expire}}]}`,
			`'{"rules":[{"action":{"type":"expire"},"rulePriority":2,"selection":{"tagStatus":"tagged","tagPrefixList":["b","a"],"countType":"sinceImagePushed","countUnit":"days","countNumber":9}}]}'`,
		},
	},
	"grants": {
		"additional_pull_account_ids": {"[]", `["333333333333"]`, `["555555555555", "333333333333"]`},
		"additional_push_account_ids": {`["444444444444", "333333333333"]`},
		"pull_organization_ids":       {`["o-a1b2c3d4e5"]`},
		"pull_principals":             {`["arn:aws:iam::666666666666:role/reader", {service: lambda.amazonaws.com, source_account: "777777777777"}]`},
		"push_principals":             {`[{service: codebuild.amazonaws.com, source_arn: "arn:aws:codebuild:us-east-1:777777777777:project/*"}]`},
		"extra_policy_statements":     {`[{Sid: Mine, Effect: Deny, Principal: "*", Action: "ecr:ReplicateImage", Condition: {Bool: {"aws:SecureTransport": false}}}]`},
	},
	"a policy as it stands": {
		"repository_policy_json": {
			`{Statement: {Effect: Allow, Principal: {AWS: "333333333333"}, Action: ["ecr:batchgetimage", "ecr:BatchGetImage"]}}`,
			`'{"Version":"2012-10-17","Statement":[{"Sid":"A","Effect":"Allow","Principal":"*","Action":"ecr:ListImages","Condition":{"StringEquals":{"aws:principalorgid":"o-a1b2c3d4e5"}}}]}'`,
		},
	},
	"settings": {
		"scan_on_push": {"true", "false"}, "delete_protection": {"true", "false"}, "tags": {"{}", `{team: "a b", "ü": ""}`},
		"encryption": {"{type: AES256}"}, "registries": {"[prod]"},
		"overrides": {`{prod: {tags: {team: override}}}`},
	},
}

// everyField draws a file of repositories with any of the fields.
func everyField(t *rapid.T, registries string) string {
	var b strings.Builder
	b.WriteString("stack: platform\n" + registries + "ecr_repositories:\n")
	one := func(groups ...string) map[string][]string {
		return fieldValues[rapid.SampledFrom(groups).Draw(t, "group")]
	}
	for _, n := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"api", "team/api", "web"}), 1, 3, rapid.ID).Draw(t, "names") {
		fmt.Fprintf(&b, "  %s:\n", n)
		lines := map[string]string{"tags": "{}"}
		for _, fields := range []map[string][]string{
			one("tags in place", "tags that move", "tags that stay"), one("rules", "rules as they stand"), one("grants", "a policy as it stands"), one("settings"),
		} {
			for _, f := range slices.Sorted(maps.Keys(fields)) {
				// what the others of its group are about is always there
				if needed := f == "is_immutable" && len(fields) > 1; needed || rapid.Bool().Draw(t, f) {
					lines[f] = rapid.SampledFrom(fields[f]).Draw(t, "value")
				}
			}
		}
		if lines["expire_all_images"] == "" {
			delete(lines, "expire_all_after_days")
		}
		for _, f := range slices.Sorted(maps.Keys(lines)) {
			fmt.Fprintf(&b, "    %s: %s\n", f, lines[f])
		}
	}
	return b.String()
}

// Every field of a repository is drawn by the test below.
func TestEveryFieldIsDrawn(t *testing.T) {
	drawn := map[string]bool{}
	for _, group := range fieldValues {
		for f := range group {
			drawn[f] = true
		}
	}
	for _, f := range fields.All() {
		if f.In == fields.Repository && !drawn[f.Name] {
			t.Errorf("%s is not drawn", f.ID())
		}
	}
}

// After a file was applied, a plan of it is empty; and so it is after the
// policies were written again in another form, as the console or another tool
// does.
func TestEveryFieldIsAppliedOnce(t *testing.T) {
	reg := kontortest.Start(t)
	conn := connect(t, reg)
	client := conn.API.(*ecr.Client)
	schema, err := jsonschema.NewCompiler().Compile("../../docs/plan.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	// fits holds a plan, as kontor plan --json writes it, against the published schema.
	fits := func(t *rapid.T, p plan.Plan) {
		b, err := json.Marshal(plan.Set{Version: plan.SetVersion, Stack: p.Stack, Files: []string{"kontor.yaml"}, Plans: []plan.Plan{p}})
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(doc); err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
	}
	registries := fmt.Sprintf("registries: [{name: prod, account: %q, region: %s, endpoint: %q}]\n", reg.Account, reg.Region, reg.URL)
	rapid.Check(t, func(rt *rapid.T) {
		wipe(rt, client)
		for range 2 {
			text := everyField(rt, registries)
			f, _, err := spec.Load(spec.Source{Name: "kontor.yaml", Data: []byte(text)})
			if err != nil {
				rt.Fatalf("%v\n%s", err, text)
			}
			d := f.Desired(conn.Target.Registry)
			plans := func() plan.Plan {
				o, err := deploy.Observe(background, conn.API, d.Targets[0], deploy.ScopeOf(d))
				if err != nil {
					rt.Fatalf("%v", err)
				}
				return plan.Diff(d, o)
			}
			first := plans()
			fits(rt, first)
			if r, err := deploy.Apply(background, conn.API, first, deploy.ApplyConfig{}); err != nil || !r.OK() {
				rt.Fatalf("%v, %+v\n%s", err, r, text)
			}
			if p := plans(); len(p.Pending()) > 0 || len(p.Errors()) > 0 {
				rt.Fatalf("a second plan has changes: %v, %v\n%s", pending(p), p.Errors(), text)
			}
			for _, r := range d.For(d.Targets[0]).Repositories {
				name := aws.String(string(r.Name))
				if r.Policy != "" {
					if _, err := client.SetRepositoryPolicy(background, &ecr.SetRepositoryPolicyInput{RepositoryName: name, PolicyText: aws.String(otherPolicy(rt, r.Policy)), Force: true}); err != nil {
						rt.Fatal(err)
					}
				}
				if r.Lifecycle != "" {
					var b bytes.Buffer
					if err := json.Indent(&b, []byte(r.Lifecycle), " ", "\t"); err != nil {
						rt.Fatal(err)
					}
					if _, err := client.PutLifecyclePolicy(background, &ecr.PutLifecyclePolicyInput{RepositoryName: name, LifecyclePolicyText: aws.String(strings.ReplaceAll(b.String(), "-", `\u002d`))}); err != nil {
						rt.Fatal(err)
					}
				}
			}
			if p := plans(); len(p.Pending()) > 0 || len(p.Errors()) > 0 {
				rt.Fatalf("a plan after other forms of the policies has changes: %v, %v\n%s", pending(p), p.Errors(), text)
			}
		}
	})
}

// otherPolicy writes a policy as someone else would.
func otherPolicy(t *rapid.T, text string) string {
	d, err := policy.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(d.Statements)
	for i := range d.Statements {
		s := &d.Statements[i]
		slices.Reverse(s.Action)
		for j, a := range s.Action {
			s.Action[j] = strings.ToLower(a)
		}
		if s.Principal.Everyone {
			s.Principal.Everyone, s.Principal.AWS = false, []string{"*"}
		}
		for j, p := range s.Principal.AWS {
			switch id := policy.AccountOf(p); {
			case id == p:
				s.Principal.AWS[j] = "arn:aws:iam::" + id + ":root"
			case id != "":
				s.Principal.AWS[j] = id
			}
		}
		s.Resource = []string{"*"}
	}
	if rapid.Bool().Draw(t, "pretty") {
		return d.Pretty()
	}
	return strings.ReplaceAll(d.String(), "/", `\/`)
}
