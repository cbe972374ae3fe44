package rollout

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/policy"
)

// Effect is one effect of a change, in words. The subject is left out where it is
// the repository.
type Effect struct {
	// Kind is what it is about.
	Kind EffectKind `json:"kind"`
	// Action is Add for what comes or stays, Remove for what goes, Modify for the
	// rest.
	Action plan.Action `json:"action"`
	Text   string      `json:"text"`
	// Items are what a reader should see in any case, and All everything there is.
	// More is how many of All are not among Items.
	Items []string `json:"items,omitempty"`
	All   []string `json:"all,omitempty"`
	More  int      `json:"more,omitempty"`
	// Detail: it is for readers who ask for everything.
	Detail bool `json:"detail,omitempty"`
}

// EffectKind is what an effect is about.
type EffectKind string

// The kinds, in the order in which they are told.
const (
	EffectImages EffectKind = "images"
	EffectTags   EffectKind = "tags"
	EffectPeople EffectKind = "people"
)

// mostItems is how many images that matter are named.
const mostItems = 5

// EffectsOf are the effects of a change in words; none for nil.
func EffectsOf(e *plan.Effects) []Effect {
	if e == nil {
		return nil
	}
	var out []Effect
	if e.Images != nil {
		out = append(out, imageEffects(*e.Images)...)
	}
	if e.Access != nil {
		out = append(out, accessEffects(*e.Access)...)
	}
	return out
}

func imageEffects(e plan.ImageEffects) []Effect {
	if e.Unread != "" {
		return []Effect{{Kind: EffectImages, Action: plan.Modify, Text: "which images that affects is not known: " + words.Clean(e.Unread)}}
	}
	var out []Effect
	if d := e.Deleted; d != nil && d.Count > 0 {
		x := Effect{Kind: EffectImages, Action: plan.Remove, Text: fmt.Sprintf("%s deleted%s", sized(*d), of(*d, e))}
		x.list(e)
		out = append(out, x)
	}
	if text := ahead(e.Expire); text != "" {
		first := e.Expire[slices.IndexFunc(e.Expire, func(h plan.Horizon) bool { return h.Count > 0 })]
		x := Effect{Kind: EffectImages, Action: plan.Remove, Text: fmt.Sprintf("of %s, %s, which the old policy keeps%s",
			words.Count(e.Count, "image", "images"), text, of(first, e))}
		x.list(e)
		out = append(out, x)
	}
	if text := saved(e.Saved); text != "" {
		out = append(out, Effect{Kind: EffectImages, Action: plan.Add, Text: text})
	}
	if t := e.Tags; t != nil {
		for _, x := range []struct {
			n     int
			names []string
			one   string
			many  string
		}{{t.Overwritable, texts(t.OverwritableTags), "becomes overwritable", "become overwritable"}, {t.Frozen, texts(t.FrozenTags), "can no longer be overwritten", "can no longer be overwritten"}} {
			if x.n > 0 {
				out = append(out, Effect{Kind: EffectTags, Action: plan.Modify, Text: fmt.Sprintf("%s %s: %s",
					words.Count(x.n, "tag", "tags"), words.Plural(x.n, x.one, x.many), some(x.names, x.n))})
			}
		}
	}
	return out
}

// list names images: those that matter, and all.
func (x *Effect) list(e plan.ImageEffects) {
	for _, g := range e.Going {
		line := name(g)
		if why := why(g, e.At); why != "" {
			line += ": " + why
		}
		x.All = append(x.All, line+when(g))
		if g.Matters() && len(x.Items) < mostItems {
			x.Items = append(x.Items, line)
		}
	}
	if e.Unlisted > 0 {
		x.All = append(x.All, fmt.Sprintf("and %d more", e.Unlisted))
	}
	if len(x.Items) == 0 { // none matters: the first will do
		for _, g := range e.Going[:min(len(e.Going), mostItems)] {
			x.Items = append(x.Items, name(g))
		}
	}
	x.More = len(e.Going) + e.Unlisted - len(x.Items)
}

