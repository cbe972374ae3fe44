package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/kontor-registry/kontor/internal/jsonpos"
	"github.com/kontor-registry/kontor/internal/lazyregexp"
	"github.com/kontor-registry/kontor/internal/spelling"
)

// Kind is a place where a policy is used. It decides which elements the policy
// has, and which principals, actions and resources they may name.
type Kind string

// The kinds.
const (
	Repository Kind = "repository" // SetRepositoryPolicy: who may do what in one repository
	Registry   Kind = "registry"   // PutRegistryPolicy: the same for all repositories of a registry
	// RegistryV1 is Registry where the account setting REGISTRY_POLICY_SCOPE is V1:
	// it knows three actions.
	RegistryV1 Kind = "V1 registry"
	Identity   Kind = "identity" // attached to a user or role: what it may do
	Trust      Kind = "trust"    // of a role: who may assume it
)

type need uint8

const (
	optional need = iota
	required
	forbidden
)

// rules is what a kind requires in addition to the grammar.
type rules struct {
	principal, resource need
	service             string // of all actions; "" for any that AWS has
	resources           string // service of all resource ARNs; "" for any that AWS has
	// actions are those of ECR that the kind knows; nil for all.
	actions  func(Action) bool
	sid      *lazyregexp.Regexp
	sidTwice bool // two statements may have one Sid
	// notPrincipal is whether there may be one; then never with Allow.
	notPrincipal bool
	star         bool // Principal may be "*", not only {"AWS": "*"}
	federated    bool
	size         int
	packed       bool // size does not count white space
}

// IAM's Sids are letters and digits. Policies of ECR with spaces in a Sid exist;
// that '-' and '_' are allowed is an assumption.
var (
	strictSid = lazyregexp.New(`^[A-Za-z0-9]*$`)
	looseSid  = lazyregexp.New(`^[A-Za-z0-9 _-]*$`)
)

// The sizes are ECR's model for policyText and IAM's quotas: all inline
// policies of a role, and the most a trust policy can be granted.
var kinds = func() map[Kind]rules {
	ecr := rules{principal: required, service: "ecr", resources: "ecr", sid: looseSid, sidTwice: true, notPrincipal: true, star: true, size: 10_240}
	repository, registry, v1 := ecr, ecr, ecr
	registry.resource, v1.resource = required, required
	repository.actions = func(a Action) bool { return a.Repository }
	registry.actions = func(a Action) bool { return a.Name != getAuthorizationToken }
	v1.actions = func(a Action) bool { return a.RegistryV1 }
	return map[Kind]rules{
		Repository: repository, Registry: registry, RegistryV1: v1,
		Identity: {principal: forbidden, resource: required, sid: strictSid, size: 10_240, packed: true},
		Trust:    {principal: required, resource: forbidden, service: "sts", sid: strictSid, federated: true, size: 8_192, packed: true},
	}
}()

// MaxSize is the most characters that a policy of kind k may have; in the
// kinds of IAM white space does not count.
func (k Kind) MaxSize() int { return kinds[k].size }

// Size is the size of a repository or registry policy as ECR counts it: all
// characters of the text, also white space.
func Size(text string) int { return utf8.RuneCountInString(text) }

func (k Kind) checkSize(text string) *finding {
	r, n := kinds[k], Size(text)
	if r.packed {
		for _, c := range text {
			if unicode.IsSpace(c) {
				n--
			}
		}
	}
	if r.size == 0 || n <= r.size {
		return nil
	}
	return &finding{code: CodeSize, detail: fmt.Sprintf("the %s policy has %d characters, at most %d are allowed", k, n, r.size)}
}

// Validate checks a document, whether parsed or built in code, as a policy of
// the kind: its grammar, what the kind demands, and the size of doc.String(),
// which is its shortest text. The error is an Errors without places.
func Validate(doc Document, kind Kind) error {
	var found []finding
	if long := kind.checkSize(doc.String()); long != nil {
		found = append(found, *long)
	}
	if len(doc.Statements) == 0 {
		found = append(found, finding{code: CodeGrammar, path: jsonpos.Path{"Statement"}, detail: "a policy needs a statement"})
	}
	found = append(found, grammar(doc, nil)...)
	return errs(append(found, kind.check(doc, nil)...), nil)
}

