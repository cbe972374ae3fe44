package server_test

import (
	"context"
	"fmt"
	"html"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// countRepositories counts repositories as the job does.
func (w *world) countRepositories() {
	w.t.Helper()
	err := w.meta.Update(w.t.Context(), func(ctx context.Context, tx meta.Tx) error {
		all, err := tx.AllRepositories(ctx, 0, 1000)
		for _, r := range all {
			var f meta.Figures
			if err == nil {
				f, err = tx.Retention().Figures().CountFigures(ctx, r.ID)
			}
			if f.CountedAt = w.clock(); err == nil {
				err = tx.Retention().FigureWriter().PutFigures(ctx, []meta.Figures{f})
			}
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// Repositories can be sorted by what is in them, and their sizes say what is theirs alone to those who may ask for usage.
func TestConsoleSortsRepositories(t *testing.T) {
	w := start(t, t.TempDir())
	password := w.password(here, administrator)
	for i, name := range []ecr.RepositoryName{"b-large", "c-shared", "a-small"} {
		w.create(here, name)
		w.push(here, password, string(name), "v1", []string{strings.Repeat("x", 50_000), "shared", "shared"}[i])
	}
	cookie := w.logIn(w.credentials(here, administrator))
	rows := func(path string) (names []string) {
		t.Helper()
		lines := strings.Split(strings.TrimSpace(w.want(w.page(cookie, "GET", path+"&format=csv", nil), 200).body), "\n")
		for _, line := range lines[1:] {
			name, _, _ := strings.Cut(line, ",")
			names = append(names, name)
		}
		return names
	}
	for path, want := range map[string][]string{
		"?q=":                          {"a-small", "b-large", "c-shared"},
		"?sort=name&order=desc":        {"c-shared", "b-large", "a-small"},
		"?sort=bytes":                  {"b-large", "a-small", "c-shared"},
		"?sort=bytes&order=asc&q=-":    {"a-small", "c-shared", "b-large"},
		"?sort=pushed&order=asc&q=b-l": {"b-large"},
	} {
		if got := rows("/console/repositories" + path); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	body := w.want(w.page(cookie, "GET", "/console/repositories?sort=bytes", nil), 200).body
	if !strings.Contains(body, `aria-sort="descending"`) || !strings.Contains(body, "49 KiB its own") || !regexp.MustCompile(`c-shared(.|\n)*?<span class="sub">\d+ B its own`).MatchString(body) {
		t.Errorf("sizes: %s", body)
	}
	// Long lists are sorted by what was counted, page by page.
	for i := range 100 {
		w.create(here, ecr.RepositoryName(fmt.Sprint("more-", i)))
	}
	w.countRepositories()
	for query, first := range map[string][]string{
		"sort=bytes": {"b-large", "a-small", "c-shared"}, "sort=pushed": {"a-small", "c-shared", "b-large"}, "sort=name&order=desc": {"more-99", "more-98", "more-97"},
		"sort=images&order=asc&q=-": {"more-0", "more-1", "more-2"},
	} {
		var got []string
		for path, pages := "/console/repositories?"+query, 0; path != "" && pages < 9; pages++ {
			body := html.UnescapeString(w.want(w.page(cookie, "GET", path, nil), 200).body)
			if !strings.Contains(body, `aria-sort="`) || strings.Contains(body, "Sorted by a count") == strings.Contains(query, "name") {
				t.Errorf("%s: does not say how it is sorted: %s", query, body)
			}
			for _, m := range regexp.MustCompile(`<th role="rowheader"[^>]*><span><a href="/console/repositories/([^/]+)/-/tags"`).FindAllStringSubmatch(body, -1) {
				got = append(got, m[1])
			}
			next := regexp.MustCompile(`href="([^"]*)" rel="next"`).FindStringSubmatch(body)
			if path = ""; next != nil {
				path = next[1]
			}
		}
		if len(got) != 103 || !slices.Equal(got[:3], first) {
			t.Errorf("%s: %d repositories, first %q, want %q", query, len(got), got[:min(3, len(got))], first)
		}
		slices.Sort(got)
		if len(slices.Compact(got)) != 103 {
			t.Errorf("%s: some are there twice", query)
		}
	}
	w.want(w.page(cookie, "GET", "/console/repositories?sort=bytes&after=x", nil), 404)
	// The order of what one may not ask for is not told.
	people := w.server.IAM(here.Region).System(here.Account, "test")
	if err := people.PutInline(t.Context(), iam.OfUser, administrator, "no", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"ecr:DescribeImages","Resource":"arn:aws:ecr:*:*:repository/b-large"},{"Effect":"Deny","Action":"kontor:DescribeUsage","Resource":"arn:aws:ecr:*:*:repository/c-shared"}]}`); err != nil {
		t.Fatal(err)
	}
	for sort, want := range map[string]string{"bytes": "a-small", "pushed": "a-small c-shared"} {
		if got := rows("/console/repositories?sort=" + sort); strings.Join(got[:len(strings.Fields(want))], " ") != want || slices.Contains(got, "b-large") || slices.Contains(got, "c-shared") != strings.Contains(want, "c-shared") {
			t.Errorf("%s, without rights: %q", sort, got)
		}
	}
}
