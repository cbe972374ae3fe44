package server_test

import (
	"context"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/server"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// redirecting is a store that lets clients fetch blobs themselves.
type redirecting struct{ blob.Store }

func (redirecting) Redirect(_ context.Context, key blob.Key) (string, error) {
	return "https://blobs.example/" + string(key), nil
}

// Where clients fetch blobs from the store, a page still reads what it shows.
func TestConsoleReadsFromRedirectingStores(t *testing.T) {
	w := start(t, t.TempDir(), func(c *server.Config) { c.Blobs = redirecting{c.Blobs} })
	w.create(here, "app")
	image, _ := w.push(here, w.password(here, administrator), "app", "v1", "layer")
	cookie := w.logIn(w.credentials(here, administrator))
	if a := w.want(w.page(cookie, "GET", "/console/repositories/app/-/images/"+string(image), nil), 200); !strings.Contains(a.body, "linux/amd64") {
		t.Errorf("no platform: %s", a.body)
	}
}

// crowd adds n images, with the tags t0 and so on, to a repository: pushed one a minute
// until now, or some time ago, with other tags then.
func (w *world) crowd(name ecr.RepositoryName, n int, ago ...time.Duration) {
	w.t.Helper()
	tag, body, before := "t%d", `{"image":%d}`, time.Duration(0)
	if len(ago) > 0 {
		tag, body, before = "old%d", `{"old":%d}`, ago[0]
	}
	err := w.meta.Update(w.t.Context(), func(ctx context.Context, tx meta.Tx) error {
		repo, err := tx.Repository(ctx, here, name)
		for i := 0; i < n && err == nil; i++ {
			text := fmt.Appendf(nil, body, i)
			m := ecr.Image{Digest: ecr.DigestOf(text), MediaType: manifestType, SizeBytes: 1, PushedAt: w.clock().Add(-time.Duration(n-i)*time.Minute - before)}
			if err = tx.InsertManifest(ctx, meta.Manifest{Repository: repo.ID, Body: text, Image: m}); err == nil {
				err = tx.PutTag(ctx, repo.ID, meta.TagRow{Tag: ecr.Tag(fmt.Sprintf(tag, i)), Digest: m.Digest, TaggedAt: m.PushedAt}, false)
			}
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// formOf are the hidden fields of a page's forms, and the text of its textarea.
func formOf(body string) url.Values {
	out := url.Values{}
	for _, m := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`).FindAllStringSubmatch(body, -1) {
		out.Add(m[1], html.UnescapeString(m[2]))
	}
	if _, rest, ok := strings.Cut(body, "<textarea"); ok {
		_, rest, _ = strings.Cut(rest, ">")
		rest, _, _ = strings.Cut(rest, "</textarea>")
		out.Set("text", html.UnescapeString(rest))
	}
	return out
}

// expireAfter is a lifecycle policy.
func expireAfter(days int) string {
	return fmt.Sprintf(`{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"sinceImagePushed","countUnit":"days","countNumber":%d},"action":{"type":"expire"}}]}`, days)
}

// A policy can be tried and saved in a repository of many images, and is saved as it
// was tried, against the policy that was in force.
func TestConsoleSavesWhatWasTried(t *testing.T) {
	w := start(t, t.TempDir())
	w.create(here, "app")
	w.crowd("app", 2001)
	cookie := w.logIn(w.credentials(here, administrator))
	keep := w.server.Retention().System("test")
	saved := func() string {
		t.Helper()
		text, _, err := keep.LifecyclePolicy(t.Context(), here.Repo("app"))
		if err != nil && ecr.CodeOf(err) != ecr.CodeLifecyclePolicyNotFound {
			t.Fatal(err)
		}
		return text
	}
	const page = "/console/repositories/app/-/lifecycle"
	post := func(form url.Values, do string) answer {
		form.Set("do", do)
		return w.page(cookie, "POST", page, form)
	}
	if a := w.want(w.page(cookie, "GET", page, nil), 200); !strings.Contains(a.body, "explain=all") {
		t.Errorf("nothing says that the timeline needs all images: %s", a.body)
	}
	untried := url.Values{"text": {expireAfter(9)}}
	if a := post(untried, "save"); a.status != 200 || !strings.Contains(a.body, "not saved yet") || saved() != "" {
		t.Errorf("untried: %d, saved %s", a.status, saved())
	}
	form := formOf(w.want(post(url.Values{"text": {expireAfter(9)}}, "try"), 200).body)
	other := formOf(w.want(post(url.Values{"text": {expireAfter(9)}}, "try"), 200).body)
	other.Set("text", expireAfter(1))
	if a := post(other, "save"); a.status != 200 || saved() != "" || formOf(a.body).Get("text") != expireAfter(1) {
		t.Errorf("another text: %d, saved %s: %s", a.status, saved(), a.body)
	}
	form.Set("text", "\r\n"+form.Get("text")+"\r\n") // as browsers end lines
	w.want(post(form, "save"), 303)
	if strings.TrimSpace(saved()) != expireAfter(9) {
		t.Errorf("saved %s", saved())
	}
	form = formOf(w.want(post(url.Values{"text": {expireAfter(5)}}, "try"), 200).body)
	if _, err := keep.SetLifecyclePolicy(t.Context(), here.Repo("app"), expireAfter(7)); err != nil {
		t.Fatal(err)
	}
	a := post(form, "save")
	if a.status != 200 || !strings.Contains(a.body, "someone else") || saved() != expireAfter(7) {
		t.Errorf("over another one's: %d, saved %s", a.status, saved())
	}
	w.want(post(formOf(a.body), "save"), 303)
	if saved() != expireAfter(5) {
		t.Errorf("saved %s", saved())
	}
	// What it changes is another thing when images have come meanwhile.
	form = formOf(w.want(post(url.Values{"text": {expireAfter(1)}}, "try"), 200).body)
	w.crowd("app", 2, 3*24*time.Hour)
	if a = post(form, "save"); a.status != 200 || !strings.Contains(a.body, "is not what you saw") || saved() != expireAfter(5) {
		t.Errorf("with other images: %d, saved %s", a.status, saved())
	}
	w.want(post(formOf(a.body), "save"), 303)
	if saved() != expireAfter(1) {
		t.Errorf("saved %s", saved())
	}
	if a := post(url.Values{"text": {"typed"}}, "try"); a.status != 400 || !strings.Contains(a.body, ">typed</textarea>") {
		t.Errorf("not a policy: %d %s", a.status, a.body)
	}
	if a := w.page(cookie, "GET", page+"?explain=all", nil); !strings.Contains(a.body, `name="explain" value="all"`) {
		t.Errorf("the form of days forgets explain: %s", a.body)
	}
}

// The same of a repository policy; one that is refused stays in the form.
func TestConsoleSavesThePolicyThatWasTried(t *testing.T) {
	w := start(t, t.TempDir())
	w.create(here, "app")
	cookie := w.logIn(w.credentials(here, administrator))
	policy := func(action string) string {
		return `{"Version":"2012-10-17","Statement":[{"Sid":"x","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::222222222222:root"},"Action":"` + action + `"}]}`
	}
	as := w.server.Registry().System("test")
	saved := func() string {
		t.Helper()
		text, err := as.Policy(t.Context(), here.Repo("app"))
		if err != nil && ecr.CodeOf(err) != ecr.CodeRepositoryPolicyNotFound {
			t.Fatal(err)
		}
		return text
	}
	post := func(form url.Values, do string) answer {
		form.Set("do", do)
		return w.page(cookie, "POST", "/console/repositories/app/-/access", form)
	}
	form := formOf(w.want(post(url.Values{"text": {policy("ecr:BatchGetImage")}}, "try"), 200).body)
	typed := form.Get("text")
	form.Set("text", policy("ecr:*"))
	if a := post(form, "save"); a.status != 200 || !strings.Contains(a.body, "not saved yet") || saved() != "" {
		t.Errorf("another text: %d, saved %s", a.status, saved())
	}
	form.Set("text", typed)
	w.want(post(form, "save"), 303)
	if saved() == "" {
		t.Error("it is not saved")
	}
	if a := post(form, "save"); a.status != 200 || !strings.Contains(a.body, "someone else") {
		t.Errorf("over another one: %d", a.status)
	}
	people := w.server.IAM(here.Region).System(here.Account, "test")
	if err := people.PutInline(t.Context(), iam.OfUser, administrator, "no", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"ecr:SetRepositoryPolicy","Resource":"*"}]}`); err != nil {
		t.Fatal(err)
	}
	form = formOf(w.want(post(url.Values{"text": {policy("ecr:ListImages")}}, "try"), 200).body)
	if a := post(form, "save"); a.status != 403 || !strings.Contains(a.body, "not saved:") || formOf(a.body).Get("text") != policy("ecr:ListImages") {
		t.Errorf("refused: %d %s", a.status, a.body)
	}
}

