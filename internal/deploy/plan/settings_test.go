package plan_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

const secret = "arn:aws:secretsmanager:us-east-2:111111111111:secret:ecr-pullthroughcache/hub-AbCdEf"

func template(prefix, stack string, change ...func(*state.Template)) state.Template {
	t := state.Template{Repository: repo("", "", "", days1), Prefix: prefix, Stack: stack, AppliedFor: []ecr.CreationReason{ecr.CreateOnPush}}
	for _, c := range change {
		c(&t)
	}
	return t
}

func withSettings(d state.Desired, templates []state.Template, upstreams ...state.Upstream) state.Desired {
	d.Wanted = state.Wanted{Templates: templates, TemplatesGiven: true, Upstreams: upstreams}
	return d
}

func seenSettings(o state.Observed, templates []state.Template, upstreams ...state.Upstream) state.Observed {
	o.Settings = state.Settings{Templates: map[string]state.Template{}, Upstreams: map[string]state.Upstream{}, Credentials: map[string]string{"hub": secret}}
	for _, t := range templates {
		o.Settings.Templates[t.Prefix] = t
	}
	for _, u := range upstreams {
		o.Settings.Upstreams[u.Prefix] = u
	}
	return o
}

// briefSettings is a plan's templates, upstreams and findings as lines.
func briefSettings(p plan.Plan) []string {
	var out []string
	line := func(kind, prefix string, op plan.Op, ds []plan.Difference) {
		s := kind + " " + prefix + " " + string(op)
		for _, d := range ds {
			s += "; " + string(d.Action) + " " + string(d.Field)
		}
		out = append(out, s)
	}
	for _, c := range p.Templates {
		line("template", c.Prefix, c.Op, c.Differences)
	}
	for _, c := range p.Upstreams {
		line("upstream", c.Prefix, c.Op, c.Differences)
	}
	for _, f := range p.Findings {
		out = append(out, string(f.Severity)+" "+string(f.Code))
	}
	return out
}

