package upstream

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/lazyregexp"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Root, as a prefix, stands for no prefix: every repository that no longer prefix
// claims.
const Root = "ROOT"

// Kind is the upstreamRegistry of the ECR API, such as "docker-hub"; "" for a
// registry that the API has no name for.
type Kind string

// Rule is a pull-through cache rule: repositories that begin with Prefix and a slash
// hold what the registry Host has.
type Rule struct {
	Prefix         string    `json:"-"` // without a slash at its end, such as "docker-hub"; or Root
	Host           string    `json:"host"`
	Kind           Kind      `json:"kind,omitempty"`
	UpstreamPrefix string    `json:"upstreamPrefix"` // Root, or as Prefix
	CredentialARN  string    `json:"credentialArn,omitempty"`
	CustomRoleARN  string    `json:"customRoleArn,omitempty"`
	CreatedAt      time.Time `json:"createdAt"`
	UpdatedAt      time.Time `json:"updatedAt,omitzero"`
}

// known are the upstreams that AWS lists. Source: API reference,
// CreatePullThroughCacheRule; user guide, "Creating a pull through cache rule".
var known = []struct {
	kind   Kind
	host   string // its pattern
	secret bool   // ECR takes none without a credential
}{
	{"ecr-public", `public\.ecr\.aws`, false},
	{"k8s", `registry\.k8s\.io`, false},
	{"quay", `quay\.io`, false},
	{"docker-hub", `registry-1\.docker\.io`, true},
	{"github-container-registry", `ghcr\.io`, true},
	{"gitlab-container-registry", `registry\.gitlab\.com`, true},
	{"azure-container-registry", `[a-z0-9]{5,50}\.azurecr\.(?:io|cn|us)`, true},
	{"chainguard", `cgr\.dev`, true},
	{"ecr", `[0-9]{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?`, false},
}

var knownHosts = func() []*lazyregexp.Regexp {
	var all []*lazyregexp.Regexp
	for _, k := range known {
		all = append(all, lazyregexp.New("^(?:"+k.host+")$"))
	}
	return all
}()

// kindOf finds an upstream that AWS lists by its host.
func kindOf(host string) (kind Kind, secret, ok bool) {
	for i, k := range known {
		if knownHosts[i].MatchString(host) {
			return k.kind, k.secret, true
		}
	}
	return "", false, false
}

// maxRules is ECR's quota. Source: user guide, "Amazon ECR service quotas".
const maxRules = 50

// Rules are those of a registry, by prefix.
type Rules map[string]Rule

// RulesOf reads them from the settings of a registry.
func RulesOf(s meta.RegistrySettings) (Rules, error) {
	text := s.Settings[registry.SettingUpstreamRules]
	if text == "" {
		return nil, nil
	}
	rules := Rules{}
	if err := json.Unmarshal([]byte(text), &rules); err != nil {
		return nil, fmt.Errorf("reading the pull through cache rules: %w", err)
	}
	for prefix, r := range rules {
		r.Prefix = prefix
		rules[prefix] = r
	}
	return rules, nil
}

// Match finds the rule of a repository: that with the longest prefix.
func (r Rules) Match(name ecr.RepositoryName) (Rule, bool) {
	for prefix := string(name); ; {
		i := strings.LastIndexByte(prefix, '/')
		if i < 0 {
			break
		}
		prefix = prefix[:i]
		if rule, ok := r[prefix]; ok {
			return rule, true
		}
	}
	rule, ok := r[Root]
	return rule, ok
}

// maxUpstreamName is the longest name of a repository upstream.
const maxUpstreamName = 255

// Upstream is the name that the rule's registry has for a repository here. Docker
// Hub's own images are in library/ (Docker documentation, "Docker Official Images").
func (r Rule) Upstream(name ecr.RepositoryName) (ecr.RepositoryName, bool) {
	rest := string(name)
	if r.Prefix != Root {
		var ok bool
		if rest, ok = strings.CutPrefix(rest, r.Prefix+"/"); !ok {
			return "", false
		}
	}
	if r.UpstreamPrefix != Root && r.UpstreamPrefix != "" {
		rest = r.UpstreamPrefix + "/" + rest
	} else if r.Kind == "docker-hub" && !strings.Contains(rest, "/") {
		rest = "library/" + rest
	}
	return ecr.RepositoryName(rest), len(rest) <= maxUpstreamName
}