// name is an image's first tag, or its digest.
func name(g plan.Going) string {
	if len(g.Tags) == 0 {
		return words.Digest(words.Clean(g.Digest))
	}
	return words.Clean(g.Tags[0])
}

// when says when an image expires, after its name; "" when it goes with its
// repository.
func when(g plan.Going) string {
	switch {
	case g.Rule == 0:
		return ""
	case g.Days == 0:
		return fmt.Sprintf(" (next run, rule %d)", g.Rule)
	}
	return fmt.Sprintf(" (in %s, rule %d)", words.Count(g.Days, "day", "days"), g.Rule)
}

// why says why an image matters; "" when it does not.
func why(g plan.Going, now time.Time) string {
	var out []string
	if g.UsedBy != "" {
		out = append(out, "in use by "+words.Clean(g.UsedBy))
	}
	if !g.PulledAt.IsZero() {
		out = append(out, "pulled "+Ago(now, g.PulledAt))
	}
	if g.Deployed != "" {
		out = append(out, deployed(g))
	}
	if g.NewestOf != "" {
		out = append(out, "the newest of "+words.Clean(g.NewestOf))
	}
	if g.Perhaps {
		out = append(out, "unless an index lists it")
	}
	return strings.Join(out, ", ")
}

// deployed says that an image has a tag of a version or environment.
func deployed(g plan.Going) string {
	if tag := words.Clean(g.Deployed); tag != name(g) {
		return "has the tag " + tag
	}
	return "a version or environment tag"
}

// Ago is a day as seen from now: "today", "yesterday", "3 days ago". Days are those
// of UTC.
func Ago(now, t time.Time) string {
	const day = 24 * time.Hour
	switch n := int(now.UTC().Truncate(day).Sub(t.UTC().Truncate(day)) / day); {
	case n <= 0:
		return "today"
	case n == 1:
		return "yesterday"
	default:
		return words.Count(n, "day", "days") + " ago"
	}
}

// sized is "3 images (1.2 GiB, frees 80 MiB)".
func sized(h plan.Horizon) string {
	return fmt.Sprintf("%s (%s)", words.Count(h.Count, "image", "images"), bytes(h))
}

// bytes is the size of images, and what is free without them where that is known and
// less.
func bytes(h plan.Horizon) string {
	text := words.Bytes(h.SizeBytes)
	if h.FreedBytes == nil || words.Bytes(*h.FreedBytes) == text {
		return text
	}
	return text + ", frees " + words.Bytes(*h.FreedBytes)
}

// within is when a horizon ends.
func within(h plan.Horizon) string {
	if h.Days == 0 {
		return "at the next run"
	}
	return "within " + words.Count(h.Days, "day", "days")
}

// ahead says how many images expire by when, where that grows; "" for none.
func ahead(list []plan.Horizon) string {
	var out []string
	last := 0
	for _, h := range list {
		if h.Count == 0 || h.Count == last {
			continue
		}
		text := fmt.Sprintf("%d (%s) %s", h.Count, bytes(h), within(h))
		if len(out) == 0 {
			text = fmt.Sprintf("%d %s (%s) %s", h.Count, words.Plural(h.Count, "expires", "expire"), bytes(h), within(h))
		}
		out, last = append(out, text), h.Count
	}
	return strings.Join(out, ", ")
}

// saved says how many images stay; "" for none.
func saved(list []plan.Horizon) string {
	var out []string
	last := 0
	for _, h := range list {
		if h.Count == 0 || h.Count == last {
			continue
		}
		text := fmt.Sprintf("%d %s", h.Count, within(h))
		if len(out) == 0 {
			text = fmt.Sprintf("%s %s that the old policy expires %s", sized(h), words.Plural(h.Count, "stays", "stay"), within(h))
		}
		out, last = append(out, text), h.Count
	}
	return strings.Join(out, ", ")
}