func TestDiffOfSettings(t *testing.T) {
	list := func(ts ...state.Template) []state.Template { return ts }
	hub := state.Upstream{Prefix: "hub", Host: "registry-1.docker.io", UpstreamPrefix: ecr.RootPrefix}
	as := func(u state.Upstream, change func(*state.Upstream)) state.Upstream { change(&u); return u }
	credential := func(s string) func(*state.Upstream) { return func(u *state.Upstream) { u.Credential = s } }
	removed := as(hub, func(u *state.Upstream) { u.Removed = true })
	elsewhere := as(hub, func(u *state.Upstream) { u.Host = "ghcr.io" })
	for name, tt := range map[string]struct {
		d    state.Desired
		o    state.Observed
		opts plan.Options
		want []string
	}{
		"a new template": {d: withSettings(wanted(), list(template("team", "platform"))), o: seenSettings(seen(), nil),
			want: []string{"template team create; add applied_for; add mutability; add lifecycle"}},
		"one that is as the file says": {d: withSettings(wanted(), list(template("team", "platform"))), o: seenSettings(seen(), list(template("team", "platform"))),
			want: []string{"template team none"}},
		"one without an owner": {d: withSettings(wanted(), list(template("team", "platform"))), o: seenSettings(seen(), list(template("team", ""))),
			want: []string{"template team adopt"}},
		"one of another stack": {d: withSettings(wanted(), list(template("team", "platform"))), o: seenSettings(seen(), list(template("team", "others"))),
			want: []string{"template team none", "error KON2011"}},
		"everything of one changes": {d: withSettings(wanted(), list(template("team", "platform", func(t *state.Template) {
			t.Description, t.RoleARN, t.AppliedFor = "d", "r", []ecr.CreationReason{ecr.CreateOnPull}
			t.Policy, t.Lifecycle, t.Tags, t.Mutability.Mode = pull, "", map[string]string{"a": "b"}, ecr.Mutable
			t.Encryption = &ecr.Encryption{Type: "KMS"}
		}))), o: seenSettings(seen(), list(template("team", "platform"))),
			want: []string{"template team update; add description; modify applied_for; add role_arn; modify mutability; add tag; add policy; remove lifecycle; modify encryption"}},
		"one that left the file": {d: withSettings(wanted(), nil), o: seenSettings(seen(), list(template("old", "platform"), template("mine", ""), template("theirs", "others"))),
			want: []string{"warning KON2012"}},
		"and is to go": {d: withSettings(wanted(), nil), o: seenSettings(seen(), list(template("old", "platform"), template("mine", ""), template("theirs", "others"))), opts: plan.Options{End: plan.LeftFile},
			want: []string{"template old delete"}},
		"a new rule":              {d: withSettings(wanted(), nil, as(hub, credential("hub"))), o: seenSettings(seen(), nil), want: []string{"upstream hub create; add credential"}},
		"a credential by its ARN": {d: withSettings(wanted(), nil, as(hub, credential(secret))), o: seenSettings(seen(), nil, hub), want: []string{"upstream hub update; add credential"}},
		"another name of the same host": {d: withSettings(wanted(), nil, as(hub, func(u *state.Upstream) { u.Host = "docker.io" })), o: seenSettings(seen(), nil, hub),
			want: []string{"upstream hub none"}},
		"a credential that the file does not name": {d: withSettings(wanted(), nil, hub), o: seenSettings(seen(), nil, as(hub, credential(secret))),
			want: []string{"upstream hub none", "info KON2016"}},
		"a credential that is not there":       {d: withSettings(wanted(), nil, as(hub, credential("ghost"))), o: seenSettings(seen(), nil), want: []string{"upstream hub none", "error KON2015"}},
		"a rule for another registry":          {d: withSettings(wanted(), nil, hub), o: seenSettings(seen(), nil, elsewhere), want: []string{"upstream hub none", "error KON2014"}},
		"a rule that the file does not name":   {d: withSettings(wanted(), nil), o: seenSettings(seen(), nil, hub), opts: plan.Options{End: plan.Everything}},
		"a rule to remove":                     {d: withSettings(wanted(), nil, removed), o: seenSettings(seen(), nil, hub), want: []string{"upstream hub delete"}},
		"to remove, and gone":                  {d: withSettings(wanted(), nil, removed), o: seenSettings(seen(), nil)},
		"to remove, but for another registry":  {d: withSettings(wanted(), nil, removed), o: seenSettings(seen(), nil, elsewhere), want: []string{"upstream hub none", "warning KON2014"}},
		"destroy":                              {d: withSettings(wanted(), list(template("team", "platform")), hub), o: seenSettings(seen(), list(template("team", "platform")), hub), opts: plan.Options{End: plan.Everything}, want: []string{"template team delete", "upstream hub delete"}},
		"destroy leaves what is of others":     {d: withSettings(wanted(), list(template("team", "platform")), hub), o: seenSettings(seen(), list(template("team", "others")), elsewhere), opts: plan.Options{End: plan.Everything}, want: []string{"upstream hub none", "warning KON2014"}},
		"what was not read is not known of it": {d: wanted(), o: func() state.Observed { o := seen(); o.Settings.TemplatesUnseen = "denied"; return o }(), want: []string{"info KON2013"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := plan.DiffWith(tt.d, tt.o, tt.opts)
			if d := cmp.Diff(tt.want, briefSettings(p)); d != "" {
				t.Fatal(d)
			}
			if err := p.Check(); err != nil {
				t.Error(err)
			}
			for _, c := range p.PendingTemplates() {
				if c.Effect == "" {
					t.Errorf("%+v", c)
				}
			}
		})
	}
}