// Local is the repository here that holds a repository of the rule's registry.
func (r Rule) Local(upstream string) (ecr.RepositoryName, bool) {
	rest := upstream
	if r.UpstreamPrefix != Root && r.UpstreamPrefix != "" {
		var ok bool
		if rest, ok = strings.CutPrefix(rest, r.UpstreamPrefix+"/"); !ok {
			return "", false
		}
	}
	if r.Prefix != Root {
		rest = r.Prefix + "/" + rest
	}
	name, err := ecr.ParseRepositoryName(rest)
	return name, err == nil
}

// OfHost finds the rule for a repository of another registry, as mirrors are asked
// for it: by the host that stands before it in image names. It looks among the rules
// that there are; nothing that it is given is ever dialled.
func (r Rules) OfHost(host, upstream string) (ecr.RepositoryName, bool) {
	host = canonicalHost(host)
	best, name := "", ecr.RepositoryName("")
	for _, prefix := range slices.Sorted(maps.Keys(r)) {
		rule := r[prefix]
		if canonicalHost(rule.Host) != host {
			continue
		}
		// That with the longest prefix upstream is the nearest.
		if local, ok := rule.Local(upstream); ok && (name == "" || len(upstreamPrefix(rule)) > len(best)) {
			best, name = upstreamPrefix(rule), local
		}
	}
	return name, name != ""
}

// name reports whether one of the rules is for a host, as image names have it.
func (r Rules) name(host string) bool {
	host = canonicalHost(host)
	for _, rule := range r {
		if canonicalHost(rule.Host) == host {
			return true
		}
	}
	return false
}

func upstreamPrefix(r Rule) string {
	if r.UpstreamPrefix == Root {
		return ""
	}
	return r.UpstreamPrefix
}

// canonicalHost is the host of image names in one spelling.
func canonicalHost(host string) string {
	host = strings.ToLower(strings.TrimSuffix(host, ":443"))
	switch host {
	case "docker.io", "index.docker.io", "registry-1.docker.io":
		return "registry-1.docker.io"
	}
	return host
}

// NewRule is a rule to be. "" where something is not given.
type NewRule struct {
	Prefix, URL, UpstreamPrefix  string
	Kind                         Kind
	CredentialARN, CustomRoleARN string
}

var prefixPattern = lazyregexp.New(`^(?:[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*/?|ROOT)$`)

// checkPrefixes checks what the ECR API's constraints do: 2 to 30 characters, as in
// names of repositories. Errors: InvalidParameter.
func checkPrefixes(n NewRule) error {
	for _, m := range []struct{ path, value string }{{"ecrRepositoryPrefix", n.Prefix}, {"upstreamRepositoryPrefix", n.UpstreamPrefix}} {
		if m.value == "" && m.path != "ecrRepositoryPrefix" {
			continue
		}
		if len(m.value) < 2 || len(m.value) > 30 || !prefixPattern.MatchString(m.value) {
			return ecr.InvalidParameter(m.path, "must be ROOT, or 2 to 30 characters as in the names of repositories")
		}
	}
	return nil
}

func noRule(in ecr.RegistryID, prefix string) error {
	return ecr.Errorf(ecr.CodePullThroughCacheRuleNotFound, "The pull through cache rule with prefix '%s' does not exist in the registry with id '%s'", prefix, in.Account)
}

// changeRules changes the rules of a registry.
func (c *Caller) changeRules(ctx context.Context, op gate.Operation, in ecr.RegistryID, fn func(ctx context.Context, tx *gate.Tx, rules Rules) error) error {
	return c.gate.Change(ctx, op, func(ctx context.Context, tx *gate.Tx) error {
		s, err := tx.EnterRegistry(ctx, in)
		if err != nil {
			return err
		}
		rules, err := RulesOf(s.Settings)
		if err != nil {
			return err
		}
		if rules == nil {
			rules = Rules{}
		}
		if err := fn(ctx, tx, rules); err != nil {
			return err
		}
		text := []byte{}
		if len(rules) > 0 {
			if text, err = json.Marshal(rules); err != nil {
				return err
			}
		}
		settings := maps.Clone(s.Settings.Settings)
		if settings == nil {
			settings = map[string]string{}
		}
		if settings[registry.SettingUpstreamRules] = string(text); len(text) == 0 {
			delete(settings, registry.SettingUpstreamRules)
		}
		s.Settings.Settings = settings
		return tx.Registries().PutRegistrySettings(ctx, in, s.Settings)
	})
}

