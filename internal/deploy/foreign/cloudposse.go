package foreign

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
)

var notInLabels = regexp.MustCompile(`[^-a-zA-Z0-9]`)

func (c *call) cloudPosse() {
	var names []string
	bad := c.since(func() {
		if !c.flag("enabled", true) {
			return
		}
		if names = c.strings("image_names"); len(names) == 0 {
			names = []string{c.label()}
		}
	})
	if bad != nil {
		c.findf(bad.Position, "%s: %s; its repositories are left out", c.address, bad.Message)
		return
	}
	for _, name := range names {
		x := c.repository(name)
		c.set(x, "image_tag_mutability", func() any { return c.str("image_tag_mutability", "IMMUTABLE") })
		c.set(x, "image_tag_mutability_exclusion_filter", func() any { return c.input("image_tag_mutability_exclusion_filter") })
		c.set(x, "image_scanning_configuration", func() any { return map[string]any{"scan_on_push": c.flag("scan_images_on_push", true)} })
		c.set(x, "encryption_configuration", func() any { return c.input("encryption_configuration") })
		c.set(x, "tags", func() any { return c.input("tags") })
		c.take(*x)
		c.document(lifecycleType, x, c.cloudPosseLifecycle)
		c.document(policyType, x, func() string { return c.cloudPossePolicy(name) })
	}
	if c.flag("enabled", true) && c.block.Body.Attributes["replication_configurations"] != nil {
		c.replication(func() (rules []map[string]any) {
			for _, one := range objects(c.input("replication_configurations")) {
				rules = append(rules, objects(one["rules"])...)
			}
			return rules
		})
	}
}

func (c *call) cloudPosseLifecycle() string {
	if !c.flag("enable_lifecycle_policy", true) {
		return ""
	}
	var rules, last []any
	add := func(selection map[string]any) {
		if selection["tagStatus"] == "any" {
			last = append(last, rule(0, selection))
			return
		}
		rules = append(rules, rule(0, selection))
	}
	number := func(name string, def int) any {
		if v := c.input(name); v != nil {
			return v
		}
		return def
	}
	protected := c.strings("protected_tags")
	slices.Sort(protected) // a set
	for _, tag := range slices.Compact(protected) {
		s := byCount("tagged", number("protected_tags_keep_count", 999_999))
		list := "tagPrefixList"
		if strings.Contains(tag, "*") {
			list = "tagPatternList"
		}
		s[list] = []string{tag}
		add(s)
	}
	custom, _ := c.input("custom_lifecycle_rules").([]any)
	settings, _ := c.input("default_lifecycle_rules_settings").(map[string]any)
	enabled := func(name string) bool {
		m, _ := settings[name].(map[string]any)
		on, ok := boolean(m["enabled"])
		return on || !ok
	}
	var selections []map[string]any
	for _, item := range custom {
		m, _ := item.(map[string]any)
		s, _ := m["selection"].(map[string]any)
		selection := map[string]any{}
		for k, v := range s {
			if list, ok := v.([]any); v != nil && (!ok || len(list) > 0) {
				selection[k] = v
			}
		}
		selections = append(selections, selection)
	}
	ownUntagged := slices.ContainsFunc(selections, func(s map[string]any) bool { return s["tagStatus"] == "untagged" })
	if enabled("untagged_image_rule") && !ownUntagged {
		add(byCount("untagged", 1))
	}
	if enabled("remove_old_image_rule") {
		n := number("max_image_count", 500)
		if c.flag("time_based_rotation", false) {
			add(byAge("any", n))
		} else {
			add(byCount("any", n))
		}
	}
	for _, s := range selections {
		add(s)
	}
	rules = append(rules, last...)
	for i, r := range rules {
		r.(map[string]any)["rulePriority"] = i + 1
	}
	return rulesOf(rules)
}

var pushWithoutPull = []string{
	"ecr:CompleteLayerUpload", "ecr:GetAuthorizationToken", "ecr:UploadLayerPart", "ecr:InitiateLayerUpload", "ecr:BatchCheckLayerAvailability", "ecr:PutImage",
}

func (c *call) cloudPossePolicy(name string) string {
	var statements []any
	aws := func(sid, input string, actions ...string) {
		if arns := c.strings(input); len(arns) > 0 {
			statements = append(statements, allow(sid, map[string]any{"AWS": arns}, actions...))
		}
	}
	organizations := func(sid, input string, actions ...string) {
		if ids := c.strings(input); len(ids) > 0 {
			s := allow(sid, "*", actions...)
			s["Condition"] = map[string]any{"StringEquals": map[string]any{"aws:PrincipalOrgID": ids}}
			statements = append(statements, s)
		}
	}
	aws("ReadonlyAccess", "principals_readonly_access", readActions...)
	first, _, _ := strings.Cut(name, "/")
	if slices.Contains(c.strings("prefixes_pull_through_repositories"), first) {
		aws("PullThroughAccess", "principals_pull_though_access", "ecr:BatchImportUpstreamImage", "ecr:TagResource")
	}
	aws("PushAccess", "principals_push_access", pushWithoutPull...)
	aws("FullAccess", "principals_full_access", "ecr:*")
	if ids := c.strings("principals_lambda"); len(ids) > 0 {
		if c.opts.Registry.Region == "" && c.bad == nil {
			c.bad = &Finding{c.at, "principals_lambda: the partition of the registry is not known: pass --account and --region"}
		}
		partition := c.opts.Registry.Region.Partition()
		var functions, roots []string
		for _, id := range ids {
			functions = append(functions, fmt.Sprintf("arn:%s:lambda:*:%s:function:*", partition, id))
			roots = append(roots, ecr.IAMARN(partition, ecr.AccountID(id), "root"))
		}
		s := allow("LambdaECRImageCrossAccountRetrievalPolicy", map[string]any{"Service": "lambda.amazonaws.com"}, "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
		s["Condition"] = map[string]any{"StringLike": map[string]any{"aws:SourceArn": functions}}
		statements = append(statements, s, allow("CrossAccountPermission", map[string]any{"AWS": roots}, "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"))
	}
	organizations("OrganizationsFullAccess", "organizations_full_access", "ecr:*")
	organizations("OrganizationsReadonlyAccess", "organizations_readonly_access", readActions...)
	organizations("OrganizationsPushAccess", "organizations_push_access", pushWithoutPull...)
	return policyOf(statements)
}

// label is the id that cloudposse/label makes of its inputs.
func (c *call) label() string {
	if c.block.Body.Attributes["context"] != nil {
		c.input("context")
		if c.bad == nil {
			c.bad = &Finding{at(c.block.Body.Attributes["context"].NameRange), "context: it is not evaluated"}
		}
	}
	for _, name := range []string{"label_order", "id_length_limit", "label_value_case", "regex_replace_chars", "descriptor_formats"} {
		if a := c.block.Body.Attributes[name]; a != nil && c.bad == nil {
			c.bad = &Finding{at(a.NameRange), name + ": it is not evaluated"}
		}
	}
	clean := func(s string) string { return strings.ToLower(notInLabels.ReplaceAllString(s, "")) }
	if !c.flag("use_fullname", true) {
		return clean(c.str("name", ""))
	}
	var parts []string
	for _, name := range []string{"namespace", "environment", "stage", "name"} {
		if s := clean(c.str(name, "")); s != "" {
			parts = append(parts, s)
		}
	}
	for _, s := range c.strings("attributes") {
		parts = append(parts, clean(s))
	}
	return strings.Join(parts, c.str("delimiter", "-"))
}
