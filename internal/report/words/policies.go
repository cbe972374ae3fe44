package words

import (
	"fmt"
	"strings"

	"github.com/kontor-registry/kontor/lifecycle"
	"github.com/kontor-registry/kontor/policy"
)

// outOfReach is a count that no repository comes to: with it a rule is written
// to keep all its images.
const outOfReach = 9_999

// Rule is a lifecycle rule: "images tagged pr-* expire 7 days after their push".
func Rule(r lifecycle.Rule) string {
	s := r.Selection
	images := "images"
	if s.Class() == lifecycle.Archive {
		images = "archived images"
	}
	switch {
	case s.TagStatus == lifecycle.Untagged:
		images = "untagged " + images
	case s.TagStatus == lifecycle.Any:
		images = "all " + images
	case len(s.TagPatterns) > 0:
		images += " tagged " + strings.Join(s.TagPatterns, " and ")
	default:
		images += " with tags that begin with " + strings.Join(s.TagPrefixes, " and ")
	}
	action := "expire"
	if r.Action.Type == lifecycle.Transition {
		action = "are archived"
	}
	days := Count(s.CountNumber, "day", "days")
	switch s.CountType {
	case lifecycle.ImageCountMoreThan:
		if s.CountNumber >= outOfReach {
			return fmt.Sprintf("%s are kept, up to %d", images, s.CountNumber)
		}
		return fmt.Sprintf("%s %s, except the newest %d", images, action, s.CountNumber)
	case lifecycle.SinceImagePushed:
		return fmt.Sprintf("%s %s %s after their push", images, action, days)
	case lifecycle.SinceImagePulled:
		return fmt.Sprintf("%s %s %s after their last pull", images, action, days)
	case lifecycle.SinceImageTransitioned:
		return fmt.Sprintf("%s %s %s after they were archived", images, action, days)
	}
	return fmt.Sprintf("%s %s at %s %d", images, action, s.CountType, s.CountNumber)
}

// Verb is what a rule of that action does: "expires", "archives".
func Verb(a lifecycle.ActionType) string {
	if a == lifecycle.Transition {
		return "archives"
	}
	return "expires"
}

// Statement is a statement of a policy, ECR's actions without their prefix.
func Statement(s policy.Statement) string {
	words := string(s.Effect) + " "
	if s.NotPrincipal.IsZero() {
		words += principals(s.Principal)
	} else {
		words += "everyone except " + principals(s.NotPrincipal)
	}
	if s.NotAction == nil {
		words += ": " + actions(s.Action)
	} else {
		words += ": everything except " + actions(s.NotAction)
	}
	switch {
	case s.NotResource != nil:
		words += " on everything except " + strings.Join(s.NotResource, ", ")
	case s.Resource != nil:
		words += " on " + strings.Join(s.Resource, ", ")
	}
	for i, c := range s.Condition {
		words += []string{" when ", " and "}[min(i, 1)] + c.Key + " " + c.Operator + " " + strings.Join(c.Values, " or ")
	}
	return words
}

// principals lists whom p names, accounts by their ids.
func principals(p policy.Principals) string { return strings.Join(PrincipalNames(p), ", ") }

// PrincipalNames are those whom p names, accounts by their ids.
func PrincipalNames(p policy.Principals) []string {
	if p.Everyone {
		return []string{"everyone"}
	}
	var names []string
	for _, s := range p.AWS {
		switch id := policy.AccountOf(s); {
		case s == "*":
			s = "everyone"
		case id != "":
			s = "account " + id
		}
		names = append(names, s)
	}
	for _, list := range [][]string{p.Service, p.Federated, p.CanonicalUser} {
		names = append(names, list...)
	}
	return names
}

// actions lists actions without the service, which is ECR for all policies
// that are shown.
func actions(list []string) string { return strings.Join(ActionNames(list), ", ") }

// ActionNames are actions without the service, unless that says all.
func ActionNames(list []string) []string {
	names := make([]string, len(list))
	for i, a := range list {
		names[i] = a
		if bare := strings.TrimPrefix(a, "ecr:"); bare != "*" {
			names[i] = bare
		}
	}
	return names
}

// Principal is whom an ARN names: "account 111111111111" for an account,
// "every other AWS account" for "*", and else the ARN.
func Principal(arn string) string {
	switch {
	case arn == "*":
		return "every other AWS account"
	case policy.AccountOf(arn) != "":
		return "account " + policy.AccountOf(arn)
	}
	return Clean(arn)
}

// Principals is whom an answer about an ARN is about: Principal, but of an
// account that was not seen "users and roles of account 111111111111".
func Principals(arn string, unseen bool) string {
	if id := policy.AccountOf(arn); unseen && id != "" {
		return "users and roles of account " + id
	}
	return Principal(arn)
}
