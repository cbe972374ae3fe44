package spec_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/lifecycle"
)

// file draws the content of a valid file, as values for any encoder.
func file(t *rapid.T) map[string]any {
	f := map[string]any{}
	if rapid.Bool().Draw(t, "named") {
		f["stack"] = rapid.StringMatching(`[a-zA-Z0-9é_.:/=+@-]{1,20}`).Draw(t, "stack")
	}
	if rapid.Bool().Draw(t, "registries") {
		var list []any
		for i, region := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"us-east-1", "eu-west-3", "cn-north-1", "us-gov-east-1"}), 1, 4, rapid.ID).Draw(t, "regions") {
			list = append(list, map[string]any{"name": fmt.Sprint("r", i), "account": account().Draw(t, "account"), "region": region})
		}
		f["registries"] = list
	}
	if rapid.Bool().Draw(t, "defaults") {
		f["defaults"] = settings(t)
	}
	if list, ok := f["registries"].([]any); ok && rapid.Bool().Draw(t, "cluster") {
		f["clusters"] = []any{map[string]any{"name": "apps", "account": account().Draw(t, "account"), "region": list[0].(map[string]any)["region"]}}
		f["plan"] = map[string]any{"max_expire": "10%"}
	}
	repos := map[string]any{}
	for _, name := range rapid.SliceOfN(rapid.StringMatching(`[a-z0-9]{2}([._/-][a-z0-9]{1,4}){0,3}`), 0, 6).Draw(t, "names") {
		repos[name] = settings(t)
	}
	f["ecr_repositories"] = repos
	return f
}

func account() *rapid.Generator[string] { return rapid.StringMatching(`[0-9]{12}`) }

