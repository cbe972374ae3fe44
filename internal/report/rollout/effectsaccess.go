package rollout

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/report/words"
)

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
	out = append(out, barredEffects(e.Barred)...)
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

// barredEffects name the images that can no longer be pulled: those who lose the same
// images together.
func barredEffects(b *plan.Barred) (out []Effect) {
	if b == nil {
		return nil
	}
	if b.Unread != "" {
		return []Effect{{Kind: EffectPeople, Action: plan.Modify, Text: "which images can no longer be pulled is not known: " + words.Clean(b.Unread)}}
	}
	alike, order := map[string][]plan.BarredPulls{}, []string{}
	for _, x := range b.Pulls {
		key := strings.Join(x.Images, " ")
		if alike[key] == nil {
			order = append(order, key)
		}
		alike[key] = append(alike[key], x)
	}
	for _, key := range order {
		list := alike[key]
		who, names := map[string]bool{}, list[0].Images
		for _, x := range list {
			who[x.Principal] = true
		}
		subject := whoms(who)
		if len(list) == 1 {
			subject = Whom(list[0].Principal)
		}
		of := fmt.Sprintf("%d of %s", len(names), words.Count(b.Looked, "image with a tag", "images with a tag"))
		if len(names) == b.Looked {
			of = "any of " + words.Count(b.Looked, "image with a tag", "images with a tag")
			if b.Looked == 1 {
				of = "the only image with a tag"
			}
		}
		x := Effect{Kind: EffectPeople, Action: plan.Remove, Text: subject + " can no longer pull " + of}
		for i, name := range names {
			if name = words.Clean(name); i < mostItems {
				x.Items = append(x.Items, name)
			}
			x.All = append(x.All, name)
		}
		x.More = len(names) - len(x.Items)
		out = append(out, x)
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