// check checks the statements that are not broken for what the kind requires.
func (k Kind) check(doc Document, broken map[int]bool) []finding {
	r, ok := kinds[k]
	c := checker{code: CodeKind}
	if !ok {
		c.fail(nil, "unknown kind of policy %q", k)
		return c.found
	}
	first := map[string]int{}
	for i, s := range doc.Statements {
		if broken[i] {
			continue
		}
		at := jsonpos.Path{"Statement", i}
		if j, twice := first[s.Sid]; twice && s.Sid != "" && !r.sidTwice {
			c.fail(at.At("Sid"), "%q is the Sid of Statement[%d] already", s.Sid, j)
		} else {
			first[s.Sid] = i
		}
		if !r.sid.MatchString(s.Sid) {
			c.fail(at.At("Sid"), "%q has characters that a Sid cannot have in %s policies", s.Sid, k)
		}
		c.need(at, r.principal, "Principal", s.Principal.IsZero(), s.NotPrincipal.IsZero(), k)
		c.need(at, r.resource, "Resource", s.Resource == nil, s.NotResource == nil, k)
		switch {
		case s.NotPrincipal.IsZero() || !s.Principal.IsZero() || r.principal == forbidden:
		case !r.notPrincipal:
			c.fail(at.At("NotPrincipal"), "%s policies have no NotPrincipal; name the principals in Principal", k)
		case s.Effect == Allow:
			c.fail(at.At("NotPrincipal"), "NotPrincipal with Allow would allow everyone else, and AWS refuses it; name the principals in Principal")
		}
		if s.Principal.Everyone && r.principal != forbidden && !r.star {
			c.fail(at.At("Principal"), `%s policies do not allow "*" here; to mean everyone, write {"AWS": "*"}`, k)
		}
		c.who(at.At("Principal"), s.Principal, r, k)
		c.who(at.At("NotPrincipal"), s.NotPrincipal, r, k)
		action := func(s string) string { return cmp.Or(r.wrongService(s, k), r.wrongName(s, k)) }
		c.each(at.At("Action"), s.Action, action)
		c.each(at.At("NotAction"), s.NotAction, action)
		resource := func(s string) string { return r.wrongTarget(s, k) }
		c.each(at.At("Resource"), s.Resource, resource)
		c.each(at.At("NotResource"), s.NotResource, resource)
		variables := doc.Version == Version2012
		if variables {
			c.each(at.At("Resource"), s.Resource, wrongVariable)
			c.each(at.At("NotResource"), s.NotResource, wrongVariable)
		}
		for _, cond := range s.Condition {
			c.key(at.At("Condition", cond.Operator), cond, variables)
		}
	}
	return c.found
}

// key checks a condition's key, and the variables in its values.
func (c *checker) key(at jsonpos.Path, cond Condition, variables bool) {
	at = at.At(cond.Key)
	service, name, _ := strings.Cut(cond.Key, ":")
	if cond.Key != "" && utf8.ValidString(cond.Key) && (service == "" || name == "") {
		c.fail(at, "%q is not a condition key; want SERVICE:NAME, such as aws:PrincipalOrgID", cond.Key)
	}
	c.each(at, cond.Values, func(s string) string {
		base := baseOperator(cond.Operator)
		takes := strings.HasPrefix(base, "String") || strings.HasPrefix(base, "Arn") || base == "Bool"
		switch {
		case !takes && strings.Contains(s, "${"):
			return fmt.Sprintf("%s does not support variables such as ${aws:username}; use them in values of the String, Arn and Bool operators", cond.Operator)
		case takes && variables:
			return wrongVariable(s)
		}
		return ""
	})
}