// of says how many of the images of h matter, and how; "" for none.
func of(h plan.Horizon, e plan.ImageEffects) string {
	var out []string
	if h.InUse > 0 {
		out = append(out, fmt.Sprintf("%d in use", h.InUse))
	}
	if h.Pulled > 0 {
		out = append(out, fmt.Sprintf("%d pulled %s", h.Pulled, lastPull(e, h.Days)))
	}
	if h.Perhaps > 0 {
		out = append(out, fmt.Sprintf("%d only if no index lists %s", h.Perhaps, words.Plural(h.Perhaps, "it", "them")))
	}
	if len(out) == 0 {
		return ""
	}
	return "; of them " + strings.Join(out, ", ")
}

// lastPull says when the images that go within days were pulled: of one the day, of
// several that it was in the last 7 days.
func lastPull(e plan.ImageEffects, days int) string {
	var at []time.Time
	for _, g := range e.Going {
		if g.Days <= days && !g.PulledAt.IsZero() {
			at = append(at, g.PulledAt)
		}
	}
	return lastPulled(e.At, at)
}

func lastPulled(now time.Time, at []time.Time) string {
	said := "in the last 7 days"
	for i, t := range at {
		switch ago := Ago(now, t); {
		case i == 0:
			said = ago
		case ago != said:
			return "in the last 7 days"
		}
	}
	return said
}

// some are names, and how many more than those there are.
func some(names []string, all int) string {
	for i, n := range names {
		names[i] = words.Clean(n)
	}
	if len(names) > mostItems {
		names = names[:mostItems]
	}
	if more := all - len(names); more > 0 {
		names = append(names[:len(names):len(names)], fmt.Sprintf("%d more", more))
	}
	return words.And(names)
}

func texts[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, x := range list {
		out[i] = string(x)
	}
	return out
}

// NamesOf are some of the images that expire within so many days, those that matter
// first.
func NamesOf(e plan.ImageEffects, days int) string {
	var names []string
	for _, g := range e.Going {
		if g.Days <= days && len(names) < mostItems {
			names = append(names, name(g))
		}
	}
	return some(names, plan.At(e.Expire, days).Count)
}

// Whom is a principal in words.
func Whom(principal string) string { return words.Principal(principal) }

func accessEffects(e plan.AccessEffects) []Effect {
	if e.Unread != "" {
		return []Effect{{Kind: EffectPeople, Action: plan.Modify, Text: "who gains or loses access is not known: " + words.Clean(e.Unread)}}
	}
	var out []Effect
	alike := map[string][]plan.AccessChange{}
	for _, c := range e.Changes {
		alike[rights(c)] = append(alike[rights(c)], c)
	}
	for _, c := range e.Changes {
		switch all := alike[rights(c)]; {
		case len(all) <= mostItems:
			out = append(out, accessEffect(c))
		case all[0].Principal == c.Principal:
			out = append(out, accessOfMany(all))
		}
	}
	for _, a := range e.Absent {
		out = append(out, Effect{Kind: EffectPeople, Action: plan.Modify, Text: fmt.Sprintf("statement %s grants access to %s, which does not exist", words.Clean(a.Statement), words.Clean(a.Principal))})
	}
	for _, h := range e.Holders {
		x := Effect{Kind: EffectPeople, Action: plan.Modify, Detail: !h.Foreign, Text: "afterwards " + Whom(h.Principal) + " may " + powers(h.Rights)}
		if h.IfAllowed {
			x.Text += ", if its own policies allow it"
		}
		out = append(out, x)
	}
	if e.MoreHolders > 0 {
		out = append(out, Effect{Kind: EffectPeople, Action: plan.Modify, Detail: true, Text: fmt.Sprintf("afterwards %d more may do such things", e.MoreHolders)})
	}
	for _, n := range e.Notes {
		out = append(out, Effect{Kind: EffectPeople, Action: plan.Modify, Detail: true, Text: words.Clean(n)})
	}
	return out
}

