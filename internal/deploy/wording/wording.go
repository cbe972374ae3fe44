// Package wording tells policies that have the same effect in other words from those
// that have another effect.
//
// It does not compare texts, and proves nothing: it tries. The engines that decide
// about images and requests judge images and principals that are made for the two
// policies, the same each time; if any of them is treated differently, the effect is
// another. It is pure.
package wording

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/lifecycle"
	"github.com/kontor-registry/kontor/policy"
)

// How much is tried before two policies count as the same. What is tried is made
// of the two policies, and the same each time.
const (
	trials       = 60    // sets of images
	fewImages    = 24    // in most of them
	manyImages   = 2_000 // the largest count that is tried with so many images
	mostCallers  = 200   // principals
	unknownOwner = "999999999999"
)

// SameLifecycle tries the two policies on images and returns one that they treat
// differently, "" when there was none. It looks at what happens to images, by
// Kontor's reading and by what is assumed of Amazon ECR, and not at which rule
// does it. A policy without rules is none.
func SameLifecycle(p, q lifecycle.Policy) string {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	m := imageMaker{Rand: rand.New(rand.NewPCG(1, 2)), now: now} // the same examples each time
	for _, r := range slices.Concat(p.Rules, q.Rules) {
		m.learn(r)
	}
	try := func(images []lifecycle.Image) string {
		for _, o := range []lifecycle.Options{{}, lifecycle.PredictAWS()} {
			a, b := o.Decide(p, images, now), o.Decide(q, images, now)
			for i := range images {
				if a[i].Action != b[i].Action {
					return describe(images[i], now)
				}
			}
		}
		return ""
	}
	for range trials {
		if s := try(m.images(1+m.IntN(fewImages), nil)); s != "" {
			return s
		}
	}
	for _, r := range slices.Concat(p.Rules, q.Rules) {
		n := r.Selection.CountNumber
		if r.Selection.CountType != lifecycle.ImageCountMoreThan || n > manyImages {
			continue
		}
		for extra := range 4 {
			if s := try(m.images(n+extra, &r.Selection)); s != "" {
				return s
			}
		}
	}
	return ""
}

// describe is such as "one tagged v1 and x, 3.5 days after its push".
func describe(m lifecycle.Image, now time.Time) string {
	what := "one without tags"
	if len(m.Tags) > 0 {
		what = "one tagged " + strings.Join(m.Tags, " and ")
	}
	days := strconv.FormatFloat(now.Sub(m.PushedAt).Hours()/24, 'f', 1, 64)
	return fmt.Sprintf("%s, %s days after its push", what, days)
}

// imageMaker makes images for the rules that it has learned.
type imageMaker struct {
	*rand.Rand
	now  time.Time
	tags []string
	days []int
	made int
}

var fillings = []string{"", "1", "x", "-2", "v", "prod", ".0-rc"}

func (m *imageMaker) learn(r lifecycle.Rule) {
	for _, p := range slices.Concat(r.Selection.TagPatterns, prefixed(r.Selection.TagPrefixes)) {
		for range 3 {
			m.tags = append(m.tags, m.fill(p))
		}
		bare := strings.ReplaceAll(p, "*", "")
		m.tags = append(m.tags, bare+"x", "x"+bare, bare[:max(0, len(bare)-1)]+"z")
	}
	if r.Selection.CountUnit == lifecycle.Days {
		m.days = append(m.days, r.Selection.CountNumber)
	}
}

func prefixed(list []string) []string {
	var out []string
	for _, p := range list {
		out = append(out, p+"*")
	}
	return out
}

// fill is a tag that the pattern matches.
func (m *imageMaker) fill(pattern string) string {
	var b strings.Builder
	for i, part := range strings.Split(pattern, "*") {
		if i > 0 {
			b.WriteString(fillings[m.IntN(len(fillings))])
		}
		b.WriteString(part)
	}
	if b.Len() == 0 {
		return "x"
	}
	return b.String()
}

// images makes n images; all of them meet sel, if that is not nil, and count.
func (m *imageMaker) images(n int, sel *lifecycle.Selection) []lifecycle.Image {
	out := make([]lifecycle.Image, n)
	for i := range out {
		m.made++
		image := lifecycle.Image{Digest: fmt.Sprintf("sha256:%064x", m.made), PushedAt: m.now.Add(-m.age())}
		switch {
		case sel != nil:
			for _, p := range slices.Concat(sel.TagPatterns, prefixed(sel.TagPrefixes)) {
				image.Tags = append(image.Tags, m.fill(p))
			}
			if sel.TagStatus == lifecycle.Any && m.IntN(2) == 0 {
				image.Tags = []string{m.tag()}
			}
		case m.IntN(4) > 0:
			for range 1 + m.IntN(3) {
				image.Tags = append(image.Tags, m.tag())
			}
		}
		slices.Sort(image.Tags)
		image.Tags = slices.Compact(image.Tags)
		kind := m.IntN(20)
		switch {
		case sel != nil:
		case kind == 0:
			image.Status, image.LastArchivedAt = lifecycle.StatusArchived, image.PushedAt.Add(time.Hour)
		case kind == 1:
			image.Subject = out[m.IntN(i+1)].Digest
		case kind == 2:
			image.Children = []string{out[m.IntN(i+1)].Digest}
		case kind == 3:
			image.LastPulledAt = m.now.Add(-m.age() / 2)
		}
		out[i] = image
	}
	return out
}