// wrongVariable says what is wrong with a variable in s; "" when nothing is
// ("IAM policy validation check reference", Missing brace in variable and the
// checks that follow it).
func wrongVariable(s string) string {
	for {
		_, rest, found := strings.Cut(s, "${")
		if !found {
			return ""
		}
		inner, rest, closed := strings.Cut(rest, "}")
		if !closed {
			return fmt.Sprintf("%q: ${ begins a variable, which needs a } at its end; write ${$} for the character $", s)
		}
		name, fallback, has := strings.Cut(inner, ",")
		fallback = strings.TrimSpace(fallback)
		switch {
		case name == "":
			return fmt.Sprintf("%q: the variable has no name; want one such as ${aws:username}", s)
		case strings.ContainsFunc(name, unicode.IsSpace):
			return fmt.Sprintf("%q: the name of the variable ${%s} has a space", s, inner)
		case has && (len(fallback) < 2 || fallback[0] != '\'' || fallback[len(fallback)-1] != '\''):
			return fmt.Sprintf("%q: the default value of the variable ${%s} needs single quotes, as in ${%s, 'value'}", s, inner, name)
		}
		s = rest
	}
}

// need checks that an element or its Not form is present when it is required, and
// absent when it is forbidden.
func (c *checker) need(at jsonpos.Path, n need, name string, absent, notAbsent bool, k Kind) {
	switch {
	case n == required && absent && notAbsent:
		c.fail(at, "%s is missing; statements of %s policies need it", name, k)
	case n == forbidden && !absent:
		c.fail(at.At(name), "%s policies have no %s", k, name)
	case n == forbidden && !notAbsent:
		c.fail(at.At("Not"+name), "%s policies have no Not%s", k, name)
	}
}

// wrongService returns "" also for what grammar refuses.
func (r rules) wrongService(action string, k Kind) string {
	service, _, _ := strings.Cut(action, ":")
	switch {
	case wrongAction(action) != "" || r.service == "" && action == "*":
		return ""
	case r.service == "":
		return unknownService(action, service)
	case strings.EqualFold(service, r.service):
		return ""
	}
	return fmt.Sprintf("%q: %s policies are for actions of %[3]s, such as %[3]s:*", action, k, r.service)
}

// unknownService says that AWS has no such service, in what is given; "" when
// it has.
func unknownService(in, service string) string {
	if knownService(service) {
		return ""
	}
	hint := ""
	if meant := spelling.Nearest(strings.ToLower(service), services()); meant != "" {
		hint = "; did you mean " + meant + "?"
	}
	return fmt.Sprintf("%q: AWS has no service %q%s", in, service, hint)
}

// wrongName finds actions that ECR does not have, or not in policies of the
// kind.
func (r rules) wrongName(action string, k Kind) string {
	if r.actions == nil || wrongAction(action) != "" {
		return ""
	}
	named := matchingActions(action)
	switch {
	case slices.ContainsFunc(named, r.actions):
		return ""
	case len(named) == 0 && !strings.ContainsAny(action, "*?"):
		return CheckAction(action).Error()
	case len(named) == 0:
		return fmt.Sprintf("%q: Amazon ECR has no such action", action)
	case k == RegistryV1:
		return fmt.Sprintf("%q: with the account setting REGISTRY_POLICY_SCOPE at V1, registry policies are for ecr:%s only",
			action, strings.Join(registryV1, ", ecr:"))
	case len(named) == 1 && named[0].Name == getAuthorizationToken:
		return fmt.Sprintf("%q is not about a repository, and only policies of users and roles can allow it", action)
	}
	return fmt.Sprintf("%q is not about a repository; policies of users and roles can allow it", action)
}

func (r rules) wrongTarget(resource string, k Kind) string {
	parts := strings.SplitN(resource, ":", 6)
	if len(parts) < 3 {
		return ""
	}
	service, name := parts[2], ""
	if len(parts) == 6 {
		name = parts[5]
	}
	kindOf, _, _ := strings.Cut(name, "/")
	switch {
	case strings.ContainsAny(service, "*?"):
		return fmt.Sprintf("%q: %q is the service, which cannot have wildcards", resource, service)
	case r.resources != "" && service != r.resources:
		return fmt.Sprintf("%q: %s policies are for resources of %s", resource, k, r.resources)
	case !knownService(service):
		return unknownService(resource, service)
	case slices.Contains(typed, service) && name != "*" && strings.ContainsAny(kindOf, "*?"):
		return fmt.Sprintf("%q: %q is the type of the resource, which cannot have wildcards", resource, kindOf)
	}
	return ""
}