// The sentences of the whole registry, and the command for a rule of another upstream.
func TestWordsOfSettings(t *testing.T) {
	root := state.Upstream{Prefix: "ROOT", Host: "quay.io", UpstreamPrefix: "ROOT"}
	login, removed, other := root, root, root
	login.Credential, removed.Removed, other.Host = secret, true, "ghcr.io"
	amazon := seenSettings(seen(), nil, other)
	amazon.Target.Registry = ecr.RegistryID{Account: "111111111111", Region: "us-east-2"}
	server, local := amazon, amazon
	server.Target.Endpoint, local.Target.Local = "https://ann:s3cr3t@kontor.example.com", true
	for name, tt := range map[string]struct {
		d    state.Desired
		o    state.Observed
		want string
	}{
		"a template": {withSettings(wanted(), []state.Template{template("ROOT", "platform")}), seenSettings(seen(), nil),
			"a push to a repository that does not exist and that no other template is for would create a repository with"},
		"a new rule":             {withSettings(wanted(), nil, root), seenSettings(seen(), nil), "pulls of images that no other rule is for and that are not there yet would come from quay.io, without a login"},
		"its credential":         {withSettings(wanted(), nil, login), seenSettings(seen(), nil, root), "pulls of images that no other rule is for would come from quay.io with the login of " + secret},
		"one that goes":          {withSettings(wanted(), nil, removed), seenSettings(seen(), nil, root), "pulls of images that no other rule is for would no longer come from quay.io; images that are there stay (rules have no owner: other files may name it)"},
		"another one, on Amazon": {withSettings(wanted(), nil, root), amazon, "`aws ecr delete-pull-through-cache-rule --registry-id 111111111111 --region us-east-2 --ecr-repository-prefix ROOT`"},
		"on a server":            {withSettings(wanted(), nil, removed), server, "it is left as it is: `kontor upstreams delete ROOT --endpoint https://kontor.example.com --region us-east-2` deletes it"},
		"and here":               {withSettings(wanted(), nil, root), local, "`kontor upstreams delete ROOT`"},
	} {
		t.Run(name, func(t *testing.T) {
			p := plan.Diff(tt.d, tt.o)
			var got []string
			for _, c := range p.Templates {
				got = append(got, c.Effect)
			}
			for _, c := range p.Upstreams {
				got = append(got, c.Effect)
			}
			for _, f := range p.Findings {
				got = append(got, f.Message)
			}
			if !strings.Contains(strings.Join(got, "\n"), tt.want) {
				t.Errorf("%q", got)
			}
		})
	}
}

// drawSettings are templates and rules that may be wanted, or that are there.
func drawSettings(t *rapid.T, stacks ...string) ([]state.Template, []state.Upstream) {
	var templates []state.Template
	var upstreams []state.Upstream
	for _, n := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"aa", "bb", "ROOT"}), 0, 3, rapid.ID).Draw(t, "templates") {
		x := template(n, "")
		x.Repository = drawRepository(t, "", "")
		x.ScanOnPush, x.Unprotected = nil, false
		x.Stack = rapid.SampledFrom(stacks).Draw(t, "stack")
		x.Description = rapid.SampledFrom([]string{"", "a b", "x]", " a"}).Draw(t, "description")
		x.AppliedFor = rapid.SliceOfNDistinct(rapid.SampledFrom(ecr.CreationReasons()), 1, 3, rapid.ID).Draw(t, "reasons")
		slices.Sort(x.AppliedFor)
		templates = append(templates, x)
	}
	for _, n := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"aa", "bb"}), 0, 2, rapid.ID).Draw(t, "upstreams") {
		upstreams = append(upstreams, state.Upstream{
			Prefix: n, Host: rapid.SampledFrom([]string{"quay.io", "ghcr.io"}).Draw(t, "host"), UpstreamPrefix: rapid.SampledFrom([]string{"ROOT", "team"}).Draw(t, "part"),
			Credential: rapid.SampledFrom([]string{"", secret}).Draw(t, "credential"), RoleARN: rapid.SampledFrom([]string{"", "r"}).Draw(t, "role"),
			Removed: slices.Equal(stacks, []string{"platform"}) && rapid.Bool().Draw(t, "removed"),
		})
	}
	return templates, upstreams
}

