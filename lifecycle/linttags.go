package lifecycle

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/kontor-registry/kontor/internal/jsonpos"
	"github.com/kontor-registry/kontor/internal/lazyregexp"
)

// A tag has at most maxTag characters: letters, digits, '_', '.' and '-', and
// does not begin with '.' or '-' (OCI distribution specification 1.1, "Pulling
// manifests").
const maxTag = 128

// untaggable says why no tag meets an element of a list, and what was likely
// meant; "" when one does.
func untaggable(element string, isPrefix bool) (why, remedy string) {
	text := element
	if !isPrefix {
		text = strings.ReplaceAll(element, "*", "")
	}
	switch i := strings.IndexFunc(text, func(r rune) bool { return !tagRune(r) }); {
	case i >= 0:
		r := []rune(text[i:])[0]
		return fmt.Sprintf("no tag has the character %q", r), untaggableRemedy(element, r)
	case len(text) > maxTag:
		return fmt.Sprintf("no tag is longer than %d characters", maxTag), "shorten it"
	case strings.HasPrefix(element, ".") || strings.HasPrefix(element, "-"):
		return fmt.Sprintf("no tag begins with %q", element[0]), `begin with "*" if any text may stand before it`
	}
	return "", ""
}

func tagRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '.' || r == '-'
}

func untaggableRemedy(element string, r rune) string {
	switch {
	case r == '*':
		return `a prefix needs no asterisk: remove it, or write a tagPatternList`
	case unicode.IsSpace(r):
		return "remove the space"
	case strings.ContainsRune("{},", r):
		return "write one rule for each alternative: patterns do not support alternatives"
	case strings.ContainsRune("^$[]()|+?\\", r):
		return `the only wildcard is "*", for any text: patterns are not regular expressions`
	case r == '/':
		return `tags cannot contain a slash: check how branch names are written in tags, often with "-"`
	case r == ':' || r == '@':
		return "write the tag alone, without the image's name"
	}
	return "compare it with the tags that are pushed"
}

// texts finds elements that no tag meets, and reports whether there are some:
// then the rule selects nothing.
func (l *linter) texts(id int) bool {
	r := &l.rules[id]
	if r.Selection.TagStatus != Tagged {
		return false
	}
	list, name := r.elements()
	found := false
	for i, element := range list {
		why, remedy := untaggable(element, name == "tagPrefixList")
		if why == "" {
			continue
		}
		found = true
		what := "selects"
		if r.keeps() {
			what = "keeps"
		}
		l.add(LintNoSuchTag, Warning, id, jsonpos.Path{"selection", name, i}, nil,
			fmt.Sprintf("rule %d %s nothing: %s, and %q does", r.Priority, what, why, element), remedy)
	}
	return found
}

// environments are words of tags that say where an image runs, or that it is
// meant to run.
var environments = []string{
	"prod", "production", "prd", "live", "stable", "release", "released", "rel", "preprod", "staging", "stage", "stg", "uat", "acceptance", "acc",
	"qa", "test", "testing", "integration", "int", "sandbox", "demo", "canary", "blue", "green", "beta", "rc", "lts", "current", "latest", "edge", "hotfix",
}

// version matches tags such as v1.2.3, 1.0-alpine, api-2.1 and 2026.03.1.
var version = lazyregexp.New(`(?i)(^|[-_])(v|ver|version|rel|release)?[-_.]?(0|[1-9][0-9]{0,3})(\.[0-9]{1,4}){1,3}([-+_.].*)?$|^v[0-9]{1,4}$`)

// Deployed reports whether a tag looks like a version or an environment, such as
// "v1.2.3" or "prod-17": like one that people pull by its name.
func Deployed(tag string) bool {
	words := strings.FieldsFunc(strings.ToLower(tag), func(c rune) bool { return !unicode.IsLetter(c) })
	return slices.ContainsFunc(words, func(w string) bool { return slices.Contains(environments, w) }) || version.MatchString(tag)
}

// A number in a description, and what it counts.
var (
	saidDays   = lazyregexp.New(`(?i)\b(\d+|` + numberWords + `)[- ]?(day|d|week|w|month|year|yr)s?\b`)
	saidImages = lazyregexp.New(`(?i)\b(?:last|latest|newest|recent|keep|retain|only|than|most)\s+(?:the\s+)?(?:last\s+|latest\s+|newest\s+|most recent\s+)?(\d+|` + numberWords + `)\b(?:[- ](?:[a-z-]+ ){0,3}?(days?|d|weeks?|months?|years?)\b)?`)
	saidCount  = lazyregexp.New(`(?i)\b(\d+|` + numberWords + `)\s+(?:[a-z*._-]+\s+){0,3}?(?:images?|tags?|builds?|versions?|releases?)\b`)
	saidAll    = lazyregexp.New(`(?i)\b(?:never (?:expire|delete|remove)|(?:do not|don't|dont) (?:expire|delete|remove)|keep (?:them |these |images )?forever|forever)\b`)
	saidOthers = lazyregexp.New(`(?i)\b(?:all|any|every|tagged|too|also|including)\b`)
	saidBare   = lazyregexp.New(`(?i)\buntagged\b|\bwithout (?:a )?tags?\b`)
)