// typed are services all of whose resources have a type, such as
// "repository/": "you cannot use a wildcard in the portion of the ARN that
// specifies the resource type" (IAM user guide, "Amazon Resource Names (ARNs)").
var typed = []string{"ecr", "iam", "sts"}

// who checks whom a policy names.
func (c *checker) who(at jsonpos.Path, p Principals, r rules, k Kind) {
	c.each(at.At("AWS"), p.AWS, wrongAWS)
	c.each(at.At("Service"), p.Service, func(s string) string {
		if !servicePattern.MatchString(s) {
			return fmt.Sprintf("%q is not a service; want a name such as codebuild.amazonaws.com", s)
		}
		return ""
	})
	if p.Federated != nil && !r.federated && r.principal != forbidden {
		c.fail(at.At("Federated"), "%s policies cannot have Federated principals; only trust policies of roles can", k)
	} else {
		c.each(at.At("Federated"), p.Federated, func(s string) string {
			switch {
			case strings.ContainsAny(s, "*?"):
				return fmt.Sprintf("%q: wildcards are not allowed here", s)
			case strings.Contains(s, "${"):
				return fmt.Sprintf("%q: variables are not allowed in principals", s)
			}
			return ""
		})
	}
	if p.CanonicalUser != nil {
		c.fail(at.At("CanonicalUser"), "canonical users are for Amazon S3 only; use AWS")
	}
}

var (
	// of all partitions: amazonaws.com, amazonaws.com.cn, amazonaws.eu; a few
	// services of Amazon outside AWS are under amazon.com
	servicePattern = lazyregexp.New(`^[a-z0-9-]+(\.[a-z0-9-]+)*\.(amazonaws\.(com|com\.cn|eu)|amazon\.com)$`)
	digitsPattern  = lazyregexp.New(`^[0-9]+$`)
	// a principal that was deleted is shown by its unique id
	uniqueIDPattern = lazyregexp.New(`^A(IDA|ROA|GPA|KIA|SIA)[A-Z0-9]{12,}$`)
	iamPattern      = lazyregexp.New(`^(root|(user|role)(/[\x21-\x2e\x30-\x7e]+)+)$`)
	stsPattern      = lazyregexp.New(`^(assumed-role/[^/]+/[^/]+|federated-user/[^/]+)$`)
)

// wrongAWS says why s cannot be a principal of type AWS; "" when it can.
func wrongAWS(s string) string {
	a, isARN := splitARN(s)
	switch {
	case s == "*", isAccount(s):
		return ""
	case digitsPattern.MatchString(s):
		return fmt.Sprintf("%q is not an account id; it has 12 digits", s)
	case uniqueIDPattern.MatchString(s):
		return fmt.Sprintf("%q is the id of a principal that no longer exists", s)
	case strings.Contains(s, "${"):
		return fmt.Sprintf("%q: variables are not allowed in principals", s)
	case strings.ContainsAny(s, "*?"):
		return fmt.Sprintf("%q: wildcards in principals are not allowed, except \"*\" for everyone", s)
	case !isARN || a.partition != "aws" && !strings.HasPrefix(a.partition, "aws-") ||
		a.service != "iam" && a.service != "sts" || a.region != "":
		return fmt.Sprintf("%q is not a principal; want an account id, the ARN of an account, user, role or session, or \"*\"", s)
	case !isAccount(a.account):
		return fmt.Sprintf("%q: %q is not an account id; it has 12 digits", s, a.account)
	case a.service == "iam" && strings.HasPrefix(a.resource, "group/"):
		return fmt.Sprintf("%q: groups cannot be principals", s)
	case a.service == "iam" && !iamPattern.MatchString(a.resource), a.service == "sts" && !stsPattern.MatchString(a.resource):
		return fmt.Sprintf("%q is not the ARN of an account, user, role or session", s)
	}
	return ""
}