func settings(t *rapid.T) map[string]any {
	s := map[string]any{}
	maybe := func(field string, draw func() any) {
		if rapid.IntRange(0, 2).Draw(t, field+"?") == 0 {
			s[field] = draw()
		}
	}
	accounts := func() any { return rapid.SliceOfNDistinct(account(), 0, 20, rapid.ID).Draw(t, "accounts") }
	maybe("is_immutable", func() any { return rapid.Bool().Draw(t, "immutable") })
	maybe("expire_all_images", func() any {
		all := rapid.Bool().Draw(t, "all")
		if all {
			maybe("expire_all_after_days", func() any { return rapid.IntRange(1, 4000).Draw(t, "all days") })
		}
		return all
	})
	maybe("expiration_rules", func() any {
		rules := []any{}
		pattern := rapid.StringMatching(`[a-zA-Z0-9_][a-zA-Z0-9._-]{0,30}(\*[a-z0-9]{0,3}){0,4}`)
		for _, p := range rapid.SliceOfNDistinct(pattern, 0, 40, rapid.ID).Draw(t, "patterns") {
			field := rapid.SampledFrom([]string{"days", "keep_last"}).Draw(t, "field")
			rules = append(rules, map[string]any{"tag_pattern": p, field: rapid.IntRange(1, 4000).Draw(t, "number")})
		}
		return rules
	})
	maybe("keep", func() any {
		// a hyphen first, as no pattern of a rule has
		pattern := rapid.StringMatching(`-[a-zA-Z0-9._-]{0,30}(\*[a-z0-9]{0,3}){0,4}`)
		return rapid.SliceOfNDistinct(pattern, 0, 8, rapid.ID).Draw(t, "keep")
	})
	if s["expire_all_images"] != true {
		maybe("keep_last_images", func() any {
			if rapid.Bool().Draw(t, "all") {
				return "all"
			}
			return rapid.IntRange(1, 4000).Draw(t, "images")
		})
	}
	maybe("keep_last_untagged", func() any { return rapid.IntRange(1, 4000).Draw(t, "untagged images") })
	untagged := func() any {
		if rapid.Bool().Draw(t, "never") {
			return "never"
		}
		return rapid.IntRange(1, 4000).Draw(t, "untagged days")
	}
	if s["keep_last_untagged"] == nil {
		maybe("expire_untagged_after_days", untagged)
	}
	document := func() any {
		p := lifecycle.Policy{Rules: []lifecycle.Rule{{
			Priority:    rapid.IntRange(1, 1000).Draw(t, "priority"),
			Description: rapid.StringN(0, 50, -1).Draw(t, "description"),
			Selection:   lifecycle.Selection{TagStatus: lifecycle.Any, CountType: lifecycle.ImageCountMoreThan, CountNumber: rapid.IntRange(1, 9999).Draw(t, "count")},
			Action:      lifecycle.Action{Type: lifecycle.Expire},
		}}}
		if rapid.Bool().Draw(t, "as text") {
			return p.String()
		}
		var m map[string]any
		if err := json.Unmarshal([]byte(p.String()), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	if s["keep"] == nil && s["expire_untagged_after_days"] == nil && s["expire_all_after_days"] == nil && s["keep_last_untagged"] == nil && s["keep_last_images"] == nil {
		maybe("lifecycle_policy_json", document)
	}
	maybe("additional_pull_account_ids", accounts)
	maybe("additional_push_account_ids", accounts)
	maybe("pull_organization_ids", func() any {
		return rapid.SliceOfNDistinct(rapid.StringMatching(`o-[a-z0-9]{10,32}`), 0, 3, rapid.ID).Draw(t, "organizations")
	})
	maybe("push_principals", func() any {
		return []any{map[string]any{"service": "codebuild.amazonaws.com", "source_account": account().Draw(t, "source")}}
	})
	maybe("extra_policy_statements", func() any {
		return []any{map[string]any{"Effect": "Deny", "Principal": "*", "Action": []any{"ecr:DeleteRepository"}}}
	})
	exclusions := func() any {
		return rapid.SliceOfNDistinct(rapid.StringMatching(`[a-zA-Z0-9._-]{1,8}(\*[a-z]{0,3}){0,2}`), 0, 5, rapid.ID).Draw(t, "exclusions")
	}
	if s["is_immutable"] == true {
		maybe("mutable_tags", exclusions)
	} else if s["is_immutable"] == false {
		maybe("immutable_tags", exclusions)
	}
	maybe("scan_on_push", func() any { return rapid.Bool().Draw(t, "scan") })
	maybe("delete_protection", func() any { return rapid.Bool().Draw(t, "protection") })
	maybe("encryption", func() any { return map[string]any{"type": "KMS", "kms_key": "alias/images"} })
	maybe("tags", func() any {
		return rapid.MapOfN(rapid.StringMatching(`[b-j][a-zA-Z0-9 é_.:/=+@-]{0,20}`), rapid.StringMatching(`[a-zA-Z0-9é_.:/=+@-]{0,20}`), 0, 5).Draw(t, "tags")
	})
	return s
}

// Whatever a valid file says, its documents are valid, and saying it again
// gives the same.
func TestValidFilesCompile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		content := file(t)
		asJSON, err := json.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		src := spec.Source{Name: "k.json", Data: asJSON}
		f, notices, err := spec.Load(src)
		if err != nil {
			t.Fatalf("%v\n%s", err, asJSON)
		}
		d := f.Desired(local)
		checkDocuments(t, d)
		again, notices2, err := spec.Load(src)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(show(d, notices), show(again.Desired(local), notices2)); diff != "" {
			t.Errorf("loaded twice: %s", diff)
		}
	})
}

// block writes v as YAML in block style, texts in double quotes.
func block(t *rapid.T, b *strings.Builder, v any, indent string) {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 {
			b.WriteString(" {}\n")
			return
		}
		b.WriteString("\n")
		for _, k := range slices.Sorted(maps.Keys(v)) {
			fmt.Fprintf(b, "%s%s:", indent, scalar(t, k))
			block(t, b, v[k], indent+"  ")
		}
	case []any:
		if len(v) == 0 {
			b.WriteString(" []\n")
			return
		}
		b.WriteString("\n")
		for _, item := range v {
			b.WriteString(indent + "-")
			block(t, b, item, indent+"  ")
		}
	default:
		b.WriteString(" " + scalar(t, v) + "\n")
	}
}

