package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/report/words"
)

//go:embed templates
var templates embed.FS

// pages are the templates by name, each with the layout.
var pages = sync.OnceValue(func() map[string]*template.Template {
	all := map[string]*template.Template{}
	names, err := fs.Glob(templates, "templates/*.html")
	if err != nil {
		panic(err) // the pattern is right
	}
	for _, name := range names {
		base := strings.TrimSuffix(path.Base(name), ".html")
		if base == "layout" || base == "parts" {
			continue
		}
		all[base] = template.Must(template.New(path.Base(name)).Funcs(functions).ParseFS(templates, "templates/layout.html", "templates/parts.html", name))
	}
	return all
})

// assetURLs are the URLs of assets, by name, with a hash of their content.
var assetURLs = sync.OnceValue(func() map[string]string {
	all := map[string]string{}
	for _, name := range []string{"console.css", "console.js", "htmx.js", "icon.svg"} {
		text, err := assets.ReadFile("assets/" + name)
		if err != nil {
			panic(err) // they are embedded
		}
		sum := sha256.Sum256(text)
		all[name] = Root + "assets/" + name + "?" + hex.EncodeToString(sum[:6])
	}
	return all
})

func assetURL(name string) string { return assetURLs()[name] }

// visit is one request on its way through the console.
type visit struct {
	h      *Handler
	w      http.ResponseWriter
	r      *http.Request
	req    Request
	status int // of the answer; 0 for 200
}

// repoVisit is a visit of the pages of one repository.
type repoVisit struct {
	*visit
	repo ecr.Repo
}

// link is one that is followed.
type link struct {
	Label, To string
	Current   bool
}

// command says on a command line what a page says.
type command struct{ Label, Text string }

// layout is what all pages have.
type layout struct {
	Title    string
	Heading  string // "" for Title
	Crumbs   []link
	Tabs     []link
	Nav      []navGroup
	Who      string
	Account  string
	Registry string
	LogIn    bool // nobody is logged in
	Message  *message
	Commands []command
	Data     any
}

type navGroup struct {
	Label string
	Links []link
}

// message is said above the page.
type message struct {
	Kind string // good, bad or warn
	Text string
	More []string
	Link *link
}