// What a plan leaves is what the file wants: planned again, there is nothing to do. It
// fits the published schema, and what others own is not touched.
func TestApplyingSettingsGivesDesired(t *testing.T) {
	s := schema(t)
	rapid.Check(t, func(t *rapid.T) {
		templates, upstreams := drawSettings(t, "platform")
		d := withSettings(wanted(), templates, upstreams...)
		templates, upstreams = drawSettings(t, "", "platform", "others")
		o := seenSettings(seen(), templates, upstreams...)
		end := rapid.SampledFrom([]plan.End{plan.Nothing, plan.LeftFile, plan.Everything}).Draw(t, "end")
		p := plan.DiffWith(d, o, plan.Options{End: end})
		set := plan.Set{Version: plan.SetVersion, Stack: p.Stack, Plans: []plan.Plan{p}}
		if err := validate(s, set); err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(set)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := plan.ParseSet("plan", b); err != nil {
			t.Fatal(err)
		}
		if stale := p.Stale(d, o); len(stale) > 0 && len(p.Errors()) == 0 {
			t.Fatalf("stale at once: %q", stale)
		}
		for _, c := range p.PendingTemplates() {
			have, exists := o.Settings.Templates[c.Prefix]
			if have.Stack == "others" || c.Op == plan.OpDelete && have.Stack != "platform" {
				t.Fatalf("%s of a template of %q", c.Op, have.Stack)
			}
			if why := c.Moved(have, exists); why != "" {
				t.Fatal(why)
			}
		}
		for _, c := range p.PendingUpstreams() {
			have, exists := o.Settings.Upstreams[c.Prefix]
			if why := c.Moved(have, exists); why != "" {
				t.Fatal(why)
			}
		}
		after := applySettings(p, d, o)
		again := plan.DiffWith(d, after, plan.Options{End: end})
		if again.Work() > 0 {
			t.Fatalf("still to do: %q", briefSettings(again))
		}
		// A plan that was carried out is no stale one: it can be applied again.
		if stale := p.Stale(d, after); len(stale) > 0 && len(p.Errors()) == 0 {
			t.Fatalf("stale when it was carried out: %q", stale)
		}
		// One that is applied for another file does what that file asks for.
		changed := varySettings(t, d, o)
		if len(p.Errors()) == 0 && len(p.Stale(changed, o)) == 0 {
			if again := plan.DiffWith(changed, applySettings(p, d, o), plan.Options{End: end}); again.Work() > 0 {
				t.Fatalf("not stale for a file that asks for something else: %q", briefSettings(again))
			}
		}
	})
}

// applySettings is what o becomes when p, which was made for d, is carried out. It does
// not change o.
func applySettings(p plan.Plan, d state.Desired, o state.Observed) state.Observed {
	o.Settings.Templates, o.Settings.Upstreams = maps.Clone(o.Settings.Templates), maps.Clone(o.Settings.Upstreams)
	for _, c := range p.PendingTemplates() {
		if delete(o.Settings.Templates, c.Prefix); c.After != nil {
			o.Settings.Templates[c.Prefix] = d.Wanted.Templates[slices.IndexFunc(d.Wanted.Templates, func(t state.Template) bool { return t.Prefix == c.Prefix })]
		}
	}
	for _, c := range p.PendingUpstreams() {
		have := o.Settings.Upstreams[c.Prefix]
		if delete(o.Settings.Upstreams, c.Prefix); c.After != nil {
			now := c.Leaves(plan.UpstreamOf(have))
			o.Settings.Upstreams[c.Prefix] = state.Upstream{Prefix: c.Prefix, Host: now.Registry, UpstreamPrefix: now.UpstreamPrefix, Credential: now.CredentialARN, RoleARN: now.RoleARN}
		}
	}
	return o
}

// varySettings is d with some of its templates and rules left out, some as o has them,
// and rules that are to go or to stay.
func varySettings(t *rapid.T, d state.Desired, o state.Observed) state.Desired {
	const keep, drop, asItIs, other = 0, 1, 2, 3
	templates, upstreams := []state.Template{}, []state.Upstream{}
	for _, x := range d.Wanted.Templates {
		have, exists := o.Settings.Templates[x.Prefix]
		switch how := rapid.IntRange(keep, other).Draw(t, "template "+x.Prefix); {
		case how == drop:
			continue
		case how == asItIs && exists:
			x = have
			x.Stack = d.Stack
		case how == other:
			x.Description = "other"
		}
		templates = append(templates, x)
	}
	for _, x := range d.Wanted.Upstreams {
		have, exists := o.Settings.Upstreams[x.Prefix]
		switch how := rapid.IntRange(keep, other).Draw(t, "upstream "+x.Prefix); {
		case how == drop:
			continue
		case how == asItIs && exists:
			x = have
		case how == other:
			x.Removed = !x.Removed
		}
		upstreams = append(upstreams, x)
	}
	for _, prefix := range slices.Sorted(maps.Keys(o.Settings.Templates)) {
		have := o.Settings.Templates[prefix]
		if have.Stack == d.Stack && !slices.ContainsFunc(templates, func(t state.Template) bool { return t.Prefix == prefix }) && rapid.Bool().Draw(t, "again "+prefix) {
			templates = append(templates, have)
		}
	}
	return withSettings(d, templates, upstreams...)
}