func scalar(t *rapid.T, v any) string {
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// hcl writes v as HCL.
func hcl(t *rapid.T, b *strings.Builder, v any, indent string) {
	switch v := v.(type) {
	case map[string]any:
		b.WriteString("{\n")
		for _, k := range slices.Sorted(maps.Keys(v)) {
			fmt.Fprintf(b, "%s  %s = ", indent, hclText(t, k))
			hcl(t, b, v[k], indent+"  ")
			b.WriteString("\n")
		}
		b.WriteString(indent + "}")
	case []any:
		b.WriteString("[")
		for _, item := range v {
			hcl(t, b, item, indent)
			b.WriteString(", ")
		}
		b.WriteString("]")
	case string:
		b.WriteString(hclText(t, v))
	default:
		b.WriteString(scalar(t, v))
	}
}

func hclText(t *rapid.T, s string) string {
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(scalar(t, s))
}

// The languages say the same. Places apart, so do their settings.
func TestLanguagesAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		asJSON, err := json.Marshal(file(t))
		if err != nil {
			t.Fatal(err)
		}
		d := json.NewDecoder(bytes.NewReader(asJSON))
		d.UseNumber()
		var content any
		if err := d.Decode(&content); err != nil {
			t.Fatal(err)
		}
		var asYAML strings.Builder
		block(t, &asYAML, content, "")
		var asHCL strings.Builder
		for name, v := range content.(map[string]any) {
			asHCL.WriteString(name + " = ")
			hcl(t, &asHCL, v, "")
			asHCL.WriteString("\n")
		}
		sources := []spec.Source{
			{Name: "k.json", Data: asJSON}, {Name: "flow.yaml", Data: asJSON}, {Name: "block.yaml", Data: []byte(asYAML.String())},
		}
		// HCL brings texts into Unicode's form C, which those of Latin have.
		if !bytes.ContainsFunc(asJSON, func(c rune) bool { return c > 0xff }) {
			sources = append(sources, spec.Source{Name: "k.tfvars", Data: []byte(asHCL.String())})
		}
		var got []state.Desired
		for _, src := range sources {
			f, _, err := spec.Load(src)
			if err != nil {
				t.Fatalf("%v\n%s", err, src.Data)
			}
			d := f.Desired(local)
			for _, rs := range d.ByTarget {
				for i := range rs {
					rs[i].Origins = state.Origins{}
				}
			}
			for i := range d.Repositories {
				d.Repositories[i].Origins = state.Origins{}
			}
			for i := range d.Clusters {
				d.Clusters[i].Origin = state.Origin{}
			}
			if d.MaxExpire != nil {
				d.MaxExpire.Origin = state.Origin{}
			}
			got = append(got, d)
		}
		for i, other := range got[1:] {
			if diff := cmp.Diff(got[0], other); diff != "" {
				t.Errorf("%s\n%s", diff, sources[i+1].Data)
			}
		}
	})
}

// What a repository is in a registry with overrides, it is with these fields
// in place of its own; elsewhere overrides change nothing.
func TestOverridesReplace(t *testing.T) {
	registries := []any{
		map[string]any{"name": "us", "account": "111111111111", "region": "us-east-1"},
		map[string]any{"name": "eu", "account": "111111111111", "region": "eu-west-1"},
	}
	rapid.Check(t, func(t *rapid.T) {
		own, other, defaults := settings(t), settings(t), settings(t)
		load := func(repo map[string]any) (state.Desired, bool) {
			text, err := json.Marshal(map[string]any{"registries": registries, "defaults": defaults, "ecr_repositories": map[string]any{"app": repo}})
			if err != nil {
				t.Fatal(err)
			}
			f, _, err := spec.Load(spec.Source{Name: "k.json", Data: text})
			if err != nil {
				return state.Desired{}, false // fields that do not go together
			}
			return f.Desired(local), true
		}
		flat := maps.Clone(own)
		document := false
		for k, v := range other {
			flat[k] = v
			document = document || k == "lifecycle_policy_json"
		}
		if !document {
			for k := range other {
				if slices.Contains([]string{"keep", "expire_untagged_after_days", "expiration_rules", "expire_all_images", "expire_all_after_days", "keep_last_untagged", "keep_last_images"}, k) {
					delete(flat, "lifecycle_policy_json")
				}
			}
		}
		with := maps.Clone(own)
		with["overrides"] = map[string]any{"us": other}
		got, ok := load(with)
		plain, ok2 := load(own)
		want, ok3 := load(flat)
		if !ok || !ok2 || !ok3 {
			return
		}
		same := func(place string, want, got state.Desired, target int) {
			a, b := want.For(want.Targets[target]).Repositories[0], got.For(got.Targets[target]).Repositories[0]
			a.Origins, b.Origins = state.Origins{}, state.Origins{}
			if diff := cmp.Diff(a, b); diff != "" {
				t.Errorf("%s: %s", place, diff)
			}
		}
		same("with overrides", want, got, 0)
		same("without", plain, got, 1)
	})
}

