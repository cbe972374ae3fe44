package server_test

import (
	"html"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/access/audit"
)

// tableExceptions are what a table lacks for a reason.
var tableExceptions = map[string]string{
	"sessions command": "no command lists sessions of the console",
	"rules sort":       "rules are in the order of their priority, which says which one decides",
	"days sort":        "days follow each other",
	"layers sort":      "layers lie on each other",
}

// Every table of every page has a filter, an order that can be chosen, a CSV with the same
// rows, and a command that says the same.
func TestConsoleTables(t *testing.T) {
	w := start(t, t.TempDir(), audited(t, t.TempDir(), audit.Changes, 1<<20))
	digest := w.markers()
	w.push(here, w.password(here, administrator), "app", "mark2", "goes") // by the rule, in three days
	cookie := w.logIn(w.credentials(here, administrator))
	seen, used := map[string]bool{}, map[string]bool{}
	section := regexp.MustCompile(`(?s)<section class="section" id="([a-z]+)" aria-label.*?</section>`)
	href := regexp.MustCompile(`href="([^"]*)"`)
	for _, path := range consolePages(digest) {
		if strings.Contains(path, "format=csv") {
			continue
		}
		body := w.want(w.page(cookie, "GET", path, nil), 200).body
		for _, m := range section.FindAllStringSubmatch(body, -1) {
			id, part := m[1], m[0]
			if !strings.Contains(part, "<tbody") {
				continue // it has no rows here
			}
			seen[id] = true
			lacks := func(what string, is bool) {
				t.Helper()
				if _, excused := tableExceptions[id+" "+what]; !is && excused {
					used[id+" "+what] = true
				} else if !is {
					t.Errorf("%s: the table %s has no %s: %s", path, id, what, part)
				}
			}
			lacks("filter", strings.Contains(part, `name="filter-`+id+`"`) || strings.Contains(body, `<form class="fields" role="search" method="get"`))
			lacks("command", strings.Contains(part, `data-copy="kontor `) || strings.Contains(part, `data-copy="aws `))
			head, _, _ := strings.Cut(part, "</thead>")
			sorts := href.FindAllStringSubmatch(head[strings.Index(head, "<thead"):], -1)
			lacks("sort", len(sorts) > 0)
			rows := strings.Count(part, "<tr") - 1
			csv := ""
			for _, h := range href.FindAllStringSubmatch(part, -1) {
				if strings.Contains(h[1], "format=csv") {
					csv = html.UnescapeString(h[1])
				}
			}
			lacks("CSV", csv != "")
			if csv != "" {
				a := w.want(w.page(cookie, "GET", csv, nil), 200)
				if got := strings.Count(strings.TrimSpace(a.body), "\n"); got < rows || !strings.HasPrefix(a.header.Get("Content-Type"), "text/csv") {
					t.Errorf("%s: %d rows of CSV, %d on the page: %s", csv, got, rows, a.body)
				}
			}
			for _, h := range sorts { // each order has the same rows
				a := w.want(w.page(cookie, "GET", html.UnescapeString(h[1]), nil), 200)
				again := section.FindAllStringSubmatch(a.body, -1)
				i := slices.IndexFunc(again, func(m []string) bool { return m[1] == id })
				if i < 0 || strings.Count(again[i][0], "<tr")-1 != rows || !strings.Contains(again[i][0], "aria-sort=") {
					t.Errorf("%s: sorted by %s, the table %s has other rows, or does not say so", path, h[1], id)
				}
			}
		}
	}
	for _, id := range []string{"next", "jobs", "repositories", "tags", "rules", "layers", "leases", "pullers", "days", "matrix", "answer", "activity", "bin", "journal", "collectors", "users", "roles", "trust", "upstreams", "credentials", "templates", "policies", "tokens", "sessions", "audit", "signers", "receivers", "deliveries", "replication", "failed", "findings", "signatures", "referrers"} {
		if !seen[id] {
			t.Errorf("the table %s is on no page with rows", id)
		}
	}
	for what, why := range tableExceptions {
		if why != "" && !used[what] {
			t.Errorf("the exception %q is not needed", what)
		}
	}
}

// A table that is whole is filtered and sorted as the URL says, in its CSV, too.
func TestConsoleFiltersAndSorts(t *testing.T) {
	w := start(t, t.TempDir())
	w.markers()
	cookie := w.logIn(w.credentials(here, administrator))
	rows := func(query string) (names []string) {
		t.Helper()
		for _, line := range strings.Split(strings.TrimSpace(w.want(w.page(cookie, "GET", "/console/people?format=csv&table=users"+query, nil), 200).body), "\n")[1:] {
			name, _, _ := strings.Cut(line, ",")
			names = append(names, name)
		}
		return names
	}
	all := rows("&sort-users=user&order-users=desc")
	if len(all) < 3 || !slices.IsSortedFunc(all, func(a, b string) int { return strings.Compare(b, a) }) {
		t.Errorf("backwards: %q", all)
	}
	if got := rows("&filter-users=MARKPERS"); !slices.Equal(got, []string{"markperson"}) {
		t.Errorf("filtered: %q", got)
	}
	if a := w.want(w.page(cookie, "GET", "/console/people?filter-users=%3Cb%3E", nil), 200); !strings.Contains(a.body, "No row has &lt;b&gt;.") {
		t.Errorf("a filter that nothing matches: %s", a.body)
	}
}
