package people

import (
	"net/url"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/inspect"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/report/words"
)

// accessPage is how many repositories a matrix has, holdersPage how many users and roles
// a page, and mostAccess how many rows a CSV.
const (
	accessPage  = 10
	holdersPage = 50
	mostAccess  = 2000
)

// anyoneFirst are the places of a matrix's principals: every other account first, which
// concerns most people and must not be what is cut.
func anyoneFirst(m report.Matrix) []int {
	var order []int
	for i, who := range m.Principals {
		if who == proof.Anyone {
			order = slices.Insert(order, 0, i)
		} else {
			order = append(order, i)
		}
	}
	return order
}

// access is the matrix of all repositories.
func (v *visit) access() error {
	q := v.Query("q")
	want := func(n ecr.RepositoryName) bool { return strings.Contains(string(n), q) }
	list, next, err := v.Config.Inspect.As(v.Req.Principal).Repositories(v.R.Context(), v.Req.Registry, inspect.Listing{Want: want, After: ecr.RepositoryName(v.Query("after")), Limit: accessPage})
	if err != nil {
		return err
	}
	var names []ecr.RepositoryName
	for _, r := range list {
		may, err := v.May(r.Repo, "ecr:GetRepositoryPolicy")
		if err != nil {
			return err
		}
		if may["ecr:GetRepositoryPolicy"] {
			names = append(names, r.Name)
		}
	}
	x := &parts.Table{ID: "matrix", Caption: t("Who may do what"), Empty: t("There is no repository whose policy you may read."), Hint: t("Permission to read policies is ecr:GetRepositoryPolicy."),
		Columns: []parts.Column{{Key: "principal", Label: t("Who")}, {Key: "repository", Label: t("Repository")}}}
	for _, right := range proof.Rights() {
		x.Columns = append(x.Columns, parts.Column{Key: string(right), Label: words.Sentence(string(right))})
	}
	var notes []string
	if len(names) < len(list) {
		notes = append(notes, t("Repositories whose policy you may not read are left out."))
	}
	more := ""
	if len(names) > 0 {
		w, said, err := v.sides(names)
		if err != nil {
			return err
		}
		said2, next, err := v.matrix(w, func(m report.Matrix, _ *proof.Prover, i int) error {
			who := m.Principals[i]
			for _, c := range m.Row(i) {
				_, name, _ := strings.Cut(c.Repository, ":repository/")
				r := parts.Row{Cells: []parts.Cell{v.whoCell(who, m.Unseen(i), ""), {Text: name, Link: parts.RepoURL(ecr.RepositoryName(name), "access") + "?who=" + url.QueryEscape(who)}}}
				any := false
				for _, right := range proof.Rights() {
					r.Cells = append(r.Cells, outcome(c.Rights[right]))
					any = any || c.Rights[right] != proof.Denied
				}
				if any || v.Query("none") != "" {
					x.Rows = append(x.Rows, r)
				}
			}
			return nil
		}, x)
		if err != nil {
			return err
		}
		notes, more = append(append(notes, said...), said2...), next
	}
	switch {
	case v.Query("format") == "csv":
	case more != "":
		x.Next = parts.With(v.R.URL, "from", more)
	case next != "":
		x.Next = parts.With(v.R.URL, "after", string(next), "from", "")
	}
	x.Count = t("%s of %s; those who may do nothing are left out", words.Count(len(x.Rows), t("row"), t("rows")), words.Count(len(names), t("repository"), t("repositories")))
	if v.Query("none") != "" {
		x.Count = words.Count(len(x.Rows), t("row"), t("rows"))
	}
	x.CSVHas = t("of these repositories")
	if len(x.Rows) > mostAccess {
		x.CutAt(mostAccess)
	}
	x.Filtered, x.Same = true, v.Same("access matrix", "", "")
	if wrote, err := v.CSV("access", x); wrote || err != nil {
		return err
	}
	x.CSV = parts.With(v.R.URL, "format", "csv", "from", "")
	return v.show("access", parts.Layout{Title: t("Who may do what"), Data: map[string]any{"Q": q, "None": v.Query("none"), "Table": x, "Notes": notes},
		Commands: []parts.Command{v.Kontor(t("The matrix"), "access matrix")}})
}

// matrix calls row for each principal of w, and of a page of users and roles, which the URL
// says. Of a CSV it goes through all pages, until x has too many rows.
func (v *visit) matrix(w proof.World, row func(m report.Matrix, p *proof.Prover, i int) error, x *parts.Table) (notes []string, next string, err error) {
	from := v.Query("from")
	for {
		page := w
		next, said, err := v.some(&page, from, holdersPage)
		if err != nil {
			return nil, "", err
		}
		if notes == nil {
			notes = said
		}
		p, err := proof.New(page)
		if err != nil {
			return nil, "", err
		}
		m := report.NewMatrix(p.Matrix(), nil)
		for _, i := range anyoneFirst(m) {
			// Those that policies name are on the first page.
			here := from == "" || slices.ContainsFunc(page.Principals, func(p proof.Principal) bool { return p.ARN == m.Principals[i] })
			if !here || len(x.Rows) > mostAccess {
				continue
			}
			if err := row(m, p, i); err != nil {
				return nil, "", err
			}
		}
		if next == "" || v.Query("format") != "csv" || len(x.Rows) > mostAccess {
			return notes, next, nil
		}
		from = next
	}
}

// whoCell names a principal in a table.
func (v *visit) whoCell(arn string, unseen bool, to string) parts.Cell {
	text := words.Principals(arn, unseen)
	if short := v.Who(arn); strings.HasPrefix(arn, "arn:") && !unseen {
		text = short
	}
	return parts.Cell{Text: text, Raw: arn, Link: to}
}
