package sources

import (
	"context"
	"net/url"
	"strconv"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/upstream"
)

const upstreamsURL = parts.Root + "upstreams"

// upstreams lists the pull-through caches and the credentials for other registries.
func (v *visit) upstreams() error {
	l := parts.Layout{Title: t("Upstreams")}
	if v.Post() {
		m, err := v.changeUpstreams()
		if err != nil || m == nil {
			return err
		}
		l.Message = m
	}
	ctx, in, as := v.R.Context(), v.Req.Registry, v.Config.Upstreams.As(v.Req.Principal)
	rules, err := as.Rules(ctx, in, nil)
	if err != nil {
		return err
	}
	figures, err := as.Figures(ctx, in)
	if err != nil {
		return err
	}
	may, err := v.May(in.Repo(""), "kontor:ListSecrets", "kontor:PutSecret", "kontor:DeleteSecret", "ecr:CreatePullThroughCacheRule", "ecr:DeletePullThroughCacheRule", "ecr:ValidatePullThroughCacheRule")
	if err != nil {
		return err
	}
	x := &parts.Table{ID: "upstreams", Caption: t("Pull-through caches"), Count: words.Count(len(rules), t("rule"), t("rules")),
		Columns: []parts.Column{
			{Key: "prefix", Label: t("Repositories")}, {Key: "host", Label: t("Cache of")}, {Key: "hits", Label: t("Served from here"), Number: true}, {Key: "saved", Label: t("Saved"), Number: true},
			{Key: "fetched", Label: t("Fetched"), Number: true}, {Key: "quota", Label: t("Quota left"), Number: true}, {Key: "credential", Label: t("Credential")}, {Key: "check", Label: ""}, {Key: "delete", Label: ""},
		},
		Empty: t("There is no pull-through cache."), Hint: t("One fetches images from another registry when they are first pulled, and keeps them:"), Command: v.Kontor("", "upstreams create quay quay.io").Text,
		Same: v.Same("upstreams list", "ecr", "describe-pull-through-cache-rules"),
	}
	for _, r := range rules {
		x.Rows = append(x.Rows, v.ruleRow(r, figures.ByHost[r.Host], may["ecr:ValidatePullThroughCacheRule"], may["ecr:DeletePullThroughCacheRule"]))
	}
	if wrote, err := v.CSV("upstreams", x); wrote || err != nil {
		return err
	}
	data := map[string]any{"Table": x, "To": upstreamsURL, "MayCreate": may["ecr:CreatePullThroughCacheRule"]}
	if len(rules) > 0 {
		data["Since"] = t("Counted by this server since %s, for each registry that rules name. The metrics of the server have the same figures over time.", words.Moment(figures.Since))
	}
	if may["kontor:ListSecrets"] {
		secrets, err := v.secrets(may["kontor:DeleteSecret"])
		if err != nil {
			return err
		}
		if wrote, err := v.Part("upstreams", secrets); wrote || err != nil {
			return err
		}
		data["Secrets"], data["MayPut"] = secrets, may["kontor:PutSecret"]
		var names []string
		for _, r := range secrets.Rows {
			names = append(names, r.Cells[0].Text)
		}
		data["Names"] = names
	}
	l.Data, l.Commands = data, []parts.Command{v.Kontor(t("The caches and credentials"), "upstreams list"), {Label: t("Let container runtimes pull through them"), Text: "kontor mirrors --help"}}
	return v.show("upstreams", l)
}

// ruleRow is a row of the list of rules.
func (v *visit) ruleRow(r upstream.Rule, f upstream.Figures, check, remove bool) parts.Row {
	prefix := parts.Cell{Text: r.Prefix + "/", Raw: r.Prefix, Link: parts.Root + "repositories?q=" + url.QueryEscape(r.Prefix+"/")}
	if r.Prefix == upstream.Root {
		prefix = parts.Cell{Text: t("all that no other rule is for"), Raw: r.Prefix, Link: parts.Root + "repositories"}
	}
	host := parts.Cell{Text: r.Host}
	if r.UpstreamPrefix != upstream.Root && r.UpstreamPrefix != "" {
		host.Sub = t("below %s", r.UpstreamPrefix+"/")
	}
	hits := parts.Cell{Text: t("nothing pulled"), Soft: true, Raw: "0"}
	if all := f.Hits + f.Misses + f.Failed; all > 0 {
		hits = parts.Cell{Text: strconv.FormatInt(f.Hits*100/all, 10) + " %", Sub: t("%d of %d", f.Hits, all), Raw: strconv.FormatInt(f.Hits, 10)}
		if f.Failed > 0 {
			hits.Sub += ", " + t("%d failed", f.Failed)
		}
	}
	quota := parts.Cell{Text: t("not said"), Soft: true}
	if f.Limited {
		quota = parts.Cell{Text: strconv.FormatInt(f.QuotaLeft, 10)}
	}
	credential := parts.Cell{Text: t("none"), Soft: true}
	if r.CredentialARN != "" {
		credential = parts.Cell{Text: secretName(r.CredentialARN), Raw: r.CredentialARN}
	}
	row := parts.Row{Cells: []parts.Cell{prefix, host, hits, {Text: parts.Size(f.SavedBytes), Raw: strconv.FormatInt(f.SavedBytes, 10)}, {Text: parts.Size(f.FetchedBytes), Raw: strconv.FormatInt(f.FetchedBytes, 10)}, quota, credential, {}, {}}}
	if check {
		row.Cells[7].Action = &parts.Action{To: upstreamsURL, Label: t("Check"), Hidden: [][2]string{{"do", "check"}, {"prefix", r.Prefix}}}
	}
	if remove {
		row.Cells[8].Action = &parts.Action{To: upstreamsURL, Label: t("Delete"), Danger: true, Hidden: [][2]string{{"do", "delete"}, {"prefix", r.Prefix}}}
	}
	return row
}