const numberWords = `one|two|three|four|five|six|seven|eight|nine|ten|twelve|fourteen|fifteen|twenty|thirty|fifty|sixty|ninety|hundred`

var wordNumbers = map[string]int{
	"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "twelve": 12, "fourteen": 14,
	"fifteen": 15, "twenty": 20, "thirty": 30, "fifty": 50, "sixty": 60, "ninety": 90, "hundred": 100,
}

// exact reports whether only one image at a time can meet the list of r.
func (r *rule) exact() bool {
	return slices.ContainsFunc(r.Selection.TagPatterns, func(s string) bool { return !strings.Contains(s, "*") })
}

// amount is a number that a description says, and its unit of time, "" for none.
type amount struct {
	n    int
	unit string
}

// said finds the amounts of an expression with a number and perhaps a unit. The
// beginning of a version such as 3.x is none.
func said(e *lazyregexp.Regexp, text string) []amount {
	var out []amount
	for _, at := range e.FindAllStringSubmatchIndex(text, -1) {
		word, rest := strings.ToLower(text[at[2]:at[3]]), text[at[3]:]
		if len(rest) > 1 && rest[0] == '.' && rest[1] != ' ' {
			continue
		}
		n, ok := wordNumbers[word]
		if !ok {
			n, _ = strconv.Atoi(word) // one that is too large fits nothing
		}
		a := amount{n: n}
		if len(at) > 4 && at[4] >= 0 {
			a.unit = strings.ToLower(text[at[4]:at[5]])
		}
		out = append(out, a)
	}
	return out
}

// description finds descriptions that say something else than their rules do.
func (l *linter) description(id int) {
	r := &l.rules[id]
	if why := r.contradiction(); why != "" {
		l.add(LintDescription, Warning, id, jsonpos.Path{"description"}, nil,
			fmt.Sprintf("the description of rule %d, %q, contradicts it: %s", r.Priority, r.Description, why), "correct the one that is wrong")
	}
}

// contradiction is how the description contradicts the rule; "" when it does
// not, as far as a program can see.
func (r *rule) contradiction() string {
	text, s := r.Description, r.Selection
	n := s.CountNumber
	switch {
	case text == "":
		return ""
	case saidBare.MatchString(text) && !saidOthers.MatchString(text) && s.TagStatus == Any:
		return "it is about tagged images, too"
	case saidBare.MatchString(text) && !saidOthers.MatchString(text) && s.TagStatus == Tagged:
		return "it is about tagged images"
	case saidAll.MatchString(text) && s.CountType != ImageCountMoreThan:
		return fmt.Sprintf("it acts after %d days", n)
	case saidAll.MatchString(text) && !r.keeps() && !r.exact():
		return fmt.Sprintf("it keeps only %d images", n)
	}
	var days, images []int
	fits := false
	for _, m := range said(saidDays, text) {
		days = append(days, m.n)
		fits = fits || s.CountType != ImageCountMoreThan && sameDays(m.n, m.unit, n)
	}
	for _, m := range said(saidImages, text) {
		if m.unit == "" {
			images = append(images, m.n)
		}
	}
	for _, m := range said(saidCount, text) {
		images = append(images, m.n)
	}
	counts := s.CountType == ImageCountMoreThan
	fits = fits || counts && slices.Contains(images, n)
	switch {
	case fits || len(days)+len(images) == 0 || r.keeps():
		return ""
	case counts && len(images) > 0:
		return fmt.Sprintf("it keeps %d images, not %d", n, images[0])
	case counts:
		return fmt.Sprintf("it keeps the newest %d images, whatever their age", n)
	case len(days) > 0:
		return fmt.Sprintf("it acts after %d days", n)
	}
	return fmt.Sprintf("it acts after %d days, however many images there are", n)
}

// sameDays reports whether said units are n days.
func sameDays(said int, unit string, n int) bool {
	switch unit[0] {
	case 'w':
		return said*7 == n
	case 'm':
		return n >= said*28 && n <= said*31
	case 'y':
		return n >= said*360 && n <= said*366
	}
	return said == n
}
