package foreign

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// The modules that are known, by what their sources contain. Each makes the
// resources that the module makes of the same inputs, in its latest version:
// terraform-aws-modules/ecr 3.2, cloudposse/ecr 1.0, lgallard/ecr 2.1, and Panfactum's
// aws_ecr_repos.
func knownModules() []knownModule {
	return []knownModule{
		{regexp.MustCompile(`(^|/)terraform-aws-modules/(ecr/aws|terraform-aws-ecr(\.git)?)([?]|$)`), "terraform-aws-modules/ecr", (*call).terraformAWSModules},
		{regexp.MustCompile(`(^|/)cloudposse/(ecr/aws|terraform-aws-ecr(\.git)?)([?]|$)`), "cloudposse/ecr", (*call).cloudPosse},
		{regexp.MustCompile(`(^|/)lgallard/(ecr/aws|terraform-aws-ecr(\.git)?)([?]|$)`), "lgallard/ecr", (*call).lgallard},
		{regexp.MustCompile(`(^|/)aws_ecr_repos([?]|$)`), "Panfactum aws_ecr_repos", (*call).panfactum},
	}
}

type knownModule struct {
	source *regexp.Regexp
	name   string
	expand func(c *call)
}

// aboutECR is what the sources of modules contain that may make repositories.
var aboutECR = regexp.MustCompile(`(?i)(^|[^a-z])ecr([^a-z]|$)`)

// call reads a module block.
func (m *module) call(b *hclsyntax.Block) {
	address, place := "module."+b.Labels[0], at(b.TypeRange)
	a := b.Body.Attributes["source"]
	if a == nil {
		return
	}
	v, bad := m.eval(a.Expr, nil)
	source := ""
	if bad == nil {
		if p, err := plainValue(v); err == nil {
			source, _ = p.(string)
		}
	}
	i := slices.IndexFunc(knownModules(), func(k knownModule) bool { return k.source.MatchString(source) })
	if i < 0 {
		if aboutECR.MatchString(source) || source == "" && aboutECR.MatchString(b.Labels[0]) {
			m.findf(place, "%s: this module is not known, so its repositories are not read: use terraform show -json", address)
		}
		return
	}
	of := knownModules()[i]
	scopes, keys, bad := m.instances(b)
	if bad != nil {
		m.findf(bad.Position, "%s: %s; it is not read", address, bad.Message)
		return
	}
	for i, s := range scopes {
		of.expand(&call{module: m, block: b, scope: s, address: address + keys[i], at: place, tool: of.name})
	}
}

// call is one instance of a module.
type call struct {
	*module
	block   *hclsyntax.Block
	scope   scope
	address string
	at      state.Position
	tool    string
	bad     *Finding // the first input that was asked for and is not known
}

// input is the value of an input, as encoding/json would have it; nil when it is not
// set.
func (c *call) input(name string) any {
	a := c.block.Body.Attributes[name]
	if a == nil {
		return nil
	}
	v, bad := c.eval(a.Expr, c.scope)
	if bad == nil {
		p, err := plainValue(v)
		if err == nil {
			return p
		}
		bad = &Finding{at(a.Expr.Range()), err.Error()}
	}
	if c.bad == nil {
		c.bad = &Finding{bad.Position, name + ": " + bad.Message}
	}
	return nil
}

func (c *call) str(name, def string) string {
	if s, ok := scalar(c.input(name)); ok {
		return s
	}
	return def
}

func (c *call) flag(name string, def bool) bool {
	if b, ok := boolean(c.input(name)); ok {
		return b
	}
	return def
}

// strings are those of a list or set.
func (c *call) strings(name string) []string {
	list, _ := c.input(name).([]any)
	var out []string
	for _, v := range list {
		if s, ok := scalar(v); ok {
			out = append(out, s)
		}
	}
	return out
}

// since runs what asks for inputs, and returns the first that is not known.
func (c *call) since(f func()) *Finding {
	c.bad = nil
	f()
	return c.bad
}

// repository is a repository of the module, with the inputs that say its settings.
func (c *call) repository(name string) *resource {
	x := &resource{
		kind: repositoryType, at: c.at, name: c.address, module: c.tool,
		values: map[string]any{"name": name}, unknown: map[string]Finding{},
	}
	in := c.opts.Registry
	if c.block.Body.Attributes["providers"] != nil {
		x.provider = c.address // another registry than that of other modules, perhaps
	} else {
		x.values["region"] = string(in.Region)
	}
	x.values["registry_id"] = string(in.Account)
	return x
}