// accessEffect is what one principal gains and loses.
func accessEffect(c plan.AccessChange) Effect {
	x := Effect{Kind: EffectPeople, Action: plan.Modify, Text: Whom(c.Principal) + " " + rights(c)}
	switch gains, loses := c.Gains(), c.Loses(); {
	case len(gains) > 0 && len(loses) == 0:
		x.Action = plan.Add
	case len(loses) > 0 && len(gains) == 0:
		x.Action = plan.Remove
	}
	if m := c.MustAllow; m != nil {
		x.Text += fmt.Sprintf(", once a policy of account %s allows it, too", m.Account)
		x.All = []string{fmt.Sprintf("for the administrator of account %s: %s", m.Account, m.Policy)}
		x.More = 1
	}
	return x
}

// accessOfMany is what several principals gain and lose alike.
func accessOfMany(list []plan.AccessChange) Effect {
	who, others := map[string]bool{}, 0
	x := Effect{Kind: EffectPeople, Action: accessEffect(list[0]).Action}
	for _, c := range list {
		one := accessEffect(c)
		who[c.Principal] = true
		if c.MustAllow != nil {
			others++
		}
		if len(x.Items) < mostItems {
			x.Items = append(x.Items, Whom(c.Principal))
		}
		x.All = append(append(x.All, Whom(c.Principal)), one.All...)
	}
	x.Text = fmt.Sprintf("each of %s %s", whoms(who), rights(list[0]))
	if others > 0 {
		x.Text += fmt.Sprintf(", %d of them once their own accounts allow it, too", others)
	}
	x.More = len(list) - len(x.Items)
	return x
}

// powers are delete and admin in words.
func powers(rights []string) string {
	var out []string
	for _, r := range rights {
		out = append(out, map[string]string{"delete": "delete images", "admin": "change policies or delete the repository"}[r])
	}
	return words.And(out)
}

// rights is what a principal gains and loses: "gains pull and push, loses delete".
func rights(c plan.AccessChange) string {
	var out []string
	if list := c.Gains(); len(list) > 0 {
		out = append(out, "gains "+words.And(list)+onConditions(c))
	}
	if list := c.Loses(); len(list) > 0 {
		out = append(out, "loses "+words.And(list))
	}
	for _, r := range c.Rights {
		switch {
		case r.Gained() || r.Lost():
		case r.After == "partly":
			out = append(out, "gains a part of "+r.Right)
		case r.Before == "partly":
			out = append(out, "loses the part of "+r.Right+" that it had")
		case r.After == "depends":
			out = append(out, "has "+r.Right+" under conditions only, on "+words.And(r.DependsOn))
		case r.Before == "depends":
			out = append(out, "has "+r.Right+" without the former conditions")
		default:
			out = append(out, fmt.Sprintf("has %s by this policy: it was %s and is %s", r.Right, r.Before, r.After))
		}
	}
	return strings.Join(out, ", ")
}

// onConditions are those that gains hang on.
func onConditions(c plan.AccessChange) string {
	var keys []string
	for _, r := range c.Rights {
		if r.Gained() {
			keys = append(keys, r.DependsOn...)
		}
	}
	slices.Sort(keys)
	if keys = slices.Compact(keys); len(keys) == 0 {
		return ""
	}
	return " under conditions on " + words.And(keys)
}

// Summary is what the changes of plans do to images and people, in one sentence
// without its full stop; "" for nothing that is known.
func Summary(plans []plan.Plan) string {
	var t totals
	t.people = map[string]map[string]bool{}
	for _, p := range plans {
		for _, c := range p.Pending() {
			t.add(c)
		}
	}
	return strings.Join(t.parts(), "; ")
}