// show writes a page.
func (v *visit) show(name string, l layout) error {
	if l.Heading == "" {
		l.Heading = l.Title
	}
	l.Who, l.Account, l.Registry = v.who(v.req.Principal.ARN), string(v.req.Principal.Account), v.req.Registry.String()
	l.LogIn = v.req.Principal.ARN == ""
	l.Nav = v.nav()
	if l.Message == nil {
		l.Message = v.done()
	}
	var b bytes.Buffer
	if err := pages()[name].ExecuteTemplate(&b, "layout", l); err != nil {
		return fmt.Errorf("page %s: %w", name, err)
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if v.status != 0 {
		v.w.WriteHeader(v.status)
	}
	_, _ = b.WriteTo(v.w) // the browser has gone
	return nil
}

// who names a principal: one of the caller's account without the account.
func (v *visit) who(arn string) string {
	for _, service := range []string{":iam::", ":sts::"} {
		own := service + string(v.req.Principal.Account) + ":"
		if _, name, ok := strings.Cut(arn, own); ok && strings.HasPrefix(arn, "arn:") {
			return clean(name)
		}
	}
	return words.Principal(arn)
}

// nav is the navigation, with the entry of the page in hand marked.
func (v *visit) nav() []navGroup {
	groups := []navGroup{
		{"", []link{{Label: t("Overview"), To: Root}, {Label: t("Repositories"), To: Root + "repositories"}, {Label: t("Activity"), To: Root + "activity"}}},
		{t("Keeping"), []link{{Label: t("Recycle bin"), To: Root + "bin"}, {Label: t("Journal"), To: Root + "journal"}, {Label: t("Leases"), To: Root + "leases"}}},
		{t("People"), []link{{Label: t("Who may do what"), To: Root + "access"}, {Label: t("Users and roles"), To: Root + "people"}, {Label: t("Sessions"), To: Root + "sessions"}, {Label: t("Audit log"), To: Root + "audit"}}},
	}
	if v.r == nil {
		return groups
	}
	for _, g := range groups {
		for i, l := range g.Links {
			g.Links[i].Current = v.r.URL.Path == l.To || l.To != Root && strings.HasPrefix(v.r.URL.Path, l.To+"/")
		}
	}
	return groups
}

// fail answers with err.
func (v *visit) fail(err error) {
	status, code, message := told(err, v.req.ID)
	if v.status == 0 {
		v.status = status
	}
	if v.status >= http.StatusInternalServerError {
		level := slog.LevelError
		if v.r.Context().Err() != nil {
			level = slog.LevelDebug
		}
		v.h.cfg.Log.Log(v.r.Context(), level, "console error", "request_id", v.req.ID, "path", v.r.URL.Path, "error", err)
	}
	title := t("That did not work")
	hint := t("Go back, correct it and try again.")
	switch {
	case v.status == http.StatusForbidden:
		title, hint = t("You may not see or do this"), t("An administrator can see why, and what would allow it, on the page Who may do what.")
	case v.status == http.StatusNotFound:
		title, hint = t("There is nothing here"), t("It may have been deleted or renamed: the journal says what became of images.")
	case v.status == http.StatusTooManyRequests:
		title, hint = t("Too many requests"), t("Wait a moment, then try again.")
	case v.status == http.StatusServiceUnavailable:
		title, hint = t("The registry is busy"), t("Wait a moment, then load the page again.")
	case v.status >= http.StatusInternalServerError:
		title, hint = t("The page could not be made"), t("Load it again; if that does not help, tell the operator the request id.")
	}
	if err := v.show("error", layout{Title: title, Data: map[string]string{"Code": code, "Text": clean(message), "Hint": hint}}); err != nil {
		http.Error(v.w, title, v.status)
	}
}

// dones are what pages say after an action, by the parameter done.
var dones = map[string]func() string{
	"restored": func() string { return t("The image is back.") },
	"deleted": func() string {
		return t("The images were deleted. They can be restored from the recycle bin for a while.")
	},
	"attached":    func() string { return t("The policy is attached. It counts for the next request.") },
	"detached":    func() string { return t("The policy is detached. It counts for the next request.") },
	"saved":       func() string { return t("The inline policy is saved. It counts for the next request.") },
	"unput":       func() string { return t("The inline policy is deleted.") },
	"revoked":     func() string { return t("The token is revoked. What uses it is refused from now on.") },
	"tagged":      func() string { return t("The image has the tag.") },
	"forgotten":   func() string { return t("The collector is forgotten: its leases keep nothing now.") },
	"ended":       func() string { return t("The session has ended.") },
	"lifecycle":   func() string { return t("The lifecycle policy is saved. The next run acts by it.") },
	"nolifecycle": func() string { return t("The lifecycle policy is removed: nothing expires now.") },
	"policy":      func() string { return t("The repository policy is saved. It holds for the next request.") },
	"nopolicy":    func() string { return t("The repository policy is removed.") },
	"created":     func() string { return t("It is created.") },
	"keyoff":      func() string { return t("The access key is switched off. What uses it is refused from now on.") },
	"keyon":       func() string { return t("The access key is switched on.") },
	"keygone":     func() string { return t("The access key is deleted.") },
}

// done is the message after an action, nil for none.
func (v *visit) done() *message {
	if v.r == nil {
		return nil
	}
	if say, ok := dones[v.r.URL.Query().Get("done")]; ok {
		return &message{Kind: "good", Text: say()}
	}
	return nil
}

// to sends the browser to another page.
func (v *visit) to(url string) error {
	http.Redirect(v.w, v.r, url, http.StatusSeeOther)
	return nil
}

// finish sends the browser to a page that says what was done.
func (v *visit) finish(to, done string) error {
	u, err := url.Parse(to)
	if err != nil {
		return err
	}
	return v.to(with(u, "done", done))
}

// post reports whether the request is to do something.
func (v *visit) post() bool { return v.r.Method == http.MethodPost }

// now is the image time.
func (v *visit) now() time.Time { return v.h.cfg.ImageNow().UTC() }

// query is a parameter of the URL.
func (v *visit) query(name string) string { return strings.TrimSpace(v.r.URL.Query().Get(name)) }

// csv writes x as CSV where the URL asks for it; wrote says whether.
func (v *visit) csv(name string, x *table) (wrote bool, err error) {
	x.CSV = with(v.r.URL, "format", "csv", "after", "", "done", "") // from the beginning, where pages go on
	if v.query("after") != "" {
		x.First = with(v.r.URL, "after", "", "done", "")
	}
	if x.Next == "" && x.First == "" && !x.Cut {
		x.CSVHas = "" // it has all
	}
	if v.query("format") != "csv" {
		return false, nil
	}
	v.w.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
	name = strings.ReplaceAll(name, "/", "-")
	switch {
	case x.Cut: // the last row says so
		name += "-first-" + count(len(x.Rows)-1)
	case x.Next != "":
		name += "-first-" + count(len(x.Rows))
	}
	v.w.Header().Set("Content-Disposition", `attachment; filename="`+name+`.csv"`)
	return true, x.writeCSV(v.w)
}

// serve finds the page.
func (v *visit) serve() error {
	p := strings.TrimPrefix(v.r.URL.Path, Root)
	if page, ok := strangers[p]; ok {
		return page(v)
	}
	if v.req.Principal.ARN == "" {
		if v.post() {
			return ecr.Errorf(ecr.CodeUnrecognizedClient, "%s", t("Your session has ended. Log in, then try again."))
		}
		to := Root + "login?to=" + url.QueryEscape(v.r.URL.RequestURI())
		if v.r.Header.Get("HX-Request") != "" { // for a part of a page, which the login page is not
			v.w.Header().Set("HX-Redirect", to)
			v.w.WriteHeader(http.StatusUnauthorized)
			return nil
		}
		return v.to(to)
	}
	if name, rest, ok := strings.Cut(strings.TrimPrefix(p, "repositories/"), "/-/"); ok && strings.HasPrefix(p, "repositories/") {
		repo, err := ecr.ParseRepositoryName(name)
		if err != nil {
			return noPage()
		}
		in := &repoVisit{v, v.req.Registry.Repo(repo)}
		if digest, ok := strings.CutPrefix(rest, "images/"); ok {
			return in.image(digest)
		}
		if page, ok := ofRepository[rest]; ok {
			return page(in)
		}
		return noPage()
	}
	if name, ok := strings.CutPrefix(p, "people/users/"); ok {
		return (&userVisit{v, name}).page()
	}
	if page, ok := ofRegistry[p]; ok {
		return page(v)
	}
	return noPage()
}

func noPage() error {
	return ecr.Errorf(codeNoPage, "%s", t("The console has no page at this address."))
}

// The pages, by what follows Root, or /-/ for those of a repository.
var (
	strangers, ofRegistry map[string]func(*visit) error
	ofRepository          map[string]func(*repoVisit) error
)

func init() {
	strangers = map[string]func(*visit) error{"login": (*visit).login, "open": (*visit).open, "logout": (*visit).logout,
		"sso": (*visit).signIn, SignInCallback: (*visit).signedIn, "sso/role": (*visit).chooseRole}
	ofRegistry = map[string]func(*visit) error{
		"": (*visit).home, "repositories": (*visit).repositories, "bin": (*visit).bin, "journal": (*visit).journal,
		"activity": (*visit).activity, "audit": (*visit).audit, "leases": (*visit).leases, "access": (*visit).access, "people": (*visit).people, "sessions": (*visit).sessions,
	}
	ofRepository = map[string]func(*repoVisit) error{
		"tags": (*repoVisit).tags, "lifecycle": (*repoVisit).lifecycle, "access": (*repoVisit).repositoryAccess, "activity": (*repoVisit).activity,
	}
}

// repoURL is the page of a repository.
func repoURL(name ecr.RepositoryName, page string) string {
	return Root + "repositories/" + string(name) + "/-/" + page
}

// tabs are those of a repository's pages.
func (v *repoVisit) tabs(current string) []link {
	all := []link{
		{Label: t("Tags"), To: repoURL(v.repo.Name, "tags")}, {Label: t("Lifecycle"), To: repoURL(v.repo.Name, "lifecycle")},
		{Label: t("Access"), To: repoURL(v.repo.Name, "access")}, {Label: t("Activity"), To: repoURL(v.repo.Name, "activity")},
	}
	for i := range all {
		all[i].Current = strings.HasSuffix(all[i].To, "/"+current)
	}
	return all
}

// crumbs lead to a repository, folder by folder.
func (v *repoVisit) crumbs() []link {
	out := []link{{Label: t("Repositories"), To: Root + "repositories"}}
	folder := ""
	parts := strings.Split(string(v.repo.Name), "/")
	for _, p := range parts[:len(parts)-1] {
		folder += p + "/"
		out = append(out, link{Label: p, To: Root + "repositories?q=" + url.QueryEscape(folder)})
	}
	return out
}

// quoted is s as a word of a shell.
func quoted(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@,=+%") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// aws is a command of the AWS CLI about the registry.
func (v *visit) aws(label, service, text string) command {
	return command{label, fmt.Sprintf("aws --endpoint-url %s --region %s %s %s", v.req.Endpoint, v.req.Registry.Region, service, text)}
}

// kontor is a command of kontor about the registry.
func (v *visit) kontor(label, text string) command {
	return command{label, fmt.Sprintf("kontor %s --endpoint %s --region %s", text, v.req.Endpoint, v.req.Registry.Region)}
}