// set sets an attribute of a resource to what f makes of inputs.
func (c *call) set(x *resource, attribute string, f func() any) {
	var v any
	if bad := c.since(func() { v = f() }); bad != nil {
		x.unknown[attribute] = *bad
	} else if v != nil {
		x.values[attribute] = v
	}
}

// document takes a policy for a repository that f makes of inputs: "" for none.
func (c *call) document(kind string, of *resource, f func() string) {
	x := resource{
		kind: kind, at: c.at, name: c.address, provider: of.provider, module: c.tool,
		values: map[string]any{"repository": of.values["name"], "region": of.values["region"], "registry_id": of.values["registry_id"]}, unknown: map[string]Finding{},
	}
	var text string
	if bad := c.since(func() { text = f() }); bad != nil {
		x.unknown["policy"] = *bad
	} else if text == "" {
		return
	}
	x.values["policy"] = text
	c.take(x)
}

// one is a module that makes one repository, whose name is an input. It returns nil
// when the name is not known.
func (c *call) one(input string) *resource {
	var name string
	if bad := c.since(func() { name = c.str(input, "") }); bad != nil {
		c.findf(bad.Position, "%s: %s; the repository is left out", c.address, bad.Message)
		return nil
	}
	return c.repository(name)
}

// replication takes the replication of the registry, whose rules have the names of inputs.
func (c *call) replication(rules func() []map[string]any) {
	x := c.repository("")
	x.kind = replicationType
	delete(x.values, "name")
	c.set(x, "replication_configuration", func() any {
		list := []any{}
		for _, r := range rules() {
			list = append(list, map[string]any{"destination": r["destinations"], "repository_filter": r["repository_filters"]})
		}
		return map[string]any{"rule": list}
	})
	c.take(*x)
}

// root is the ARN of the registry's own account, and whether it is known.
func (c *call) root() (string, bool) {
	in := c.opts.Registry
	return ecr.IAMARN(in.Region.Partition(), in.Account, "root"), in.Account != "" && in.Region != ""
}

func allow(sid string, principal any, actions ...string) map[string]any {
	out := map[string]any{"Effect": "Allow", "Principal": principal, "Action": actions}
	if sid != "" {
		out["Sid"] = sid
	}
	return out
}

func policyOf(statements []any) string {
	if len(statements) == 0 {
		return ""
	}
	return encoded(map[string]any{"Version": "2012-10-17", "Statement": statements})
}

func rulesOf(rules []any) string {
	if len(rules) == 0 {
		return ""
	}
	return encoded(map[string]any{"rules": rules})
}

// rule is a rule that expires images.
func rule(priority int, selection map[string]any) map[string]any {
	return map[string]any{"rulePriority": priority, "selection": selection, "action": map[string]any{"type": "expire"}}
}

func byCount(status string, n any) map[string]any {
	return map[string]any{"tagStatus": status, "countType": "imageCountMoreThan", "countNumber": n}
}

func byAge(status string, days any) map[string]any {
	return map[string]any{"tagStatus": status, "countType": "sinceImagePushed", "countUnit": "days", "countNumber": days}
}

var readActions = []string{
	"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:DescribeImageScanFindings", "ecr:DescribeImages", "ecr:DescribeRepositories",
	"ecr:GetDownloadUrlForLayer", "ecr:GetLifecyclePolicy", "ecr:GetLifecyclePolicyPreview", "ecr:GetRepositoryPolicy", "ecr:ListImages", "ecr:ListTagsForResource",
}

