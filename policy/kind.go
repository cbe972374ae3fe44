package policy

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/kontor-registry/kontor/internal/jsonpos"
)

// Kind is a place where a policy may stand. It decides which elements the
// policy has and whom and what they may name.
type Kind string

// The kinds.
const (
	Repository Kind = "repository" // SetRepositoryPolicy: who may do what in one repository
	Registry   Kind = "registry"   // PutRegistryPolicy: the same for all repositories of a registry
	Identity   Kind = "identity"   // attached to a user or role: what it may do
	Trust      Kind = "trust"      // of a role: who may assume it
)

type need uint8

const (
	optional need = iota
	required
	forbidden
)

// rules is what a kind demands beyond the grammar.
type rules struct {
	principal, resource need
	service             string // of all actions; "" for any
	resources           string // service of all resource ARNs; "" for any
	sid                 *regexp.Regexp
	size                int
	packed              bool // size does not count white space
}

// IAM's Sids are letters and digits. Resource policies of ECR are seen with
// spaces; that they may have '-' and '_' is an assumption.
var (
	strictSid = regexp.MustCompile(`^[A-Za-z0-9]*$`)
	looseSid  = regexp.MustCompile(`^[A-Za-z0-9 _-]*$`)
)

// The sizes are ECR's model for policyText and IAM's quotas: all inline
// policies of a role, and the most a trust policy can be granted.
var kinds = map[Kind]rules{
	Repository: {principal: required, resource: optional, service: "ecr", resources: "ecr", sid: looseSid, size: 10_240},
	Registry:   {principal: required, resource: required, service: "ecr", resources: "ecr", sid: looseSid, size: 10_240},
	Identity:   {principal: forbidden, resource: required, sid: strictSid, size: 10_240, packed: true},
	Trust:      {principal: required, resource: forbidden, service: "sts", sid: strictSid, size: 8_192, packed: true},
}

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

// check checks what the kind demands of the statements that are not broken.
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
		if j, twice := first[s.Sid]; twice && s.Sid != "" {
			c.fail(at.At("Sid"), "%q is the Sid of Statement[%d] already", s.Sid, j)
		} else {
			first[s.Sid] = i
		}
		if !r.sid.MatchString(s.Sid) {
			c.fail(at.At("Sid"), "%q has characters that a Sid cannot have in %s policies", s.Sid, k)
		}
		c.need(at, r.principal, "Principal", s.Principal.IsZero(), s.NotPrincipal.IsZero(), k)
		c.need(at, r.resource, "Resource", s.Resource == nil, s.NotResource == nil, k)
		c.who(at.At("Principal"), s.Principal)
		c.who(at.At("NotPrincipal"), s.NotPrincipal)
		action := func(s string) string { return r.wrongService(s, k) }
		c.each(at.At("Action"), s.Action, action)
		c.each(at.At("NotAction"), s.NotAction, action)
		resource := func(s string) string { return r.wrongTarget(s, k) }
		c.each(at.At("Resource"), s.Resource, resource)
		c.each(at.At("NotResource"), s.NotResource, resource)
	}
	return c.found
}

// need checks that an element is there, in itself or in its Not form, when it
// must be, and not when it cannot.
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

// wrongService also says nothing of what grammar refuses.
func (r rules) wrongService(action string, k Kind) string {
	service, _, _ := strings.Cut(action, ":")
	if r.service == "" || strings.EqualFold(service, r.service) || wrongAction(action) != "" {
		return ""
	}
	return fmt.Sprintf("%q: %s policies are for actions of %[3]s, such as %[3]s:*", action, k, r.service)
}

func (r rules) wrongTarget(resource string, k Kind) string {
	a, ok := splitARN(resource)
	if r.resources == "" || !ok || a.service == r.resources || strings.ContainsAny(a.service, "*?$") {
		return ""
	}
	return fmt.Sprintf("%q: %s policies are for resources of %s", resource, k, r.resources)
}

// who checks whom a policy names.
func (c *checker) who(at jsonpos.Path, p Principals) {
	c.each(at.At("AWS"), p.AWS, wrongAWS)
	c.each(at.At("Service"), p.Service, func(s string) string {
		if !servicePattern.MatchString(s) {
			return fmt.Sprintf("%q is not a service; want a name such as codebuild.amazonaws.com", s)
		}
		return ""
	})
	c.each(at.At("Federated"), p.Federated, func(s string) string {
		if strings.ContainsAny(s, "*?") {
			return fmt.Sprintf("%q: wildcards are not allowed here", s)
		}
		return ""
	})
	if p.CanonicalUser != nil {
		c.fail(at.At("CanonicalUser"), "canonical users are of Amazon S3 only; use AWS")
	}
}

var (
	servicePattern = regexp.MustCompile(`^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$`)
	digitsPattern  = regexp.MustCompile(`^[0-9]+$`)
	// a principal that was deleted is shown by its unique id
	uniqueIDPattern = regexp.MustCompile(`^A(IDA|ROA|GPA|KIA|SIA)[A-Z0-9]{12,}$`)
	iamPattern      = regexp.MustCompile(`^(root|(user|role)(/[\x21-\x2e\x30-\x7e]+)+)$`)
	stsPattern      = regexp.MustCompile(`^(assumed-role/[^/]+/[^/]+|federated-user/[^/]+)$`)
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
		return fmt.Sprintf("%q is the id of a principal that does not exist any more", s)
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
		return fmt.Sprintf("%q names no account, user, role or session", s)
	}
	return ""
}