// Tags are deleted as they were shown: one that has moved, or has become the last one
// of its image, is shown again.
func TestConsoleDeletesWhatWasShown(t *testing.T) {
	w := start(t, t.TempDir())
	w.create(here, "app")
	w.crowd("app", 3)
	cookie := w.logIn(w.credentials(here, administrator))
	as := w.server.Registry().System("test")
	move := func(tag ecr.Tag, to int) {
		t.Helper()
		err := w.meta.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
			repo, err := tx.Repository(ctx, here, "app")
			if err != nil {
				return err
			}
			return tx.PutTag(ctx, repo.ID, meta.TagRow{Tag: tag, Digest: ecr.DigestOf([]byte(fmt.Sprintf(`{"image":%d}`, to))), TaggedAt: w.clock()}, true)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	there := func() (tags []string) {
		t.Helper()
		list, _, err := as.ListImages(t.Context(), here.Repo("app"), "", ecr.ImageID{}, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range list {
			if id.Tag != "" {
				tags = append(tags, string(id.Tag))
			}
		}
		slices.Sort(tags)
		return tags
	}
	post := func(form url.Values) answer { return w.page(cookie, "POST", "/console/repositories/app/-/tags", form) }
	move("also", 0)
	a := w.want(post(url.Values{"pick": {"t0"}}), 200)
	move("t0", 1)
	if a = w.want(post(formOf(a.body)), 200); !strings.Contains(a.body, "Nothing is done yet") || len(there()) != 4 {
		t.Errorf("a tag that has moved: %q, %s", there(), a.body)
	}
	move("t1", 2) // t0 is the last tag of its image now
	if a = w.want(post(formOf(a.body)), 200); !strings.Contains(a.body, "Nothing is done yet") || len(there()) != 4 {
		t.Errorf("the last tag: %q, %s", there(), a.body)
	}
	w.want(post(formOf(a.body)), 303)
	if got := there(); !slices.Equal(got, []string{"also", "t1", "t2"}) {
		t.Errorf("left: %q", got)
	}
}

// Lists begin with the newest entries, count what they say, and say when they are cut.
func TestConsoleSaysWhatIsLeftOut(t *testing.T) {
	w := start(t, t.TempDir())
	for i := range 10 {
		w.create(here, ecr.RepositoryName(fmt.Sprint("app", i)))
	}
	w.crowd("app0", 3)
	digest := ecr.DigestOf([]byte(`{"image":1}`))
	err := w.meta.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
		repo, err := tx.Repository(ctx, here, "app0")
		if err == nil {
			err = tx.DeleteTag(ctx, repo.ID, "t0")
		}
		for i := 0; i < 60 && err == nil; i++ {
			err = tx.Retention().AppendJournal(ctx, meta.JournalEntry{
				At: w.clock(), Registry: here, Name: "app0", Repository: repo.ID, Op: meta.JournalMoveTag, Digest: digest, Tags: []ecr.Tag{"t1"}, Reason: fmt.Sprintf("entry-%d.", i),
			})
		}
		for i := 0; i < 210 && err == nil; i++ {
			err = tx.Identities().InsertUser(ctx, meta.User{Account: here.Account, UniqueID: fmt.Sprintf("AIDA%03d", i), Name: fmt.Sprintf("u%03d", i), Path: "/", CreatedAt: w.clock()})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	cookie := w.logIn(w.credentials(here, administrator))
	get := func(path string) string {
		t.Helper()
		a := w.want(w.page(cookie, "GET", path, nil), 200)
		return html.UnescapeString(a.header.Get("Content-Disposition") + a.body)
	}
	says := func(path string, want []string, not ...string) string {
		t.Helper()
		body := get(path)
		for _, s := range want {
			if !strings.Contains(body, s) {
				t.Errorf("%s does not say %q: %.3000s", path, s, body)
			}
		}
		for _, s := range not {
			if strings.Contains(body, s) {
				t.Errorf("%s says %q", path, s)
			}
		}
		return body
	}
	first := says("/console/journal", []string{"entry-59.", "entry-10.", "(the newest 1000 rows)", "Next page"}, "entry-9.")
	next := regexp.MustCompile(`href="([^"]*)" rel="next"`).FindStringSubmatch(first)
	if next == nil {
		t.Fatalf("no next page: %s", first)
	}
	second := says(next[1], []string{"entry-9.", "entry-0."}, "entry-10.")
	if csv := regexp.MustCompile(`href="([^"]*format=csv[^"]*)"`).FindStringSubmatch(second); csv == nil || strings.Contains(csv[1], "after") {
		t.Errorf("the CSV of the second page: %q", csv)
	}
	says("/console/repositories/app0/-/images/"+string(digest), []string{"entry-59.", "The newest 50 entries"}, "entry-9.")
	says("/console/repositories/app0/-/tags", []string{"2 tags, 1 untagged image"})
	rest := says("/console/access?none=yes", []string{"every other AWS account", "u000"}, "u210", "u100")
	users := 0
	for pages := 0; ; pages++ { // a page of users and roles after another
		users += strings.Count(rest, ">user/u")
		next := regexp.MustCompile(`href="([^"]*)" rel="next"`).FindStringSubmatch(rest)
		if next == nil || pages > 9 {
			break
		}
		rest = says(next[1], nil, "every other AWS account")
	}
	if users != 2100 {
		t.Errorf("%d rows of 210 users and 10 repositories", users)
	}
	says("/console/access?none=yes&format=csv", []string{`filename="access-first-2000.csv"`, "There are more rows: these are the first 2000.", "\n*,app0"})
}

// Logging in and out is on record.
func TestConsoleLogoutIsOnRecord(t *testing.T) {
	dir := t.TempDir()
	w := start(t, t.TempDir(), audited(t, dir, audit.Changes, 1<<20))
	cookie := w.logIn(w.credentials(here, pusher))
	w.want(w.page(cookie, "POST", "/console/logout", url.Values{}), 303)
	w.want(w.page("", "POST", "/console/logout", url.Values{}), 303)
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range records(t, dir) {
		if r.Via == "console" && strings.HasSuffix(r.Principal, ":user/"+pusher) {
			got = append(got, r.Action)
		}
	}
	if !slices.Equal(got, []string{"kontor:OpenConsole", "kontor:EndConsoleSession"}) {
		t.Errorf("on record: %q", got)
	}
}

// Browsers keep a file for long only under the URL that has its hash: another version of
// the server may have another one.
func TestConsoleFilesAreKeptByTheirHash(t *testing.T) {
	w := start(t, t.TempDir())
	of := regexp.MustCompile(`href="(/console/assets/console\.css)(\?[0-9a-f]+)"`).FindStringSubmatch(w.want(w.page("", "GET", "/console/login", nil), 200).body)
	if of == nil {
		t.Fatal("the page has no style sheet with a hash")
	}
	for query, want := range map[string]bool{of[2]: true, "": false, "?0123456789ab": false} {
		t.Run("query "+query, func(t *testing.T) {
			w.within(t)
			a := w.want(w.page("", "GET", of[1]+query, nil), 200)
			if got := a.header.Get("Cache-Control"); strings.Contains(got, "immutable") != want || strings.Contains(got, "no-store") == want {
				t.Errorf("%s: %q", query, got)
			}
		})
	}
}

// The page of pulls says who pulled what: by filter, by page, as CSV, of who is gone,
// and as the command says.
func TestConsoleActivity(t *testing.T) {
	w := start(t, t.TempDir())
	w.create(here, "app")
	w.crowd("app", 60)
	today := meta.DayOf(w.clock())
	err := w.meta.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
		repo, err := tx.Repository(ctx, here, "app")
		if err != nil {
			return err
		}
		images, err := tx.ListManifests(ctx, repo.ID, "", 60)
		var counts []meta.PullCount
		for i, m := range images {
			by := meta.Puller{UniqueID: "AIDAGONE", ARN: "arn:aws:iam::000000000000:user/former"}
			if i == 0 {
				by.ARN, by.UniqueID = "arn:aws:iam::000000000000:role/node", "AROANODE"
			}
			counts = append(counts, meta.PullCount{Day: today - meta.Day(i%2), Repository: repo.ID, Digest: m.Image.Digest, By: by, Pulls: int64(100 + i), LastAt: w.clock().Add(-time.Duration(i%2) * 24 * time.Hour)})
		}
		if err == nil {
			err = tx.Retention().CountPulls(ctx, counts)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	cookie := w.logIn(w.credentials(here, administrator))
	get := func(path string) string {
		t.Helper()
		return html.UnescapeString(w.want(w.page(cookie, "GET", path, nil), 200).body)
	}
	has := func(body string, texts ...string) {
		t.Helper()
		for _, text := range texts {
			if !strings.Contains(body, text) {
				t.Errorf("no %q in\n%s", text, body)
			}
		}
	}
	const page = "/console/repositories/app/-/activity"
	first := get(page)
	has(first, "user/former", "role/node", `<span class="sub">deleted</span>`, "50 rows on this page", "<svg", "Pulls on each day", "7770 pulls", "kontor admin activity --repository app --days 30 --endpoint ")
	next := regexp.MustCompile(`href="([^"]*)" rel="next"`).FindStringSubmatch(first)
	if next == nil {
		t.Fatal("no next page")
	}
	has(get(next[1]), "10 rows", "First page")
	if a := get(page + "?principal=role/node&days=7"); strings.Contains(a, "user/former") || !strings.Contains(a, "1 row<") || !strings.Contains(a, "--principal role/node") {
		t.Errorf("by one role: %s", a)
	}
	has(get("/console/activity?repository=app&tag=t1"), "user/former")
	has(get(page+"?tag=none"), "Nobody pulled anything in this time.")
	lines := strings.Split(strings.TrimSpace(get(page+"?format=csv&sort=day&order=asc")), "\n")
	if len(lines) != 61 || strings.TrimSpace(lines[0]) != "day,image,principal,pulls,last" || !strings.HasPrefix(lines[1], (today-1).Time().Format(time.DateOnly)+",app@sha256:") {
		t.Errorf("%d lines of CSV: %s", len(lines), lines[:2])
	}
	w.want(w.page(cookie, "GET", page+"?after=x", nil), 404)
	w.want(w.page(cookie, "GET", "/console/activity?repository=none", nil), 404)
	// Pulls of what an index lists are those of a platform.
	child := ecr.DigestOf([]byte(`{"image":7}`)) // has no other pulls today
	index := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"` + manifestType + `","digest":"` + string(child) + `","size":11,"platform":{"os":"linux","architecture":"arm64","variant":"<b>v8"}}]}`
	w.want(w.do(w.basic(here, w.password(here, administrator), "PUT", "/v2/app/manifests/multi", index, "Content-Type", "application/vnd.oci.image.index.v1+json")), 201)
	for path, want := range map[string]bool{page: true, "/console/activity?repository=app": true, "/console/activity": false, page + "?tag=t1": false, page + "?tag=t7": true} {
		if body := w.want(w.page(cookie, "GET", path, nil), 200).body; strings.Contains(body, "linux/arm64/&lt;b&gt;v8") != want || strings.Contains(body, "By platform") != want {
			t.Errorf("%s: platforms: %t, want %t in %s", path, !want, want, body)
		}
	}
	if a := get(page + "?format=csv&table=platforms"); !strings.HasPrefix(a, "platform,pulls,images,last") || !strings.Contains(a, "linux/arm64/<b>v8,1") {
		t.Errorf("CSV of platforms: %s", a)
	}
}

// The page of the audit log says who asked for what and what decided, of the registry
// that it is of and of no other, and goes on where it ended.
func TestConsoleAudit(t *testing.T) {
	w := start(t, t.TempDir(), audited(t, t.TempDir(), audit.Changes, 4<<10)) // in many files
	for i := range 60 {
		w.create(here, ecr.RepositoryName(fmt.Sprint("app-", i)))
	}
	w.create(elsewhere, "elsewhere")
	w.want(w.do(w.json(here, w.credentials(here, pusher), "DeleteRepository", `{"repositoryName":"<b>hostile"}`)), 400)
	w.want(w.do(w.json(here, w.credentials(here, pusher), "DeleteRepository", `{"repositoryName":"app-7"}`)), 400)
	cookie := w.logIn(w.credentials(here, administrator))
	get := func(path string) string {
		t.Helper()
		return html.UnescapeString(w.want(w.page(cookie, "GET", path, nil), 200).body)
	}
	denied := get("/console/audit?decision=denied")
	for _, text := range []string{"ecr:DeleteRepository", "app-7", "user/pusher", "denied", "nothing allows it", "1 record<", "admin audit --decision denied --endpoint "} {
		if !strings.Contains(denied, text) {
			t.Errorf("no %q in %s", text, denied)
		}
	}
	seen := map[string]bool{}
	for path, pages := "/console/audit?action=ecr:CreateRepository", 0; path != ""; pages++ {
		body := get(path)
		if strings.Contains(body, "elsewhere") || pages > 9 {
			t.Fatalf("page %d: %s", pages, body)
		}
		for _, m := range regexp.MustCompile(`app-\d+`).FindAllString(body, -1) {
			seen[m] = true
		}
		next := regexp.MustCompile(`href="([^"]*)" rel="next"`).FindStringSubmatch(body)
		if path = ""; next != nil {
			path = next[1]
		}
	}
	if len(seen) != 60 {
		t.Errorf("%d of 60 records", len(seen))
	}
	if lines := strings.Split(strings.TrimSpace(get("/console/audit?action=ecr:CreateRepository&resource=app-1?&format=csv")), "\n"); len(lines) != 11 || !strings.Contains(lines[1], ":repository/app-19,allowed,") {
		t.Errorf("CSV: %q", lines)
	}
	w.want(w.page(cookie, "GET", "/console/audit?since=yesterday", nil), 400)
	w.want(w.page(w.logIn(w.credentials(here, pusher)), "GET", "/console/audit", nil), 403)
}