func (m *imageMaker) tag() string {
	if len(m.tags) == 0 || m.IntN(6) == 0 {
		return []string{"latest", "other", "1.0"}[m.IntN(3)]
	}
	return m.tags[m.IntN(len(m.tags))]
}

// age is near one of the rules' numbers of days, or anything up to twice that.
func (m *imageMaker) age() time.Duration {
	most := 30
	if len(m.days) > 0 {
		most = m.days[m.IntN(len(m.days))]
		if m.IntN(2) == 0 {
			return time.Duration((float64(most) + m.Float64() - 0.5) * float64(24*time.Hour))
		}
	}
	return time.Duration(m.Float64() * 2 * float64(min(most, 50_000)) * float64(24*time.Hour))
}

// Mark notes on the differences of p in which only words differ: on images and
// people they have the same effect.
func Mark(p *plan.Plan) {
	in := p.Target.Registry()
	type pair struct{ before, after string }
	lifecycles, policies := map[pair]*plan.Wording{}, map[pair]*plan.Wording{}
	for i := range p.Changes {
		c := &p.Changes[i]
		if c.Before == nil || c.After == nil {
			continue
		}
		for k := range c.Differences {
			d := &c.Differences[k]
			texts, known, compare := pair{c.Before.Lifecycle, c.After.Lifecycle}, lifecycles, sameLifecycleTexts
			switch d.Field {
			case plan.FieldLifecycle:
			case plan.FieldPolicy:
				texts, known = pair{c.Before.Policy, c.After.Policy}, policies
				compare = func(before, after string) *plan.Wording { return sameAccessTexts(in, before, after) }
			default:
				continue
			}
			w, seen := known[texts] // most repositories share a few
			if !seen {
				w = compare(texts.before, texts.after)
				known[texts] = w
			}
			d.OtherWording = w
		}
	}
}

// sameLifecycleTexts compares two policies, "" for none; nil when their effect is not
// the same, or they cannot be read.
func sameLifecycleTexts(before, after string) *plan.Wording {
	var list [2]lifecycle.Policy
	for i, text := range []string{before, after} {
		if text == "" {
			continue
		}
		var err error
		if list[i], err = lifecycle.Decode([]byte(text)); err != nil {
			return nil
		}
	}
	if SameLifecycle(list[0], list[1]) != "" {
		return nil
	}
	return &plan.Wording{}
}

func sameAccessTexts(in ecr.RegistryID, before, after string) *plan.Wording {
	var list [2]policy.Document
	for i, text := range []string{before, after} {
		if text == "" {
			continue
		}
		var err error
		if list[i], err = policy.Parse([]byte(text)); err != nil {
			return nil
		}
	}
	change := CompareAccess(in, list[0], list[1])
	// A principal with a part of a right can gain or lose that part.
	parts := proof.Pull.Actions()
	ofPull := func(name string) bool { return slices.Contains(parts, access.Action(name)) }
	if change.Right != "" || slices.ContainsFunc(change.Gained, ofPull) || slices.ContainsFunc(change.Lost, ofPull) {
		return nil
	}
	return &plan.Wording{Gained: change.Gained, Lost: change.Lost}
}

// AccessChange is what another repository policy changes for the principals that
// were tried.
type AccessChange struct {
	// Right is a right, or an action that changes something, which a principal gains
	// or loses, in words; "" when there was none.
	Right string
	// Gained and Lost are actions that only read, sorted, which are part of no right
	// that was gained or lost.
	Gained, Lost []string
}

// CompareAccess tries two policies of a repository of registry in on principals,
// with identity policies that allow everything and without.
func CompareAccess(in ecr.RegistryID, p, q policy.Document) AccessChange {
	before, after := policy.Compile(p), policy.Compile(q)
	everything := policy.Compile(policy.Document{Version: policy.Version2012, Statements: []policy.Statement{
		{Effect: policy.Allow, Action: []string{"ecr:*"}, Resource: []string{"*"}},
	}})
	arn := in.RepositoryARN("repository")
	gained, lost := map[string]bool{}, map[string]bool{}
	for _, c := range callers(in, p, q) {
		for _, identity := range [][]policy.Named{nil, {{Name: "identity", Policy: everything}}} {
			may := func(doc *policy.Compiled) map[string]policy.Outcome {
				out := map[string]policy.Outcome{}
				for _, a := range policy.Actions() {
					if !a.Repository {
						continue
					}
					r := policy.Request{
						Principal: c.Caller, Action: a.Name, Resource: arn, Owner: string(in.Account), Context: c.context,
						Unknown: []string{"*"}, Identity: identity, ResourceBased: []policy.Named{{Name: "repository policy", Policy: doc}},
					}
					out[a.Name] = policy.Evaluate(r).Outcome
				}
				return out
			}
			a, b := may(before), may(after)
			if word := right(a, b); word != "" {
				return AccessChange{Right: fmt.Sprintf("%s for %s", word, c.name)}
			}
			for name := range a {
				switch {
				case a[name] == b[name]:
				case a[name] == policy.Denied:
					gained[name] = true
				default:
					lost[name] = true
				}
			}
		}
	}
	return AccessChange{Gained: sortedKeys(gained), Lost: sortedKeys(lost)}
}