// A file in any layout is formatted, and means the same.
func TestFormatOfAnyLayout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		asJSON, err := json.Marshal(file(t))
		if err != nil {
			t.Fatal(err)
		}
		d := json.NewDecoder(bytes.NewReader(asJSON))
		d.UseNumber()
		var content any
		if err := d.Decode(&content); err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		loose(t, &b, content, 0)
		src := spec.Source{Name: "k.yaml", Data: []byte(b.String())}
		f, _, err := spec.Load(src)
		if err != nil {
			t.Fatalf("%v\n%s", err, src.Data)
		}
		out, err := lang.Format(src)
		if err != nil {
			t.Fatalf("%v\n%s", err, src.Data)
		}
		for i, line := range strings.Split(string(out), "\n") {
			bare := strings.TrimLeft(line, " ")
			if (len(line)-len(bare))%2 != 0 || strings.TrimRight(line, " ") != line {
				t.Errorf("line %d: %q", i+1, line)
			}
		}
		g, _, err := spec.Load(spec.Source{Name: "k.yaml", Data: out})
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		places := func(s string) string { return regexp.MustCompile(`k\.yaml:[0-9]+:[0-9]+`).ReplaceAllString(s, "") }
		if diff := cmp.Diff(places(show(f.Desired(local), nil)), places(show(g.Desired(local), nil))); diff != "" {
			t.Error(diff)
		}
		if n := strings.Count(b.String(), "# c"); n != strings.Count(string(out), "# c") {
			t.Errorf("%d comments\n%s\n%s", n, b.String(), out)
		}
		again, err := lang.Format(spec.Source{Name: "k.yaml", Data: out})
		if err != nil || !bytes.Equal(again, out) {
			t.Errorf("formatted again: %v\n%s", err, cmp.Diff(string(out), string(again)))
		}
	})
}

// So are JSON and HCL, of which HCL has comments.
func TestFormatOfAnyLayoutInOtherLanguages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		content := file(t)
		asJSON, err := json.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		d := json.NewDecoder(bytes.NewReader(asJSON))
		d.UseNumber()
		var values any
		if err := d.Decode(&values); err != nil {
			t.Fatal(err)
		}
		space := func() string {
			return rapid.SampledFrom([]string{"", " ", "\n", "\t \n\n\n"}).Draw(t, "space")
		}
		var loose bytes.Buffer
		if err := json.Indent(&loose, asJSON, strings.Repeat(" ", rapid.IntRange(0, 3).Draw(t, "prefix")), rapid.SampledFrom([]string{"", "\t", "   "}).Draw(t, "indent")); err != nil {
			t.Fatal(err)
		}
		comments := 0
		comment := func(forms ...string) string {
			form := rapid.SampledFrom(append([]string{""}, forms...)).Draw(t, "comment")
			comments += strings.Count(form, "c0mment")
			return form
		}
		var asHCL strings.Builder
		for _, name := range slices.Sorted(maps.Keys(values.(map[string]any))) {
			asHCL.WriteString(comment("# c0mment\n", "  // c0mment\n", "/* c0mment\n   c0mment */\n") + name + strings.Repeat(" ", rapid.IntRange(0, 3).Draw(t, "gap")) + "=")
			var value strings.Builder
			hcl(t, &value, values.(map[string]any)[name], strings.Repeat(" ", rapid.IntRange(0, 5).Draw(t, "indent")))
			lines := strings.SplitAfter(value.String(), "\n")
			for i, line := range lines {
				if i < len(lines)-1 && rapid.IntRange(0, 5).Draw(t, "more") == 0 {
					line = strings.TrimSuffix(line, "\n") + comment("   # c0mment", " // c0mment", " /* c0mment */") + "\n"
				}
				asHCL.WriteString(line)
			}
			asHCL.WriteString(comment(" # c0mment") + "\n" + strings.ReplaceAll(space(), "\t", ""))
		}
		sources := []spec.Source{{Name: "k.json", Data: append([]byte(space()), append(loose.Bytes(), space()...)...)}}
		if !bytes.ContainsFunc(asJSON, func(c rune) bool { return c > 0xff }) { // as in TestLanguagesAgree
			sources = append(sources, spec.Source{Name: "k.hcl", Data: []byte(asHCL.String())})
		}
		for _, src := range sources {
			places := func(s string) string {
				return regexp.MustCompile(regexp.QuoteMeta(src.Name)+`:[0-9]+:[0-9]+`).ReplaceAllString(s, "")
			}
			f, _, err := spec.Load(src)
			if err != nil {
				t.Fatalf("%v\n%s", err, src.Data)
			}
			out, err := lang.Format(src)
			if err != nil {
				t.Fatalf("%v\n%s", err, src.Data)
			}
			g, _, err := spec.Load(spec.Source{Name: src.Name, Data: out})
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if diff := cmp.Diff(places(show(f.Desired(local), nil)), places(show(g.Desired(local), nil))); diff != "" {
				t.Error(diff)
			}
			if n := bytes.Count(out, []byte("c0mment")); src.Name == "k.hcl" && n != comments {
				t.Errorf("%d comments of %d\n%s\n%s", n, comments, src.Data, out)
			}
			again, err := lang.Format(spec.Source{Name: src.Name, Data: out})
			if err != nil || !bytes.Equal(again, out) {
				t.Errorf("formatted again: %v\n%s", err, cmp.Diff(string(out), string(again)))
			}
		}
	})
}

