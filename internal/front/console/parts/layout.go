package parts

import (
	"net/url"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// Figure is a number at the head of a page.
type Figure struct{ Label, Value, Sub string }

// Link is one that is followed.
type Link struct {
	Label, To string
	Current   bool
}

// Command says on a command line what a page says.
type Command struct{ Label, Text string }

// Layout is what all pages have.
type Layout struct {
	Title    string
	Heading  string // "" for Title
	Crumbs   []Link
	Tabs     []Link
	Nav      []navGroup
	Who      string
	Account  string
	Registry string
	LogIn    bool // nobody is logged in
	Message  *Message
	Commands []Command
	Data     any
}

type navGroup struct {
	Label string
	Links []Link
}

// Message is said above the page.
type Message struct {
	Kind string // good, bad or warn
	Text string
	More []string
	Link *Link
}

// nav is the navigation, with the entry of the page in hand marked.
func (v *Visit) nav() []navGroup {
	groups := []navGroup{
		{"", []Link{{Label: t("Overview"), To: Root}, {Label: t("Repositories"), To: Root + "repositories"}, {Label: t("Activity"), To: Root + "activity"}}},
		{t("Keeping"), []Link{{Label: t("Recycle bin"), To: Root + "bin"}, {Label: t("Journal"), To: Root + "journal"}, {Label: t("Leases"), To: Root + "leases"}}},
		{t("Sources"), []Link{{Label: t("Upstreams"), To: Root + "upstreams"}, {Label: t("Creation templates"), To: Root + "templates"}}},
		{t("Sending"), []Link{{Label: t("Replication"), To: Root + "replication"}, {Label: t("Events"), To: Root + "events"}}},
		{t("People"), []Link{{Label: t("Who may do what"), To: Root + "access"}, {Label: t("Users and roles"), To: Root + "people"}, {Label: t("Signers"), To: Root + "signers"}, {Label: t("Sessions"), To: Root + "sessions"}, {Label: t("Audit log"), To: Root + "audit"}}},
	}
	if v.R == nil {
		return groups
	}
	for _, g := range groups {
		for i, l := range g.Links {
			g.Links[i].Current = v.R.URL.Path == l.To || l.To != Root && strings.HasPrefix(v.R.URL.Path, l.To+"/")
		}
	}
	return groups
}

// RepoURL is the page of a repository.
func RepoURL(name ecr.RepositoryName, page string) string {
	return Root + "repositories/" + string(name) + "/-/" + page
}

// Tabs are those of a repository's pages.
func Tabs(repo ecr.RepositoryName, current string) []Link {
	all := []Link{
		{Label: t("Tags"), To: RepoURL(repo, "tags")}, {Label: t("Lifecycle"), To: RepoURL(repo, "lifecycle")},
		{Label: t("Access"), To: RepoURL(repo, "access")}, {Label: t("Activity"), To: RepoURL(repo, "activity")},
	}
	for i := range all {
		all[i].Current = strings.HasSuffix(all[i].To, "/"+current)
	}
	return all
}

// Crumbs lead to a repository, folder by folder.
func Crumbs(repo ecr.RepositoryName) []Link {
	out := []Link{{Label: t("Repositories"), To: Root + "repositories"}}
	folder := ""
	parts := strings.Split(string(repo), "/")
	for _, p := range parts[:len(parts)-1] {
		folder += p + "/"
		out = append(out, Link{Label: p, To: Root + "repositories?q=" + url.QueryEscape(folder)})
	}
	return out
}
