package lifecycle

import (
	"cmp"
	"slices"
	"time"

	"github.com/kontor-registry/kontor/internal/jsonpos"
)

// LintCode names a kind of finding. It never changes its meaning.
type LintCode string

// The kinds of findings.
const (
	LintList       LintCode = "KON3001" // a list with several elements: all must match
	LintNothing    LintCode = "KON3002" // a rule that selects no image
	LintShadowed   LintCode = "KON3003" // a rule that owns no image, because higher ones own all it selects
	LintKeepsNone  LintCode = "KON3004" // a keep rule that keeps nothing
	LintProduction LintCode = "KON3005" // an image with a tag such as prod or v1.2.3 that goes by a rule about another tag
	LintInUse      LintCode = "KON3006" // an image goes by its age though it was pulled more recently than that, or is in use
	LintPulled     LintCode = "KON3007" // sinceImagePulled with expire, which ECR refuses
	LintUntagged   LintCode = "KON3008" // no rule for untagged images
	LintNeverFull  LintCode = "KON3009" // a count that the images never exceed
	LintDuplicate  LintCode = "KON3010" // two rules, or two elements of a list, that say the same
	LintSignature  LintCode = "KON3011" // a signature by tag goes, its image stays
	// A count is used up by images of higher rules: "keep 200" keeps 47.
	LintUsedUp LintCode = "KON3012"
	// A count rule takes an image that was pulled lately or is in use.
	LintCountInUse LintCode = "KON3013"
	// A count includes signatures, charts, caches or parts of indexes.
	LintCountsOthers LintCode = "KON3014"
	LintNoSuchTag    LintCode = "KON3015" // an element of a list that no tag can meet
	LintEmpties      LintCode = "KON3016" // nothing is left when pushes stop
	LintDescription  LintCode = "KON3017" // a description that contradicts its rule
)

// Severity says how bad a finding is.
type Severity string

// The severities.
const (
	Warning Severity = "warning" // likely a mistake, or images in use are lost
	Note    Severity = "note"    // worth knowing
)

// Finding is one thing that Lint has to say about a policy.
type Finding struct {
	Code     LintCode
	Severity Severity
	Rule     int    // priority of the rule; 0 for the whole policy
	Path     string // as that of Error
	// Offset, Line and Column are those of Error; 0 from Lint, which has no
	// text.
	Offset, Line, Column int
	Message              string // what is so, in one sentence without a full stop
	Remedy               string // what to do about it, likewise
	// Images are the digests of the images that the finding is about, in the
	// order of the images.
	Images []string

	path jsonpos.Path
}

// keepAll is the least count that is meant as "all": keep rules are written
// with numbers out of reach.
const keepAll = 9_999

// Lint looks for rules that do not do what their author will have meant. With
// images it also looks at what p does to them at now; without, only at what is
// so whatever the images. p should be one that Validate accepts. The findings
// are in the order of the codes and, within one, of the rules' priorities.
func Lint(p Policy, images []Image, now time.Time) []Finding {
	return Options{}.Lint(p, images, now)
}

// Lint is the function Lint under o.
func (o Options) Lint(p Policy, images []Image, now time.Time) []Finding {
	l := linter{board: newBoard(o, p, images)}
	l.out = make([]Outcome, len(images))
	l.evaluate(now, l.out)
	l.guard(l.out)
	l.selected, l.owned = make([][]int, len(l.rules)), make([][]int, len(l.rules))
	for i, rules := range l.matched {
		for k, id := range rules {
			l.selected[id] = append(l.selected[id], i)
			if k == 0 {
				l.owned[id] = append(l.owned[id], i)
			}
		}
	}
	for id := range l.rules {
		l.list(id)
		if !l.texts(id) {
			l.reach(id)
		}
		l.pulled(id)
		l.duplicates(id)
		l.description(id)
		l.count(id, now)
	}
	l.untagged()
	l.empties(now)
	l.victims(now)
	l.signatures()
	slices.SortStableFunc(l.found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Code, b.Code), cmp.Compare(a.Rule, b.Rule))
	})
	return l.found
}

// LintText is Lint of the policy that text is, with the places in text. Its
// error is that of Decode.
func LintText(text []byte, images []Image, now time.Time) ([]Finding, error) {
	return Options{}.LintText(text, images, now)
}

// LintText is the function LintText under o.
func (o Options) LintText(text []byte, images []Image, now time.Time) ([]Finding, error) {
	p, err := Decode(text)
	if err != nil {
		return nil, err
	}
	root, err := jsonpos.Parse(text)
	if err != nil {
		return nil, err
	}
	found := o.Lint(p, images, now)
	for i := range found {
		at := root.Locate(found[i].path).Pos
		found[i].Offset, found[i].Line, found[i].Column = at.Offset, at.Line, at.Column
	}
	return found, nil
}

// linter is a board that is looked at.
type linter struct {
	*board
	out             []Outcome // after the guards
	selected, owned [][]int   // images by rule
	found           []Finding
}

// add reports something about rule id, -1 for the policy, and images; at leads
// from the rule, or the policy, to the place.
func (l *linter) add(code LintCode, severity Severity, id int, at jsonpos.Path, images []int, message, remedy string) {
	f := Finding{Code: code, Severity: severity, Message: message, Remedy: remedy, path: at}
	if id >= 0 {
		f.Rule = l.rules[id].Priority
		f.path = jsonpos.Path{"rules", l.rules[id].index}.At(at...)
	}
	f.Path = f.path.String()
	for _, i := range images {
		f.Images = append(f.Images, l.images[i].Digest)
	}
	l.found = append(l.found, f)
}