// The page of leases goes on after the last one that it showed, whatever they are called.
func TestConsoleLeasesByKey(t *testing.T) {
	w := start(t, t.TempDir())
	var list []retention.Lease
	for i := range 230 {
		list = append(list, retention.Lease{Repository: "app", Image: ecr.ImageID{Tag: "v1"}, User: fmt.Sprintf("a|b %%%03d&", i)})
	}
	if _, err := w.server.Retention().System("test").ReportLeases(t.Context(), here, "c|d", time.Hour, list); err != nil {
		t.Fatal(err)
	}
	cookie := w.logIn(w.credentials(here, administrator))
	seen, pages := map[string]bool{}, 0
	for path := "/console/leases"; path != ""; pages++ {
		body := html.UnescapeString(w.want(w.page(cookie, "GET", path, nil), 200).body)
		for _, m := range regexp.MustCompile(`a\|b %\d+&`).FindAllString(body[strings.Index(body, "<tbody"):], -1) {
			seen[m] = true
		}
		next := regexp.MustCompile(`href="([^"]*)" rel="next"`).FindStringSubmatch(body)
		if path = ""; next != nil && pages < 9 {
			path = next[1]
		}
	}
	if len(seen) != 230 || pages != 3 {
		t.Errorf("%d of 230 leases on %d pages", len(seen), pages)
	}
	w.want(w.page(cookie, "GET", "/console/leases?after=x", nil), 404)
}
