package lifecyclecmd_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/cli/clitest"
	"github.com/kontor-registry/kontor/internal/testkit/push"
)

// previewed is the part of preview's JSON that the tests look at.
type previewed struct {
	Images []struct {
		Digest    string   `json:"imageDigest"`
		Tags      []string `json:"imageTags"`
		Action    string   `json:"action"`
		Rule      *int     `json:"rulePriority"`
		GuardedBy *struct{ Kind, By, Action string }
		MayBe     bool `json:"mayBeIndexChild"`
		Assumed   []string
	}
	Summary struct {
		Images, Keep, Expire, Transition, Guarded, MayBeIndexChildren int
	}
}

// fate is "action rule guard child", for comparing.
func (p previewed) fates(name map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range p.Images {
		s := m.Action
		if m.Rule != nil {
			s += fmt.Sprintf(" %d", *m.Rule)
		}
		if m.GuardedBy != nil {
			s += " guarded by " + m.GuardedBy.Kind + " " + name[m.GuardedBy.By]
		}
		if m.MayBe {
			s += " maybe"
		}
		for _, a := range m.Assumed {
			s += " " + a
		}
		out[name[m.Digest]] = s
	}
	return out
}

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return v
}

// The published vectors, through the files that the AWS CLI writes.
func TestPreviewVectors(t *testing.T) {
	dir, err := filepath.Abs("../../../docs/vectors")
	if err != nil {
		t.Fatal(err)
	}
	type image struct {
		Name      string
		Digest    string   `json:"imageDigest"`
		Tags      []string `json:"imageTags"`
		Pushed    *float64 `json:"pushedDaysAgo"`
		Pulled    *float64 `json:"pulledDaysAgo"`
		Archived  *float64 `json:"archivedDaysAgo"`
		Activated *float64 `json:"activatedDaysAgo"`
		Status    string   `json:"imageStatus"`
		Children  []string
		Subject   string
	}
	type file struct {
		Vectors []struct {
			Name, Assume, Ages, Extension string
			Held                          map[string]string
			Now                           time.Time
			Images                        []image
			Policy                        json.RawMessage
			Expect                        map[string]struct {
				Action    string
				Rule      int `json:"rulePriority"`
				GuardedBy *struct{ Kind, By string }
			}
		}
	}
	for _, name := range []string{"lifecycle.json", "lifecycle-guards.json"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		ran := 0
		for _, v := range decode[file](t, string(text)).Vectors {
			if v.Ages != "" || v.Extension != "" || len(v.Held) > 0 {
				continue // the command line has no flag for these
			}
			ran++
			t.Run(v.Name, func(t *testing.T) {
				s := clitest.New(t)
				digest, byDigest := map[string]string{}, map[string]string{}
				for _, m := range v.Images {
					digest[m.Name], byDigest[m.Digest] = m.Digest, m.Name
				}
				if err := os.Mkdir("manifests", 0o700); err != nil {
					t.Fatal(err)
				}
				details := []map[string]any{}
				for i, m := range v.Images {
					d := map[string]any{"registryId": "111111111111", "repositoryName": "x", "imageDigest": m.Digest, "imageTags": m.Tags, "imageSizeInBytes": 10, "imageStatus": m.Status}
					at := func(field string, days *float64) {
						if days == nil {
							return
						}
						when := v.Now.Add(-time.Duration(*days * float64(24*time.Hour)))
						d[field] = when.In(time.FixedZone("", 2*3600)).Format("2006-01-02T15:04:05.999999-07:00")
						if i%2 == 1 {
							d[field] = json.Number(fmt.Sprintf("%.6f", float64(when.UnixMicro())/1e6))
						}
					}
					at("imagePushedAt", m.Pushed)
					at("lastRecordedPullTime", m.Pulled)
					at("lastArchivedAt", m.Archived)
					at("lastActivatedAt", m.Activated)
					if m.Subject != "" {
						d["subjectManifestDigest"] = digest[m.Subject]
					}
					if len(m.Children) > 0 {
						var children []map[string]string
						for _, c := range m.Children {
							children = append(children, map[string]string{"digest": digest[c]})
						}
						b, err := json.Marshal(map[string]any{"manifests": children})
						if err != nil {
							t.Fatal(err)
						}
						s.Write("manifests/"+strings.Replace(m.Digest, ":", "-", 1)+".json", string(b))
					}
					details = append(details, d)
				}
				b, err := json.Marshal(map[string]any{"imageDetails": details})
				if err != nil {
					t.Fatal(err)
				}
				s.Write("images.json", string(b))
				s.Write("policy.json", string(v.Policy))
				assume := v.Assume
				if assume == "" {
					assume = "kontor"
				}
				r := s.Want(s.Run("lifecycle", "preview", "--policy", "policy.json", "--images", "images.json",
					"--manifests", "manifests", "--at", v.Now.Format(time.RFC3339), "--assume", assume, "--json"), 0)
				want := map[string]string{}
				for name, e := range v.Expect {
					s := e.Action
					if e.Rule > 0 {
						s += fmt.Sprintf(" %d", e.Rule)
					}
					if e.GuardedBy != nil {
						s += " guarded by " + e.GuardedBy.Kind + " " + e.GuardedBy.By
					}
					want[name] = s
				}
				got := decode[previewed](t, r.Out).fates(byDigest)
				for name, s := range got { // what is assumed is the engine's to test
					for _, a := range []string{" tie", " count", " referrer", " activating"} {
						s = strings.ReplaceAll(s, a, "")
					}
					got[name] = s
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
		if ran < 10 {
			t.Errorf("%s: only %d vectors ran", name, ran)
		}
	}
}

const untaggedPolicy = `{"rules": [
  {"rulePriority": 1, "description": "untagged images go a day after their push",
   "selection": {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 1},
   "action": {"type": "expire"}}
]}`

// multiplatform writes images.json and manifests/: an index with two children,
// its signature, and an image that lost its tag.
func multiplatform(s *clitest.Shell) map[string]string {
	s.T.Helper()
	child1, child2, lone, signature := push.DigestOf("amd64"), push.DigestOf("arm64"), push.DigestOf("lone"), push.DigestOf("signature")
	index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"digest":%q},{"digest":%q}]}`, child1, child2)
	names := map[string]string{push.DigestOf(index): "index", child1: "amd64", child2: "arm64", lone: "lone", signature: "signature"}
	image := func(digest, more string) string {
		return fmt.Sprintf(`{"registryId": "111111111111", "repositoryName": "team/app", "imageDigest": %q, "imageSizeInBytes": 1048576, "imagePushedAt": "2026-02-01T12:00:00+00:00"%s}`, digest, more)
	}
	s.Write("images.json", `{"imageDetails": [`+strings.Join([]string{
		image(push.DigestOf(index), `, "imageTags": ["v1"], "imageManifestMediaType": "application/vnd.oci.image.index.v1+json"`),
		image(child1, ""), image(child2, ""), image(lone, ""),
		image(signature, `, "subjectManifestDigest": "`+push.DigestOf(index)+`"`),
	}, ",\n")+`]}`)
	if err := os.MkdirAll("manifests", 0o700); err != nil {
		s.T.Fatal(err)
	}
	s.Write("manifests/index.json", index+"\n")
	s.Write("policy.json", untaggedPolicy)
	return names
}

func TestPreviewOffline(t *testing.T) {
	s := clitest.New(t)
	names := multiplatform(s)
	preview := func(more ...string) clitest.Result {
		return s.Run(append([]string{"lifecycle", "preview", "--policy", "policy.json", "--images", "images.json", "--at", "2026-03-01T12:00:00Z"}, more...)...)
	}
	tests := []struct {
		name string
		args []string
		want map[string]string
	}{
		{"without manifests", []string{"--json"}, map[string]string{
			"index": "keep", "amd64": "expire 1 maybe", "arm64": "expire 1 maybe", "lone": "expire 1 maybe", "signature": "expire 1 maybe referrer",
		}},
		{"with manifests, of AWS", []string{"--json", "--manifests", "manifests"}, map[string]string{
			"index": "keep", "amd64": "keep 1 guarded by index index", "arm64": "keep 1 guarded by index index", "lone": "expire 1", "signature": "expire 1 referrer",
		}},
		{"with manifests, of Kontor", []string{"--json", "--manifests", "manifests", "--assume", "kontor"}, map[string]string{
			"index": "keep", "amd64": "keep 1 guarded by index index", "arm64": "keep 1 guarded by index index", "lone": "expire 1", "signature": "keep 1 guarded by subject index",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := s.Want(preview(tt.args...), 0)
			if r.Errors != "" {
				t.Errorf("stderr: %s", r.Errors)
			}
			if diff := cmp.Diff(tt.want, decode[previewed](t, r.Out).fates(names)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	s.Want(preview("--manifests", "manifests", "--assume", "kontor"), 0,
		"Lifecycle preview of team/app at 2026-03-01 12:00 UTC, by policy.json\n",
		"rule 1: untagged images expire 1 day after their push\n  expires 1 image, 1.0 MiB\n",
		"    only    "+push.DigestOf("lone")[:19]+" (untagged): pushed 2026-02-01, 28 days ago; never pulled\n",
		"Kept although a rule would act: 2 images listed by an index.\n",
		"Kept although a rule would act: 1 image attached to an image that is kept.\n",
		"5 images: 1 expires (1.0 MiB), 0 are archived, 4 are kept.\n")
	s.Want(preview(), 0, "Not known: all of the 4 images may belong to an index, which would keep them; the manifests of the indexes would show it.\n", "5 images: 4 expire (4.0 MiB), 4 of them perhaps, ", "Assumed for 1 image: AWS removes signatures")

	// an index whose manifest is missing is named
	if err := os.Remove("manifests/index.json"); err != nil {
		t.Fatal(err)
	}
	s.Write("manifests/other.json", `{"manifests": []}`)
	s.Want(preview("--manifests", "manifests"), 0, "kontor: manifests: 1 file is not the manifest of an image of images.json: other.json\n",
		"kontor: the manifests of 1 index are missing (sha256:", "Not known: all of the 4 images")
}

func TestLifecycleUsage(t *testing.T) {
	s := clitest.New(t)
	multiplatform(s)
	s.Write("bad.json", strings.Replace(untaggedPolicy, "untagged\"", "untaged\"", 1))
	s.Write("page.json", `{"imageDetails": [], "nextToken": "x"}`)
	tests := []struct {
		args string
		code int
		want string
	}{
		{"preview", 2, "name a repository, or pass --images FILE"},
		{"preview Team", 2, `"Team" is not the name of a repository`},
		{"preview --images images.json", 2, "there is no policy in images.json: pass --policy FILE"},
		{"preview --images images.json --policy bad.json", 1, "bad.json:3:31: rules[0].selection.tagStatus: "},
		{"preview --images none.json --policy policy.json", 1, "kontor: none.json does not exist"},
		{"preview --images policy.json --policy policy.json", 1, "policy.json: not what `aws ecr describe-images` prints: imageDetails is missing"},
		{"preview --images page.json --policy policy.json", 1, "page.json: this is one page of several"},
		{"preview --images manifests --policy policy.json", 1, "manifests is a folder without snapshot.json"},
		{"preview team/other --images images.json --policy policy.json", 1, "images.json holds the images of repository team/app, not of team/other"},
		{"preview --images images.json --policy policy.json --at tomorrow", 2, "--at tomorrow: want a time such as"},
		{"preview --images images.json --policy policy.json --assume gcr", 2, "--assume gcr: want aws or kontor"},
		{"preview team/app --manifests manifests", 2, "--manifests needs --images"},
		{"preview team/app --images images.json --target prod", 2, "--images does not read a registry"},
		{"preview team/app --policy policy.json --deployed", 2, "--deployed and --policy cannot be combined"},
		{"prevew", 2, `unknown command "prevew" for "kontor lifecycle"`},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			s.Want(s.Run(append([]string{"lifecycle"}, strings.Fields(tt.args)...)...), tt.code, tt.want)
		})
	}
}

func TestExplainOffline(t *testing.T) {
	s := clitest.New(t)
	multiplatform(s)
	s.Write("kontor.yaml", "ecr_repositories:\n  team/app:\n    expiration_rules:\n    - {tag_pattern: \"v*\", days: 30}\n    - {tag_pattern: \"*1\", days: 60}\n    expire_all_images: true\n")
	explain := func(ref string, more ...string) clitest.Result {
		return s.Run(append([]string{"lifecycle", "explain", ref, "--images", "images.json", "--at", "2026-03-01T12:00:00Z"}, more...)...)
	}
	file := []string{"-f", "kontor.yaml", "--manifests", "manifests"}
	s.Want(explain("team/app:v1", file...), 0,
		"It is kept by rule 2: it was pushed on 2026-02-01, and becomes older than 30 days on 2026-03-03.\n",
		"It will expire at the first run after 2026-03-03 12:00 UTC, in 2 days.\n",
		"  rule 1: untagged images expire 1 day after their push  (kontor.yaml:2:3: ecr_repositories[\"team/app\"])\n    does not select it: it has tags\n",
		"  rule 2: images tagged v* expire 30 days after their push  (kontor.yaml:4:7: ecr_repositories[\"team/app\"].expiration_rules[0])\n    selects it and keeps it: its tag v1 matches v*;",
		"    selects it and would keep it (it was pushed on 2026-02-01, and becomes older than 60 days on 2026-04-02), but rule 2 has precedence\n",
		"    selects it and would expire it (it was pushed on 2026-02-01, more than 14 days ago), but rule 2 has precedence\n")
	s.Want(explain("@"+push.DigestOf("amd64")[:20], file...), 0, "It is kept, although rule 1 expires it: index sha256:", "It will expire at the first run after 2026-03-03 12:00 UTC")
	s.Want(explain(":v1", append(file, "--at", "2026-03-04T00:00:00Z")...), 0, "Rule 2 expires it at the next run: it was pushed on 2026-02-01, more than 30 days ago.\nIt has been due since 2026-03-03 12:00 UTC.")
	s.Want(explain("@"+push.DigestOf("amd64"), append(file, "--at", "2026-03-04T00:00:00Z")...), 0, "It will expire at the run after the next, when the image that keeps it is gone.")
	s.Want(explain("@"+push.DigestOf("lone"), "--policy", "policy.json"), 0, "Rule 1 expires it at the next run, unless an index lists it", "Not known: whether an index lists it, which would keep it; the manifests of the indexes would show it.\n")
	s.Want(explain("@"+push.DigestOf("signature"), append(file, "--assume", "kontor")...), 0, "belongs to image sha256:")

	r := s.Want(explain(":v1", append(file, "--json")...), 0)
	got := decode[struct {
		Image     struct{ Action string }
		ChangesAt time.Time
		Rules     []struct {
			Verdict, Field, Place string
			Met                   bool
		}
	}](t, r.Out)
	if len(got.Rules) != 4 || got.Rules[1].Verdict != "keeps" || got.Rules[3].Verdict != "outranked" || !got.Rules[3].Met ||
		got.Rules[1].Field != "ecr_repositories[\"team/app\"].expiration_rules[0]" || got.Rules[1].Place != "kontor.yaml:4:7" ||
		!got.ChangesAt.Equal(time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)) || got.Image.Action != "keep" {
		t.Errorf("explain --json: %+v", got)
	}

	policy := []string{"--policy", "policy.json"}
	s.Want(explain(":v1", policy...), 0, "It is kept: no rule selects it.\nTime alone does not change that.\n")
	s.Want(explain(":v2", policy...), 1, "kontor: no image in team/app has the tag v2\n")
	s.Want(explain("@sha256:12", policy...), 2, "want a digest such as sha256:0123456789ab")
	s.Want(explain("team/app", policy...), 2, `"team/app": want REPOSITORY:TAG or REPOSITORY@DIGEST`)
	s.Want(explain("other:v1", policy...), 1, "not of other")
}

func TestForecastOffline(t *testing.T) {
	s := clitest.New(t)
	names := multiplatform(s)
	s.Write("kontor.yaml", "ecr_repositories:\n  team/app:\n    expiration_rules:\n    - {tag_pattern: \"v*\", days: 30}\n")
	forecast := func(more ...string) clitest.Result {
		return s.Run(append([]string{"lifecycle", "forecast", "--images", "images.json", "--at", "2026-03-01T12:00:01Z"}, more...)...)
	}
	args := []string{"-f", "kontor.yaml", "--manifests", "manifests", "--assume", "kontor", "--days", "5"}
	r := s.Want(forecast(append(args, "--json", "--svg", "f.svg", "--html", "f.html")...), 0)
	got := decode[struct {
		Days []struct {
			Date  string
			Rules []struct {
				RulePriority int
				ImageDigests []string
			}
			ImagesLeft int
		}
		FirstPulledLastWeek any
	}](t, r.Out)
	var events []string
	for _, d := range got.Days {
		for _, r := range d.Rules {
			for _, digest := range r.ImageDigests {
				events = append(events, fmt.Sprintf("%s rule %d %s", d.Date, r.RulePriority, names[digest]))
			}
		}
	}
	// the index and its signature go first, its children at the next run
	want := []string{"2026-03-01 rule 1 lone", "2026-03-03 rule 2 index", "2026-03-03 rule 2 signature", "2026-03-04 rule 1 amd64", "2026-03-04 rule 1 arm64"}
	if diff := cmp.Diff(want, events); diff != "" || len(got.Days) != 6 || got.Days[5].ImagesLeft != 0 || got.FirstPulledLastWeek != nil {
		t.Errorf("%d days, (-want +got):\n%s", len(got.Days), diff)
	}
	for name, begin := range map[string]string{"f.svg": "<svg ", "f.html": "<!DOCTYPE html>"} {
		if b, err := os.ReadFile(name); err != nil || !strings.HasPrefix(string(b), begin) {
			t.Errorf("%s: %v, %.20s", name, err, b)
		}
	}
	s.Want(forecast(args...), 0, "2026-03-04  rule 1 expires 2 images, 2.0 MiB\n", "(kontor.yaml:4:7: ecr_repositories[\"team/app\"].expiration_rules[0])", "No image pulled in the last week expires within 5 days.", "Now 5 images, 5.0 MiB; after 5 days 0 images.")
	s.Want(forecast("--policy", "policy.json"), 0, "For 30 days, with nothing pushed", "Not known: 4 of these images may belong to an index, which would keep them", "Assumed: 1 image expires only if AWS")
	s.Want(forecast("--policy", "policy.json", "--rate", "present"), 0, "with pushes continuing at the recent rate")
	s.Want(forecast("--days", "0"), 2, "--days 0: want 1 to 3650")
	s.Want(forecast("--rate", "fast"), 2, "--rate fast: want present or none")
	s.Want(forecast("--policy", "policy.json", "--svg", "none/f.svg"), 1, "kontor: writing the chart: open none/f.svg")
}