// totals count the effects of many changes.
type totals struct {
	now, week, month, kept, gone counted
	overwritable, frozen         int
	people                       map[string]map[string]bool // principals by "gains push"
	order                        []string                   // of the keys of people
	absent, unread, unknown      int
}

// counted are images, and what matters of them.
type counted struct {
	images, inUse, pulled int
	bytes                 int64
	at                    []time.Time // pulls
	now                   time.Time
}

func (c *counted) add(h plan.Horizon, e plan.ImageEffects) {
	c.images += h.Count
	c.bytes += h.SizeBytes
	c.inUse += h.InUse
	c.pulled += h.Pulled
	for _, g := range e.Going {
		if g.Days <= h.Days && !g.PulledAt.IsZero() {
			c.at, c.now = append(c.at, g.PulledAt), e.At
		}
	}
}

// matter says how many of them matter: ", 1 of them pulled yesterday".
func (c *counted) matter() string {
	s := ""
	if c.inUse > 0 {
		s += fmt.Sprintf(", %d of them in use", c.inUse)
	}
	if c.pulled > 0 {
		s += fmt.Sprintf(", %d of them pulled %s", c.pulled, lastPulled(c.now, c.at))
	}
	return s
}

func (t *totals) add(c plan.Change) {
	if c.Effects == nil {
		return
	}
	if e := c.Effects.Images; e != nil {
		t.now.add(plan.At(e.Expire, 0), *e)
		t.week.add(plan.At(e.Expire, 7), *e)
		t.month.add(plan.At(e.Expire, 30), *e)
		t.kept.add(plan.At(e.Saved, 30), *e)
		if e.Deleted != nil {
			t.gone.add(*e.Deleted, *e)
		}
		if e.Tags != nil {
			t.overwritable += e.Tags.Overwritable
			t.frozen += e.Tags.Frozen
		}
		if e.Unread != "" {
			t.unread++
		}
	}
	if e := c.Effects.Access; e != nil {
		t.absent += len(e.Absent)
		if e.Unread != "" {
			t.unknown++
		}
		for _, x := range e.Changes {
			for _, r := range x.Gains() {
				t.note("gain", r, x.Principal)
			}
			for _, r := range x.Loses() {
				t.note("lose", r, x.Principal)
			}
			for _, r := range x.Rights {
				switch {
				case r.Gained() || r.Lost():
				case r.After == "partly":
					t.note("gain", "a part of "+r.Right, x.Principal)
				case r.Before == "partly":
					t.note("lose", "a part of "+r.Right, x.Principal)
				case r.After == "depends":
					t.note("lose", "unconditional "+r.Right, x.Principal)
				case r.Before == "depends":
					t.note("gain", "unconditional "+r.Right, x.Principal)
				}
			}
		}
	}
}

func (t *totals) note(verb, right, principal string) {
	key := verb + " " + right
	if t.people[key] == nil {
		t.people[key] = map[string]bool{}
		t.order = append(t.order, key)
	}
	t.people[key][principal] = true
}

