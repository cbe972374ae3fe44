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
