package render

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/lifecycle"
	"github.com/kontor-registry/kontor/policy"
)

// words says what a part of a document does. A text that cannot be read
// stands for itself.
func words(f plan.Field, text string) string {
	switch f {
	case plan.FieldLifecycle:
		if p, err := lifecycle.Decode([]byte(text)); err == nil && len(p.Rules) == 1 {
			return clean(rule(p.Rules[0]))
		}
	case plan.FieldPolicy:
		if d, err := policy.Parse([]byte(text)); err == nil && len(d.Statements) == 1 {
			return clean(statement(d.Statements[0]))
		}
	}
	return clean(text)
}

// outOfReach is a count that no repository comes to: with it a rule is written
// to keep all its images.
const outOfReach = 9_999

// rule is a lifecycle rule in words.
func rule(r lifecycle.Rule) string {
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
	days := count(s.CountNumber, "day", "days")
	switch s.CountType {
	case lifecycle.ImageCountMoreThan:
		if s.CountNumber >= outOfReach {
			return images + " are kept, as long as there are no more than " + strconv.Itoa(s.CountNumber)
		}
		return fmt.Sprintf("%s %s, but for the newest %d", images, action, s.CountNumber)
	case lifecycle.SinceImagePushed:
		return fmt.Sprintf("%s %s %s after their push", images, action, days)
	case lifecycle.SinceImagePulled:
		return fmt.Sprintf("%s %s %s after their last pull", images, action, days)
	case lifecycle.SinceImageTransitioned:
		return fmt.Sprintf("%s %s %s after they were archived", images, action, days)
	}
	return fmt.Sprintf("%s %s at %s %d", images, action, s.CountType, s.CountNumber)
}

// statement is a statement of a policy in words.
func statement(s policy.Statement) string {
	words := string(s.Effect) + " "
	if s.NotPrincipal.IsZero() {
		words += principals(s.Principal)
	} else {
		words += "everyone but " + principals(s.NotPrincipal)
	}
	if s.NotAction == nil {
		words += ": " + actions(s.Action)
	} else {
		words += ": everything but " + actions(s.NotAction)
	}
	switch {
	case s.NotResource != nil:
		words += " on all but " + strings.Join(s.NotResource, ", ")
	case s.Resource != nil:
		words += " on " + strings.Join(s.Resource, ", ")
	}
	for i, c := range s.Condition {
		words += []string{" when ", " and "}[min(i, 1)] + c.Key + " " + c.Operator + " " + strings.Join(c.Values, " or ")
	}
	return words
}

// principals lists whom p names, accounts by their ids.
func principals(p policy.Principals) string { return strings.Join(principalNames(p), ", ") }

func principalNames(p policy.Principals) []string {
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
func actions(list []string) string { return strings.Join(actionNames(list), ", ") }

func actionNames(list []string) []string {
	names := make([]string, len(list))
	for i, a := range list {
		names[i] = a
		if bare := strings.TrimPrefix(a, "ecr:"); bare != "*" {
			names[i] = bare
		}
	}
	return names
}