func (c *call) terraformAWSModules() {
	var kind string
	var made bool
	if bad := c.since(func() {
		kind, made = c.str("repository_type", "private"), c.flag("create", true) && c.flag("create_repository", true)
	}); bad != nil {
		c.findf(bad.Position, "%s: %s; it is not read", c.address, bad.Message)
		return
	}
	var copies bool
	if bad := c.since(func() { copies = c.flag("create", true) && c.flag("create_registry_replication_configuration", false) }); bad != nil {
		c.findf(bad.Position, "%s: %s; the replication is left out", c.address, bad.Message)
	} else if copies {
		c.replication(func() []map[string]any { return objects(c.input("registry_replication_rules")) })
	}
	switch {
	case !made:
		return
	case kind != "private":
		c.findf(c.at, "%s: public repositories are not read", c.address)
		return
	}
	x := c.one("repository_name")
	if x == nil {
		return
	}
	c.set(x, "region", func() any { return cmp.Or(c.str("region", ""), string(c.opts.Registry.Region)) })
	c.set(x, "image_tag_mutability", func() any { return c.str("repository_image_tag_mutability", "IMMUTABLE") })
	c.set(x, "image_tag_mutability_exclusion_filter", func() any { return c.input("repository_image_tag_mutability_exclusion_filter") })
	c.set(x, "image_scanning_configuration", func() any {
		return map[string]any{"scan_on_push": c.flag("repository_image_scan_on_push", true)}
	})
	c.set(x, "encryption_configuration", func() any {
		return map[string]any{"encryption_type": c.str("repository_encryption_type", "AES256"), "kms_key": c.input("repository_kms_key")}
	})
	c.set(x, "tags", func() any { return c.input("tags") })
	c.take(*x)
	c.document(policyType, x, func() string {
		if !c.flag("attach_repository_policy", true) {
			return ""
		}
		if !c.flag("create_repository_policy", true) {
			return c.str("repository_policy", "")
		}
		push := c.strings("repository_read_write_access_arns")
		var statements []any
		principals := slices.Concat(c.strings("repository_read_access_arns"), push)
		if root, ok := c.root(); len(principals) == 0 && ok {
			principals = []string{root}
		}
		// Without a registry, the statement for the own account is left out: it has no
		// effect.
		if len(principals) > 0 {
			statements = append(statements, allow("PrivateReadOnly", map[string]any{"AWS": principals}, append([]string{"ecr:GetAuthorizationToken"}, readActions...)...))
		}
		if arns := c.strings("repository_lambda_read_access_arns"); len(arns) > 0 {
			s := allow("PrivateLambdaReadOnly", map[string]any{"Service": "lambda.amazonaws.com"}, "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
			s["Condition"] = map[string]any{"StringLike": map[string]any{"aws:sourceArn": arns}}
			statements = append(statements, s)
		}
		if len(push) > 0 {
			statements = append(statements, allow("ReadWrite", map[string]any{"AWS": push}, "ecr:PutImage", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload"))
		}
		return policyOf(append(statements, c.statements("repository_policy_statements")...))
	})
	c.document(lifecycleType, x, func() string {
		if !c.flag("create_lifecycle_policy", true) {
			return ""
		}
		return c.str("repository_lifecycle_policy", "")
	})
	for _, input := range []string{"create_registry_policy", "manage_registry_scanning_configuration"} {
		if c.flag(input, false) {
			c.findf(c.at, "%s: settings of registries are not read (%s)", c.address, input)
		}
	}
}

// statements are those of an input that has them as aws_iam_policy_document has.
func (c *call) statements(input string) []any {
	var list []any
	switch v := c.input(input).(type) {
	case []any:
		list = v
	case map[string]any:
		for _, key := range sorted(v) {
			list = append(list, v[key])
		}
	}
	var out []any
	for _, s := range list {
		if m, ok := s.(map[string]any); ok {
			out = append(out, iamStatement(m))
		}
	}
	return out
}

func sorted(m map[string]any) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// lgallardTemplates are the values of lifecycle_policy_template: images to keep,
// days of untagged and of all images, and prefixes.
var lgallardTemplates = map[string]struct {
	keep, untagged, all int
	prefixes            []string
}{
	"development":       {50, 7, 0, []string{"dev", "feature"}},
	"production":        {100, 14, 90, []string{"v", "release", "prod"}},
	"cost_optimization": {10, 3, 30, nil},
	"compliance":        {200, 30, 365, []string{"v", "release", "audit"}},
}

func (c *call) lgallard() {
	x := c.one("name")
	if x == nil {
		return
	}
	c.set(x, "image_tag_mutability", func() any { return c.str("image_tag_mutability", "MUTABLE") })
	c.set(x, "image_tag_mutability_exclusion_filter", func() any { return c.input("image_tag_mutability_exclusion_filters") })
	c.set(x, "image_scanning_configuration", func() any {
		scan := c.flag("scan_on_push", true)
		if m, ok := c.input("image_scanning_configuration").(map[string]any); ok {
			if b, ok := boolean(m["scan_on_push"]); ok {
				scan = b
			}
		}
		return map[string]any{"scan_on_push": scan}
	})
	c.set(x, "encryption_configuration", func() any {
		kind, key := c.str("encryption_type", "AES256"), c.str("kms_key", "")
		if kind == "KMS" && key == "" && c.bad == nil {
			c.bad = &Finding{c.at, "the module makes the key"}
		}
		return map[string]any{"encryption_type": kind, "kms_key": key}
	})
	c.set(x, "tags", func() any { return c.input("tags") })
	c.take(*x)
	c.document(policyType, x, func() string {
		if text := c.str("policy", ""); text != "" {
			return text
		}
		if c.flag("enable_pull_request_rules", false) && c.bad == nil {
			c.bad = &Finding{c.at, "enable_pull_request_rules: the policy that it makes is not read"}
		}
		return ""
	})
	c.document(lifecycleType, x, func() string {
		if text := c.str("lifecycle_policy", ""); text != "" {
			return text
		}
		keep, untagged, all := c.input("lifecycle_keep_latest_n_images"), c.input("lifecycle_expire_untagged_after_days"), c.input("lifecycle_expire_tagged_after_days")
		prefixes := c.strings("lifecycle_tag_prefixes_to_keep")
		if name := c.str("lifecycle_policy_template", ""); name != "" {
			t, ok := lgallardTemplates[name]
			if !ok && c.bad == nil {
				c.bad = &Finding{c.at, "lifecycle_policy_template: " + lang.Clip(name) + " is not known"}
			}
			keep, untagged, all, prefixes = t.keep, t.untagged, nil, t.prefixes
			if t.all > 0 {
				all = t.all
			}
		}
		var rules []any
		if untagged != nil {
			rules = append(rules, rule(1, byAge("untagged", untagged)))
		}
		if keep != nil {
			s := byCount("any", keep)
			if len(prefixes) > 0 {
				s["tagStatus"], s["tagPrefixList"] = "tagged", prefixes
			}
			rules = append(rules, rule(2, s))
		}
		if all != nil {
			rules = append(rules, rule(3, byAge("any", all)))
		}
		return rulesOf(rules)
	})
}

// panfactum reads the inputs of aws_ecr_repos, which are fields of Kontor's file.
// Who may push gets the rights of Kontor's field, which are fewer: a finding says so.
func (c *call) panfactum() {
	var all map[string]any
	if bad := c.since(func() { all, _ = c.input("ecr_repositories").(map[string]any) }); bad != nil {
		c.findf(bad.Position, "%s: %s; its repositories are left out", c.address, bad.Message)
		return
	}
	if all == nil {
		c.findf(c.at, "%s: ecr_repositories is not set: its repositories are not read", c.address)
	}
	for _, name := range sorted(all) {
		in, _ := all[name].(map[string]any)
		x := c.repository(name)
		immutable, set := boolean(in["is_immutable"])
		x.values["image_tag_mutability"] = "MUTABLE"
		if immutable || !set {
			x.values["image_tag_mutability"] = "IMMUTABLE"
		}
		c.take(*x)
		c.document(lifecycleType, x, func() string {
			if text, ok := in["lifecycle_policy_json"].(string); ok {
				return text
			}
			rules := []any{rule(1, byCount("untagged", 3))}
			list, _ := in["expiration_rules"].([]any)
			for i, item := range list {
				m, _ := item.(map[string]any)
				s := byAge("tagged", m["days"])
				s["tagPatternList"] = []any{m["tag_pattern"]}
				rules = append(rules, rule(i+2, s))
			}
			if on, _ := boolean(in["expire_all_images"]); on {
				rules = append(rules, rule(100, byAge("any", 14)))
			}
			return rulesOf(rules)
		})
		grants := map[string]any{}
		for _, field := range []string{"additional_pull_account_ids", "additional_push_account_ids"} {
			if list, ok := in[field].([]any); ok && len(list) > 0 {
				grants[field] = list
			}
		}
		if grants["additional_push_account_ids"] != nil {
			c.findf(c.at, "%s: %s: the module lets accounts that push delete images and change policies too; the file lets them push and pull", c.address, name)
		}
		c.document(policyType, x, func() string { return c.granted(name, grants) })
	}
}

// granted is the repository policy that Kontor makes of fields.
func (c *call) granted(name string, fields map[string]any) string {
	text := encoded(map[string]any{"ecr_repositories": map[string]any{name: fields}})
	f, _, err := spec.Load(spec.Source{Name: "module.json", Data: []byte(text)})
	if err != nil {
		c.bad = &Finding{c.at, fmt.Sprintf("%s: %v", name, err)}
		return ""
	}
	in := c.opts.Registry
	if in.Account == "" || in.Region == "" {
		in = ecr.LocalRegistry()
	}
	for _, r := range f.Desired(in).Repositories {
		return r.Policy
	}
	return ""
}