// right is the word for what only one of the two allows; "" when they differ in
// actions that read, at most.
func right(a, b map[string]policy.Outcome) string {
	has := func(m map[string]policy.Outcome, r proof.Right) policy.Outcome {
		worst := policy.Allowed
		for _, action := range r.Actions() {
			o, ok := m[string(action)]
			if ok && (o == policy.Denied || o == policy.Depends && worst == policy.Allowed) {
				worst = o
			}
		}
		return worst
	}
	for _, r := range proof.Rights() {
		if has(a, r) != has(b, r) {
			return string(r)
		}
	}
	for _, action := range policy.Actions() {
		if a[action.Name] != b[action.Name] && !Reads(action.Name) {
			return action.Name
		}
	}
	return ""
}

// Reads reports whether an action changes nothing.
func Reads(action string) bool {
	name := strings.TrimPrefix(action, "ecr:")
	for _, p := range []string{"BatchGet", "BatchCheck", "Describe", "Get", "List"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// caller is a principal that is tried, and the rest of its request.
type caller struct {
	policy.Caller
	name    string
	context policy.Context
}

// callers are principals that the policies name, others of their accounts, and
// strangers.
func callers(in ecr.RegistryID, docs ...policy.Document) []caller {
	var out []caller
	partition := in.Region.Partition()
	organizations := []string{""}
	sources := []string{"arn:aws:lambda:us-east-1:" + unknownOwner + ":function:other"}
	services := []string{"ecs-tasks.amazonaws.com"}
	accounts := []string{string(in.Account), unknownOwner}
	var named []string
	for _, d := range docs {
		for _, s := range d.Statements {
			for _, p := range slices.Concat(s.Principal.AWS, s.NotPrincipal.AWS) {
				if id := policy.AccountOf(p); id != "" {
					accounts = append(accounts, id)
				} else if p != "*" {
					named = append(named, p)
				}
			}
			services = append(services, s.Principal.Service...)
			for _, c := range s.Condition {
				switch strings.ToLower(c.Key) {
				case "aws:principalorgid":
					organizations = append(organizations, c.Values...)
				case "aws:sourcearn":
					for _, v := range c.Values {
						sources = append(sources, strings.NewReplacer("*", "x", "?", "y").Replace(v), strings.ReplaceAll(v, "*", "1"), v+"0", strings.ReplaceAll(v, "function", "layer"))
					}
				case "aws:sourceaccount":
					for _, v := range c.Values {
						sources = append(sources, "arn:aws:sagemaker:us-east-1:"+v+":training-job/job-1")
					}
				}
			}
		}
	}
	for _, o := range distinct(organizations) {
		for _, a := range distinct(accounts) {
			for _, arn := range []string{
				ecr.IAMARN(partition, ecr.AccountID(a), "root"), ecr.IAMARN(partition, ecr.AccountID(a), "user/somebody"),
				"arn:" + partition + ":sts::" + a + ":assumed-role/other/session",
			} {
				out = addCaller(out, arn, o)
			}
		}
		for _, p := range distinct(named) {
			arn := p
			if head, role, ok := strings.Cut(p, ":role/"); ok {
				account := head[strings.LastIndexByte(head, ':')+1:]
				arn = "arn:" + partition + ":sts::" + account + ":assumed-role/" + role[strings.LastIndexByte(role, '/')+1:] + "/session"
				out = addCaller(out, arn, o)
				if len(out) > 0 && out[len(out)-1].ARN == arn {
					out[len(out)-1].RoleARN = p
				}
				continue
			}
			out = addCaller(out, arn, o)
		}
	}
	if len(out) > mostCallers {
		r := rand.New(rand.NewPCG(3, 4))
		r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
		out = out[:mostCallers]
	}
	for _, s := range distinct(services) {
		for _, source := range distinct(sources) {
			c := caller{Caller: policy.Caller{Type: policy.Service, ARN: s}, name: s + " for " + source}
			c.context.Set("aws:SourceArn", source)
			if parts := strings.SplitN(source, ":", 6); len(parts) == 6 {
				c.context.Set("aws:SourceAccount", parts[4])
			}
			out = append(out, c)
		}
	}
	return out
}

func addCaller(out []caller, arn, organization string) []caller {
	c, err := policy.ParseCaller(arn)
	if err != nil {
		return out // the policy names something that cannot make requests
	}
	c.OrganizationID = organization
	return append(out, caller{Caller: c, name: arn})
}

func distinct(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }

func sortedKeys(m map[string]bool) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