var opCreateRule = gate.Op("CreateRule", "ecr:CreatePullThroughCacheRule")

// CreateRule adds a rule. With a role it asks for iam:PassRole on it as well; the role
// is kept and shown, and has no effect: this server has no identity in AWS. Errors:
// PullThroughCacheRuleAlreadyExists, UnsupportedUpstreamRegistry, SecretNotFound,
// LimitExceeded, InvalidParameter, Validation.
func (c *Caller) CreateRule(ctx context.Context, in ecr.RegistryID, n NewRule) (Rule, error) {
	now := c.s.cfg.Now().Truncate(time.Millisecond)
	rule, invalid := c.s.newRule(in, n, now)
	err := c.changeRules(ctx, opCreateRule, in, func(ctx context.Context, tx *gate.Tx, rules Rules) error {
		if invalid != nil {
			return invalid
		}
		if _, there := rules[rule.Prefix]; there {
			return ecr.Errorf(ecr.CodePullThroughCacheRuleExists, "The pull through cache rule with prefix '%s' already exists in the registry with id '%s'", rule.Prefix, in.Account)
		}
		if len(rules) >= maxRules {
			return ecr.Errorf(ecr.CodeLimitExceeded, "The registry with id '%s' already has the maximum number of pull through cache rules, which is %d", in.Account, maxRules)
		}
		if rule.CredentialARN != "" {
			if _, err := findSecret(ctx, tx.Retention(), in, rule.CredentialARN); err != nil {
				return err
			}
		}
		if rule.CustomRoleARN != "" {
			if err := registry.PassRole(tx, in, rule.CustomRoleARN, "ecr-upstream"); err != nil {
				return err
			}
		}
		rules[rule.Prefix] = rule
		return nil
	})
	return rule, err
}

// newRule checks everything of a rule that needs no store.
func (s *Service) newRule(in ecr.RegistryID, n NewRule, now time.Time) (Rule, error) {
	r := Rule{
		Prefix: trimPrefix(n.Prefix), Host: strings.TrimSuffix(strings.TrimPrefix(n.URL, "https://"), "/"), UpstreamPrefix: trimPrefix(n.UpstreamPrefix),
		CredentialARN: n.CredentialARN, CustomRoleARN: n.CustomRoleARN, CreatedAt: now,
	}
	if r.UpstreamPrefix == "" {
		r.UpstreamPrefix = Root
	}
	r.Host = canonicalHost(r.Host)
	if err := checkPrefixes(n); err != nil {
		return Rule{}, err
	}
	invalidURL := ecr.Errorf(ecr.CodeUnsupportedUpstream, "The upstream registry URL %s is invalid. Specify a valid upstream registry URL and try again", n.URL)
	kind, secret, listed := kindOf(r.Host)
	_, own := s.host(in, r.Host)
	switch {
	case strings.Contains(r.Host, "/"), !listed && !own:
		return Rule{}, invalidURL
	case n.Kind != "" && n.Kind != kind:
		return Rule{}, invalidURL
	case s.cfg.Self != nil && s.cfg.Self(r.Host):
		return Rule{}, ecr.Errorf(ecr.CodeUnsupportedUpstream, "The upstream registry URL %s is this registry itself: it would be its own upstream. Specify another registry", n.URL)
	case r.Prefix == Root && r.UpstreamPrefix != Root:
		return Rule{}, ecr.Errorf(ecr.CodeValidation, "The upstreamRepositoryPrefix can only be set when the ecrRepositoryPrefix is not ROOT")
	case secret && r.CredentialARN == "" && s.cfg.Registry.Compat(in) == registry.CompatECR:
		return Rule{}, ecr.Errorf(ecr.CodeUnsupportedUpstream, "The specified upstream registry requires authentication. Specify a valid Secrets Manager ARN and try again")
	}
	r.Kind = kind
	return r, nil
}

// trimPrefix is a prefix without the slash that it may end with.
func trimPrefix(s string) string { return strings.TrimSuffix(s, "/") }