// loose writes v as YAML in block style, with indents, spaces, comments and
// blank lines as they come.
func loose(t *rapid.T, b *strings.Builder, v any, indent int) {
	pad := strings.Repeat(" ", indent)
	line := func() {
		b.WriteString(rapid.SampledFrom([]string{"", "", "  # c"}).Draw(t, "end") + rapid.SampledFrom([]string{"\n", "\n", "   \n", "\n\n\n", "\n" + pad + "# c\n"}).Draw(t, "line"))
	}
	space := func() { b.WriteString(strings.Repeat(" ", rapid.IntRange(1, 3).Draw(t, "space"))) }
	deeper := func(least int) int { return indent + rapid.IntRange(least, 5).Draw(t, "indent") }
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 {
			space()
			b.WriteString("{}")
			line()
			return
		}
		if indent > 0 {
			line()
		}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			b.WriteString(pad + scalar(t, k) + ":")
			_, isList := v[k].([]any)
			least := 1
			if isList {
				least = 0
			}
			loose(t, b, v[k], max(deeper(least), 0))
		}
	case []any:
		if len(v) == 0 {
			space()
			b.WriteString("[]")
			line()
			return
		}
		line()
		for _, item := range v {
			b.WriteString(pad + "-")
			loose(t, b, item, deeper(1))
		}
	default:
		space()
		b.WriteString(scalar(t, v))
		line()
	}
}

// A pull-only account is in the pull statement alone, a pushing account in the
// push statement alone, and no other account is in any.
func TestGrants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		few := rapid.SampledFrom([]string{"111111111111", "222222222222", "333333333333", "444444444444"})
		pull := rapid.SliceOfDistinct(few, rapid.ID).Draw(t, "pull")
		push := rapid.SliceOfDistinct(few, rapid.ID).Draw(t, "push")
		text, err := json.Marshal(map[string]any{"ecr_repositories": map[string]any{"app": map[string]any{
			"additional_pull_account_ids": pull, "additional_push_account_ids": push,
		}}})
		if err != nil {
			t.Fatal(err)
		}
		f, _, err := spec.Load(spec.Source{Name: "k.json", Data: text})
		if err != nil {
			t.Fatal(err)
		}
		r := f.Desired(ecr.RegistryID{Account: "999999999999", Region: "us-east-1"}).Repositories[0]
		got := grantees(t, r.Policy)
		want := map[string][]string{}
		for _, id := range pull {
			want["arn:aws:iam::"+id+":root"] = []string{spec.SidPull}
		}
		for _, id := range push {
			want["arn:aws:iam::"+id+":root"] = []string{spec.SidPush}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}