func (t *totals) parts() []string {
	var out []string
	say := func(n int, format string, args ...any) {
		if n > 0 {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	images := func(c counted) string { return words.Count(c.images, "image", "images") }
	expire := func(c counted) string { return words.Plural(c.images, "expires", "expire") }
	say(t.gone.images, "%s %s deleted%s", images(t.gone), words.Plural(t.gone.images, "is", "are"), t.gone.matter())
	say(t.now.images, "%s %s at the next run%s", images(t.now), expire(t.now), t.now.matter())
	if t.week.images > t.now.images {
		say(t.week.images, "%s %s within 7 days%s", images(t.week), expire(t.week), t.week.matter())
	}
	if t.month.images > t.week.images {
		say(t.month.images, "%s %s within 30 days%s", images(t.month), expire(t.month), t.month.matter())
	}
	say(t.kept.images, "%s %s that would expire within 30 days", images(t.kept), words.Plural(t.kept.images, "stays", "stay"))
	say(t.overwritable, "%s %s overwritable", words.Count(t.overwritable, "tag", "tags"), words.Plural(t.overwritable, "becomes", "become"))
	say(t.frozen, "%s can no longer be overwritten", words.Count(t.frozen, "tag", "tags"))
	// Rights that the same principals gain or lose are told together.
	for i := 0; i < len(t.order); {
		verb, right, _ := strings.Cut(t.order[i], " ")
		list := []string{right}
		k := i + 1
		for ; k < len(t.order); k++ {
			other, more, _ := strings.Cut(t.order[k], " ")
			if other != verb || !maps.Equal(t.people[t.order[i]], t.people[t.order[k]]) {
				break
			}
			list = append(list, more)
		}
		who := whoms(t.people[t.order[i]])
		if len(t.people[t.order[i]]) == 1 {
			verb += "s"
		}
		out = append(out, who+" "+verb+" "+words.And(list))
		i = k
	}
	say(t.absent, "%s a principal that does not exist", words.Count(t.absent, "grant names", "grants name"))
	say(t.unread, "the images of %s could not be read", words.Count(t.unread, "repository", "repositories"))
	say(t.unknown, "who gains or loses access to %s is not known", words.Count(t.unknown, "repository", "repositories"))
	return out
}

// whoms counts principals by kind: "2 accounts and 1 role".
func whoms(all map[string]bool) string {
	kinds := []struct{ one, many string }{{"account", "accounts"}, {"user", "users"}, {"role", "roles"}, {"principal", "principals"}}
	counts := make([]int, len(kinds))
	var out []string
	for who := range all {
		switch {
		case who == "*":
			out = append(out, Whom(who))
		case policy.AccountOf(who) != "":
			counts[0]++
		case strings.Contains(who, ":user/"):
			counts[1]++
		case strings.Contains(who, ":role/"), strings.Contains(who, ":assumed-role/"):
			counts[2]++
		default:
			counts[3]++
		}
	}
	for i, n := range counts {
		if n > 0 {
			out = append(out, words.Count(n, kinds[i].one, kinds[i].many))
		}
	}
	return words.And(out)
}

// Expiring says of the repositories in which lifecycle tests fail what the plans
// would expire there, a line for each with something.
func Expiring(s plan.Set, tests LifecycleTests) []string {
	failed := map[string]bool{}
	for _, t := range tests.Tests {
		if !t.Passed {
			failed[t.Repository] = true
		}
	}
	var out []string
	for _, p := range s.Plans {
		for _, c := range p.Changes {
			if !failed[string(c.Repository)] || c.Effects == nil || c.Effects.Images == nil {
				continue
			}
			for _, h := range c.Effects.Images.Expire {
				if h.Count > 0 {
					out = append(out, fmt.Sprintf("%s: %s would expire %s: %s", c.Repository, words.Count(h.Count, "image", "images"), within(h), NamesOf(*c.Effects.Images, h.Days)))
					break
				}
			}
		}
	}
	return out
}

// Gaining says of the access tests that fail what the plans change for their
// principals, a line for each with something.
func Gaining(s plan.Set, tests AccessTests) []string {
	var out []string
	for _, t := range tests.Failed() {
		for _, p := range s.Plans {
			for _, c := range p.Changes {
				if c.Effects == nil || c.Effects.Access == nil || p.Target.Registry().RepositoryARN(c.Repository) != t.Repository {
					continue
				}
				for _, x := range c.Effects.Access.Changes {
					account := policy.AccountOf(x.Principal)
					line := fmt.Sprintf("%s: by this plan %s %s", c.Repository, Whom(x.Principal), rights(x))
					if (x.Principal == t.Principal || account != "" && account == proof.AccountOf(t.Principal)) && !slices.Contains(out, line) {
						out = append(out, line)
					}
				}
			}
		}
	}
	return out
}