// secretName is the name in the ARN of a credential, as commands take it.
func secretName(arn string) string {
	_, name, _ := strings.Cut(arn, ":secret:")
	name = strings.TrimPrefix(name, upstream.SecretPrefix)
	if i := strings.LastIndexByte(name, '-'); i > 0 && i == len(name)-7 {
		name = name[:i]
	}
	return parts.Clean(name)
}

func (v *visit) secrets(remove bool) (*parts.Table, error) {
	list, err := v.Config.Upstreams.As(v.Req.Principal).Secrets(v.R.Context(), v.Req.Registry)
	if err != nil {
		return nil, err
	}
	x := &parts.Table{ID: "credentials", Caption: t("Credentials for other registries"), Count: words.Count(len(list), t("credential"), t("credentials")), Columns: []parts.Column{
		{Key: "name", Label: t("Name")}, {Key: "created", Label: t("Created")}, {Key: "updated", Label: t("Changed")}, {Key: "delete", Label: ""},
	}, Empty: t("There is no credential. Registries such as Docker Hub let more be pulled with one."), Same: v.Same("upstreams list", "", "")}
	now := v.Now()
	for _, s := range list {
		name := strings.TrimPrefix(s.Name, upstream.SecretPrefix)
		gone := parts.Cell{}
		if remove {
			gone.Action = &parts.Action{To: upstreamsURL, Label: t("Delete"), Danger: true, Hidden: [][2]string{{"do", "forget"}, {"name", name}}}
		}
		x.Rows = append(x.Rows, parts.Row{Cells: []parts.Cell{{Text: parts.Clean(name), Raw: name}, parts.CellTime(now, s.CreatedAt), parts.CellTime(now, s.UpdatedAt), gone}})
	}
	return x, nil
}

// changeUpstreams does what a form asks for. It returns what to say on the page; nil where
// another page was shown.
func (v *visit) changeUpstreams() (*parts.Message, error) {
	ctx, in, as := v.R.Context(), v.Req.Registry, v.Config.Upstreams.As(v.Req.Principal)
	value := func(name string) string { return strings.TrimSpace(v.R.PostFormValue(name)) }
	prefix, name := value("prefix"), value("name")
	switch v.R.PostFormValue("do") {
	case "create":
		n := upstream.NewRule{Prefix: prefix, URL: value("host"), UpstreamPrefix: value("upstream")}
		if c := value("credential"); c != "" {
			var err error
			if n.CredentialARN, err = as.SecretARN(ctx, in, c); err != nil {
				return nil, err
			}
		}
		if _, err := as.CreateRule(ctx, in, n); err != nil {
			return nil, err
		}
		return nil, v.Finish(upstreamsURL, "created")
	case "check":
		rule, failure, err := as.ValidateRule(ctx, in, prefix)
		if err != nil {
			return nil, err
		}
		if failure != "" {
			return &parts.Message{Kind: "bad", Text: t("%s does not let this server in: %s", rule.Host, parts.Clean(failure))}, nil
		}
		return &parts.Message{Kind: "good", Text: t("%s answers and accepts the login.", rule.Host)}, nil
	case "delete":
		done, err := v.Confirm(func(in *parts.Visit) (q parts.Question, err error) {
			rules, err := in.Config.Upstreams.As(in.Req.Principal).Rules(in.R.Context(), in.Req.Registry, []string{prefix})
			if err != nil {
				return q, err
			}
			return v.question(t("Delete the rule %s?", prefix), [][2]string{{"do", "delete"}, {"prefix", prefix}}, v.Kontor(t("The same"), "upstreams delete "+parts.Quoted(prefix)),
				t("Repositories that begin with %s no longer hold what is in %s. The repositories and images that came by the rule stay.", prefix+"/", rules[0].Host)), nil
		}, func(ctx context.Context) error { _, err := as.DeleteRule(ctx, in, prefix); return err })
		if !done {
			return nil, err
		}
		return nil, v.Finish(upstreamsURL, "gone")
	case "login":
		// The token is never shown again, not even after an error.
		if _, err := as.PutSecret(ctx, in, name, upstream.Login{Username: value("user"), AccessToken: v.R.PostFormValue("token")}); err != nil {
			return nil, err
		}
		return nil, v.Finish(upstreamsURL, "credential")
	case "forget":
		done, err := v.Confirm(func(*parts.Visit) (parts.Question, error) {
			return v.question(t("Delete the credential %s?", name), [][2]string{{"do", "forget"}, {"name", name}}, v.Kontor(t("The same"), "upstreams logout "+parts.Quoted(name)),
				t("A credential that a rule uses cannot be deleted: delete the rule first.")), nil
		}, func(ctx context.Context) error { return as.DeleteSecret(ctx, in, name) })
		if !done {
			return nil, err
		}
		return nil, v.Finish(upstreamsURL, "gone")
	}
	return nil, ecr.Errorf(ecr.CodeInvalidParameter, "%s", t("The form asks for nothing that this page does."))
}

func (v *visit) question(title string, hidden [][2]string, c parts.Command, says string) parts.Question {
	return parts.Question{Layout: parts.Layout{Title: title, Commands: []parts.Command{c}}, To: upstreamsURL, Back: upstreamsURL, Do: t("Delete"), Danger: true, Hidden: hidden, Says: []string{says}}
}