func TestStaleSettings(t *testing.T) {
	before := template("team", "platform")
	after := template("team", "platform", func(t *state.Template) { t.Description = "new" })
	hub := state.Upstream{Prefix: "hub", Host: "quay.io", UpstreamPrefix: "ROOT"}
	d, o := withSettings(wanted(), []state.Template{after}, hub), seenSettings(seen(), []state.Template{before})
	p := plan.Diff(d, o)
	for name, tt := range map[string]struct {
		d    state.Desired
		o    state.Observed
		spo  func(*plan.Plan)
		want string
	}{
		"the registry changed": {d: d, o: seenSettings(seen(), []state.Template{template("team", "platform", func(t *state.Template) { t.Description = "other" })}), want: "changed since the plan was made"},
		"the template is gone": {d: d, o: seenSettings(seen(), nil), want: "is gone since the plan was made"},
		"the file changed":     {d: withSettings(wanted(), []state.Template{template("team", "platform", func(t *state.Template) { t.Description = "newer" })}, hub), o: o, want: "is not what the file asks for"},
		"the file has more":    {d: withSettings(wanted(), []state.Template{after, template("x", "platform")}, hub), o: o, want: "the template for x/* came into the file"},
		"the file has less":    {d: withSettings(wanted(), []state.Template{after}), o: o, want: "the upstream rule hub left the file"},
		"another owner":        {d: d, o: seenSettings(seen(), []state.Template{template("team", "others")}), want: "the template for team/* changed since the plan was made"},
		"a plan that was edited": {d: d, o: o, spo: func(p *plan.Plan) { p.Upstreams[0].After.Registry = "ghcr.io" },
			want: "the plan's change of the upstream rule hub is not what the file asks for"},
	} {
		t.Run(name, func(t *testing.T) {
			p := p
			p.Upstreams = slices.Clone(p.Upstreams)
			u := *p.Upstreams[0].After
			p.Upstreams[0].After = &u
			if tt.spo != nil {
				tt.spo(&p)
			}
			if got := strings.Join(p.Stale(tt.d, tt.o), "\n"); !strings.Contains(got, tt.want) {
				t.Errorf("%q", got)
			}
		})
	}
	if got := p.Stale(d, o); len(got) > 0 {
		t.Errorf("%q", got)
	}
}

// A plan is out of date when the file asks again for what there is.
func TestStaleSettingsOfAFileChangedBack(t *testing.T) {
	team := template("team", "platform")
	described := template("team", "platform", func(t *state.Template) { t.Description = "new" })
	hub := state.Upstream{Prefix: "hub", Host: "quay.io", UpstreamPrefix: "ROOT"}
	removed, login, other := hub, hub, hub
	removed.Removed, login.Credential, other.Host = true, secret, "ghcr.io"
	list := func(ts ...state.Template) []state.Template { return ts }
	o := seenSettings(seen(), list(team), hub)
	for name, tt := range map[string]struct {
		then, now state.Desired
		end       plan.End
		want      string
	}{
		"a rule to remove":           {then: withSettings(wanted(), list(team), removed), now: withSettings(wanted(), list(team), hub), want: "upstream rule hub is not what the file asks for"},
		"one of another registry":    {then: withSettings(wanted(), list(team), removed), now: withSettings(wanted(), list(team), other), want: "upstream rule hub is not what the file asks for"},
		"a template to prune":        {then: withSettings(wanted(), nil, hub), now: withSettings(wanted(), list(team), hub), end: plan.LeftFile, want: "template for team/* is not what the file asks for"},
		"a setting of a template":    {then: withSettings(wanted(), list(described), hub), now: withSettings(wanted(), list(team), hub), want: "template for team/* is not what the file asks for"},
		"the credential of a rule":   {then: withSettings(wanted(), list(team), login), now: withSettings(wanted(), list(team), hub), want: "upstream rule hub is not what the file asks for"},
		"the file is as it was":      {then: withSettings(wanted(), list(described), login), now: withSettings(wanted(), list(described), login)},
		"and asks for what is there": {then: withSettings(wanted(), list(team), hub), now: withSettings(wanted(), list(team), hub)},
	} {
		t.Run(name, func(t *testing.T) {
			p := plan.DiffWith(tt.then, o, plan.Options{End: tt.end})
			got := strings.Join(p.Stale(tt.now, o), "\n")
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("%q", got)
			}
		})
	}
}