var opRules = gate.Op("Rules", "ecr:DescribePullThroughCacheRules")

// Rules returns the rules with the given prefixes, in that order, or all, in byte
// order of their prefixes. Errors: PullThroughCacheRuleNotFound.
func (c *Caller) Rules(ctx context.Context, in ecr.RegistryID, prefixes []string) (list []Rule, err error) {
	err = c.gate.Read(ctx, opRules, func(ctx context.Context, v *gate.View) error {
		s, err := v.EnterRegistry(ctx, in)
		if err != nil {
			return err
		}
		rules, err := RulesOf(s.Settings)
		if err != nil {
			return err
		}
		list = nil
		for _, p := range prefixes {
			r, ok := rules[trimPrefix(p)]
			if !ok {
				return noRule(in, p)
			}
			list = append(list, r)
		}
		if len(prefixes) == 0 {
			for _, p := range slices.Sorted(maps.Keys(rules)) {
				list = append(list, rules[p])
			}
		}
		return nil
	})
	return list, err
}

var opUpdateRule = gate.Op("UpdateRule", "ecr:UpdatePullThroughCacheRule")

// UpdateRule changes the credential of a rule, or its role; "" leaves what is there.
// Errors: PullThroughCacheRuleNotFound, SecretNotFound, InvalidParameter, Validation.
func (c *Caller) UpdateRule(ctx context.Context, in ecr.RegistryID, prefix, credentialARN, customRoleARN string) (rule Rule, err error) {
	now := c.s.cfg.Now().Truncate(time.Millisecond)
	err = c.changeRules(ctx, opUpdateRule, in, func(ctx context.Context, tx *gate.Tx, rules Rules) error {
		r, ok := rules[trimPrefix(prefix)]
		switch {
		case !ok:
			return noRule(in, prefix)
		case credentialARN == "" && customRoleARN == "":
			return ecr.Errorf(ecr.CodeInvalidParameter, "Invalid parameter at 'credentialArn' failed to satisfy constraint: 'credentialArn or customRoleArn must be given'")
		}
		if credentialARN != "" {
			if _, err := findSecret(ctx, tx.Retention(), in, credentialARN); err != nil {
				return err
			}
			r.CredentialARN = credentialARN
		}
		if customRoleARN != "" {
			if err := registry.PassRole(tx, in, customRoleARN, "ecr-upstream"); err != nil {
				return err
			}
			r.CustomRoleARN = customRoleARN
		}
		r.UpdatedAt = now
		rules[r.Prefix], rule = r, r
		return nil
	})
	return rule, err
}

var opDeleteRule = gate.Op("DeleteRule", "ecr:DeletePullThroughCacheRule")

// DeleteRule removes a rule. The repositories and images that came by it stay.
// Errors: PullThroughCacheRuleNotFound.
func (c *Caller) DeleteRule(ctx context.Context, in ecr.RegistryID, prefix string) (rule Rule, err error) {
	err = c.changeRules(ctx, opDeleteRule, in, func(_ context.Context, _ *gate.Tx, rules Rules) error {
		var ok bool
		if rule, ok = rules[trimPrefix(prefix)]; !ok {
			return noRule(in, prefix)
		}
		delete(rules, rule.Prefix)
		return nil
	})
	return rule, err
}

var opValidateRule = gate.Op("ValidateRule", "ecr:ValidatePullThroughCacheRule")

// ValidateRule reaches a rule's registry and logs in to it. failure says what is
// wrong, "" for nothing. Errors: PullThroughCacheRuleNotFound.
func (c *Caller) ValidateRule(ctx context.Context, in ecr.RegistryID, prefix string) (rule Rule, failure string, err error) {
	err = c.gate.Ask(ctx, opValidateRule, func(ctx context.Context, v *gate.View) error {
		s, err := v.EnterRegistry(ctx, in)
		if err != nil {
			return err
		}
		rules, err := RulesOf(s.Settings)
		if err != nil {
			return err
		}
		var ok bool
		if rule, ok = rules[trimPrefix(prefix)]; !ok {
			return noRule(in, prefix)
		}
		return nil
	})
	if err != nil {
		return Rule{}, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := c.s.client(in, rule)
	if err == nil {
		err = r.Ping(ctx)
	}
	if err != nil {
		return rule, err.Error(), nil
	}
	return rule, "", nil
}
