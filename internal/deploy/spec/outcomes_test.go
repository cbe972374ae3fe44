package spec_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/lifecycle"
)

// outcomes are vectors from a file to what happens to images: of the means of
// removing images and of keeping them, and of their interplay. An image is written as its
// tags, "+"-separated or "-" for none, and its age in days; what happens as
// "keep", or the priority of the rule that expires it.
var outcomes = []struct {
	name     string
	defaults string // of the file
	settings string // of the repository
	notices  []string
	images   map[string]string
	// made are the fields that made the rules, by priority from 1.
	made []string
	none bool // no lifecycle policy at all
}{
	{
		name: "nothing said: untagged images go after a day, nothing else ever",
		images: map[string]string{
			"- 0.9": "keep", "- 1.1": "1", "- 400": "1", "v1 0": "keep", "v1 4000": "keep", "latest+v1 4000": "keep",
		},
		made: []string{"ecr_repositories.app"},
	},
	{
		name: "expire_all_images: all others go after 14 days", settings: "{expire_all_images: true}",
		images: map[string]string{
			"- 0.9": "keep", "- 1.1": "1", "v1 13.9": "keep", "v1 14.1": "2", "latest+v1 400": "2", "release-1 400": "2",
		},
		made: []string{"ecr_repositories.app", "ecr_repositories.app.expire_all_images"},
	},
	{
		name: "expire_all_images off is as if it were not there", settings: "{expire_all_images: false}",
		images: map[string]string{"v1 4000": "keep", "- 2": "1"},
		made:   []string{"ecr_repositories.app"},
	},
	{
		name:     "expiration_rules: earlier entries win, others stay",
		settings: `{expiration_rules: [{tag_pattern: "pr-*", days: 7}, {tag_pattern: "main-*", days: 90}, {tag_pattern: "*", days: 365}]}`,
		images: map[string]string{
			"pr-1 6.9": "keep", "pr-1 7.1": "2", "main-1 89": "keep", "main-1 91": "3",
			"pr-1+main-1 8": "2",    // the earlier entry owns it
			"main-1+pr-1 6": "keep", // and keeps it, whatever the later one says
			"other 364":     "keep", // '*' is any tag
			"other 366":     "4",    //
			"pr-1+other 8":  "2",    //
			"- 366":         "1",    // but no tag at all is not any tag
			"prod-pr-1 8":   "keep", // a pattern is the whole tag
		},
		made: []string{"ecr_repositories.app", "ecr_repositories.app.expiration_rules[0]", "ecr_repositories.app.expiration_rules[1]", "ecr_repositories.app.expiration_rules[2]"},
	},
	{
		name:     "a later pattern that an earlier one covers never acts",
		settings: `{expiration_rules: [{tag_pattern: "*", days: 90}, {tag_pattern: "pr-*", days: 7}]}`,
		images:   map[string]string{"pr-1 8": "keep", "pr-1 91": "2"},
		made:     []string{"ecr_repositories.app", "ecr_repositories.app.expiration_rules[0]", "ecr_repositories.app.expiration_rules[1]"},
	},
	{
		name: "an exact tag, four wildcards, and case", settings: `{expiration_rules: [{tag_pattern: "nightly", days: 2}, {tag_pattern: "*-*-*-*x", days: 5}]}`,
		images: map[string]string{
			"nightly 3": "2", "nightly-1 300": "keep", "a-b-c-x 6": "3", "a-b-cx 300": "keep", "Nightly 300": "keep", "---x 6": "3",
		},
		made: []string{"ecr_repositories.app", "ecr_repositories.app.expiration_rules[0]", "ecr_repositories.app.expiration_rules[1]"},
	},
	{
		name:     "a longer pattern rule survives expire_all_images, and a finding says so",
		settings: `{expire_all_images: true, expiration_rules: [{tag_pattern: "release-*", days: 365}, {tag_pattern: "pr-*", days: 3}]}`,
		notices:  []string{"KON1002"},
		images: map[string]string{
			"release-1 15": "keep", "release-1 364": "keep", "release-1 366": "2", "pr-1 2": "keep", "pr-1 4": "3",
			"other 13": "keep", "other 15": "4", "release-1+pr-1 15": "keep", "- 2": "1", "- 0.5": "keep",
		},
		made: []string{"ecr_repositories.app", "ecr_repositories.app.expiration_rules[0]", "ecr_repositories.app.expiration_rules[1]", "ecr_repositories.app.expire_all_images"},
	},
	{
		name:     "lifecycle_policy_json stands in place of the three others",
		settings: `{expire_all_images: true, expiration_rules: [{tag_pattern: "pr-*", days: 3}], lifecycle_policy_json: {rules: [{rulePriority: 5, selection: {tagStatus: tagged, tagPatternList: ["v*", "keep"], countType: imageCountMoreThan, countNumber: 1}, action: {type: expire}}]}}`,
		notices:  []string{"KON1001"},
		images: map[string]string{
			"- 400": "keep", "pr-1 400": "keep", "other 400": "keep", "v1 400": "keep",
			"v2+keep 3": "keep", "v1+keep 400": "5", // a list is AND, and one stays
		},
		made: []string{"", "", "", "", "ecr_repositories.app.lifecycle_policy_json.rules[0]"},
	},
	{
		name: "a document may archive, and delete from the archive only what is there",
		settings: `{lifecycle_policy_json: {rules: [{rulePriority: 1, selection: {tagStatus: any, countType: sinceImagePulled, countUnit: days, countNumber: 30}, action: {type: transition, targetStorageClass: archive}},
          {rulePriority: 2, selection: {tagStatus: any, storageClass: archive, countType: sinceImageTransitioned, countUnit: days, countNumber: 90}, action: {type: expire}}]}}`,
		notices: []string{"KON1001"},
		images:  map[string]string{"v1 29": "keep", "v1 31": "archive 1", "- 31": "archive 1"},
		made:    []string{"ecr_repositories.app.lifecycle_policy_json.rules[0]", "ecr_repositories.app.lifecycle_policy_json.rules[1]"},
	},
	{
		name: "a field replaces the default whole", defaults: `{expiration_rules: [{tag_pattern: "pr-*", days: 3}]}`,
		settings: `{expiration_rules: [{tag_pattern: "main-*", days: 5}]}`,
		images:   map[string]string{"pr-1 4": "keep", "main-1 6": "2"},
		made:     []string{"ecr_repositories.app", "ecr_repositories.app.expiration_rules[0]"},
	},
	{
		name: "default rules and the repository's expire_all_images add up", defaults: `{expiration_rules: [{tag_pattern: "pr-*", days: 30}]}`,
		settings: `{expire_all_images: true}`, notices: []string{"KON1002"},
		images: map[string]string{"pr-1 20": "keep", "pr-1 31": "2", "main-1 15": "3"},
		made:   []string{"ecr_repositories.app", "defaults.expiration_rules[0]", "ecr_repositories.app.expire_all_images"},
	},
	{
		name:     "any lifecycle field drops a default document",
		defaults: `{lifecycle_policy_json: {rules: [{rulePriority: 1, selection: {tagStatus: any, countType: imageCountMoreThan, countNumber: 1}, action: {type: expire}}]}}`,
		settings: `{expire_all_images: false}`,
		images:   map[string]string{"v1 400": "keep", "v2 500": "keep", "- 2": "1"},
		made:     []string{"ecr_repositories.app"},
	},
	{
		name: "keep: a tag of any of the patterns is enough", settings: `{keep: ["prod-*", "latest"]}`,
		images: map[string]string{"prod-1 4000": "keep", "latest 4000": "keep", "main-1 4000": "keep", "- 0.5": "keep", "- 2": "3"},
		made:   []string{"ecr_repositories.app.keep[0]", "ecr_repositories.app.keep[1]", "ecr_repositories.app"},
	},
	{
		name:     "keep beats expire_all_images and expiration_rules, wherever it stands",
		settings: `{expire_all_images: true, expiration_rules: [{tag_pattern: "*-1", days: 3}, {tag_pattern: "main-*", keep_last: 1}], keep: ["prod-*", "v*"]}`,
		notices:  []string{"KON1002", "KON1002"},
		images: map[string]string{
			"prod-1 400": "keep", "v2 400": "keep", "x-1+v3 400": "keep", "x-1 4": "4", "x-1 2": "keep",
			"main-3+prod-3 1": "keep", // kept, and yet the newest of main-*:
			"main-4 9":        "5",    // so this is one too many
			"other 15":        "6", "other 13": "keep", "prod 15": "6", "- 2": "3",
		},
		made: []string{
			"ecr_repositories.app.keep[0]", "ecr_repositories.app.keep[1]", "ecr_repositories.app",
			"ecr_repositories.app.expiration_rules[0]", "ecr_repositories.app.expiration_rules[1]", "ecr_repositories.app.expire_all_images",
		},
	},
	{
		name: "keep_last: the newest stay, whatever their age", settings: `{expiration_rules: [{tag_pattern: "main-*", keep_last: 2}]}`,
		images: map[string]string{"main-9 300": "keep", "main-8 400": "keep", "main-7 401": "2", "main-6 500": "2", "other 4000": "keep", "- 2": "1"},
		made:   []string{"ecr_repositories.app", "ecr_repositories.app.expiration_rules[0]"},
	},
	{
		name: "keep_last: one too many goes, however young", settings: `{expiration_rules: [{tag_pattern: "main-*", keep_last: 1}]}`,
		images: map[string]string{"main-9 0.1": "keep", "main-8 0.2": "2"},
	},
	{
		name:     "keep_last with expire_all_images: the newest stay longer, the others do not wait",
		settings: `{expire_all_images: true, expiration_rules: [{tag_pattern: "main-*", keep_last: 2}]}`,
		notices:  []string{"KON1002"},
		images:   map[string]string{"main-9 30": "keep", "main-8 40": "keep", "main-7 50": "2", "other 15": "3", "other 13": "keep"},
		made:     []string{"ecr_repositories.app", "ecr_repositories.app.expiration_rules[0]", "ecr_repositories.app.expire_all_images"},
	},
	{
		name:     "keep_last and days in one list: earlier entries win",
		settings: `{expiration_rules: [{tag_pattern: "main-*", keep_last: 1}, {tag_pattern: "*-rc", days: 3}, {tag_pattern: "pr-*", keep_last: 1}]}`,
		images: map[string]string{
			"main-2-rc 100": "keep", "main-1-rc 101": "2", "1-rc 4": "3", "1-rc 2": "keep",
			"pr-9-rc 1": "keep", "pr-8 5": "4", // the first counts among pr-*, though *-rc owns it
		},
		made: []string{"ecr_repositories.app", "ecr_repositories.app.expiration_rules[0]", "ecr_repositories.app.expiration_rules[1]", "ecr_repositories.app.expiration_rules[2]"},
	},
	{
		name: "expire_untagged_after_days: another number", settings: `{expire_untagged_after_days: 7}`,
		images: map[string]string{"- 6.9": "keep", "- 7.1": "1", "v1 400": "keep"},
		made:   []string{"ecr_repositories.app.expire_untagged_after_days"},
	},
	{
		name: "expire_untagged_after_days: never, and nothing else, is no policy", settings: `{expire_untagged_after_days: never}`,
		images: map[string]string{"- 4000": "keep", "v1 4000": "keep"}, none: true,
	},
	{
		name:     "never, with a rule: no tag at all is not any tag",
		settings: `{expire_untagged_after_days: never, expiration_rules: [{tag_pattern: "*", days: 5}]}`,
		images:   map[string]string{"- 4000": "keep", "v1 6": "1"},
		made:     []string{"ecr_repositories.app.expiration_rules[0]"},
	},
	{
		name: "never, with expire_all_images: untagged images are images", settings: `{expire_untagged_after_days: never, expire_all_images: true}`,
		images: map[string]string{"- 13": "keep", "- 15": "1", "v1 15": "1"},
		made:   []string{"ecr_repositories.app.expire_all_images"},
	},
	{
		name:     "more days for untagged images than for all: their own number counts",
		settings: `{expire_untagged_after_days: 30, expire_all_images: true, expire_all_after_days: 10}`,
		images:   map[string]string{"- 29": "keep", "- 31": "1", "v1 9": "keep", "v1 11": "2"},
		made:     []string{"ecr_repositories.app.expire_untagged_after_days", "ecr_repositories.app.expire_all_images"},
	},
	{
		name:     "expire_all_after_days: what keeps longer is measured by it",
		settings: `{expire_all_images: true, expire_all_after_days: 60, expiration_rules: [{tag_pattern: "pr-*", days: 30}, {tag_pattern: "v*", days: 61}]}`,
		notices:  []string{"KON1002"},
		images:   map[string]string{"pr-1 31": "2", "v1 60.5": "keep", "v1 62": "3", "other 59": "keep", "other 61": "4"},
	},
	{
		name: "default numbers count where the switch is on", defaults: `{expire_all_after_days: 30}`, settings: `{expire_all_images: true}`,
		images: map[string]string{"v1 29": "keep", "v1 31": "2", "- 2": "1"},
		made:   []string{"ecr_repositories.app", "ecr_repositories.app.expire_all_images"},
	},
	{
		name: "and nowhere else", defaults: `{expire_all_after_days: 30}`,
		images: map[string]string{"v1 4000": "keep", "- 2": "1"},
	},
	{
		name: "keep replaces the default's whole", defaults: `{keep: ["prod-*"], expire_all_images: true}`, settings: `{keep: ["v*"]}`,
		notices: []string{"KON1002"},
		images:  map[string]string{"prod-1 15": "3", "v1 15": "keep"},
		made:    []string{"ecr_repositories.app.keep[0]", "ecr_repositories.app", "defaults.expire_all_images"},
	},
	{
		name: "default keep and the repository's rules add up", defaults: `{keep: ["prod-*"]}`, settings: `{expiration_rules: [{tag_pattern: "*", days: 3}]}`,
		images: map[string]string{"prod-1 400": "keep", "v1 4": "3", "v1+prod-2 4": "keep"},
		made:   []string{"defaults.keep[0]", "ecr_repositories.app", "ecr_repositories.app.expiration_rules[0]"},
	},
	{
		name: "keep_last_images: the newest stay, tagged or not, and what an earlier rule owns", settings: `{keep: ["v*"], expire_untagged_after_days: never, keep_last_images: 2}`,
		images: map[string]string{"v2 1": "keep", "- 2": "keep", "x 3": "2", "v1 400": "keep", "- 500": "2"},
		made:   []string{"ecr_repositories.app.keep[0]", "ecr_repositories.app.keep_last_images"},
	},
	{
		name: "keep_last_images: untagged images go by their own rule, and count", settings: `{keep_last_images: 2, expiration_rules: [{tag_pattern: "pr-*", days: 7}]}`,
		images: map[string]string{"- 0.5": "keep", "x 1": "keep", "pr-1 2": "keep", "- 3": "1", "pr-2 8": "2", "x2 9": "3"},
		made:   []string{"ecr_repositories.app", "ecr_repositories.app.expiration_rules[0]", "ecr_repositories.app.keep_last_images"},
	},
	{
		name: "keep_last_untagged: in place of the days", settings: `{keep: ["v*"], keep_last_untagged: 1, expire_all_images: true}`, notices: []string{"KON1002"},
		images: map[string]string{"- 400": "keep", "- 401": "2", "v1 500": "keep", "x 15": "3", "x2 13": "keep"},
		made:   []string{"ecr_repositories.app.keep[0]", "ecr_repositories.app.keep_last_untagged", "ecr_repositories.app.expire_all_images"},
	},
	{
		name: "keep_last_untagged replaces default days", defaults: `{expire_untagged_after_days: 3, expire_all_images: true, expire_all_after_days: 5}`,
		settings: `{keep_last_untagged: 1, keep_last_images: 3}`,
		images:   map[string]string{"- 400": "keep", "- 401": "1", "a 6": "keep", "b 7": "keep", "c 402": "2"},
		made:     []string{"ecr_repositories.app.keep_last_untagged", "ecr_repositories.app.keep_last_images"},
	},
	{
		name: "and days replace a default keep_last_untagged", defaults: `{keep_last_untagged: 9, keep_last_images: 1}`,
		settings: `{expire_untagged_after_days: 3, expire_all_images: true}`,
		images:   map[string]string{"- 2.9": "keep", "- 3.1": "1", "a 13": "keep", "b 13.5": "keep", "c 15": "2"},
		made:     []string{"ecr_repositories.app.expire_untagged_after_days", "ecr_repositories.app.expire_all_images"},
	},
	{
		name: "keep_last_images: all ends a default one", defaults: `{keep_last_images: 1}`, settings: `{keep_last_images: all}`,
		images: map[string]string{"a 13": "keep", "b 4000": "keep", "- 2": "1"},
		made:   []string{"ecr_repositories.app"},
	},
	{
		name: "expire_all_images: false leaves a default keep_last_images", defaults: `{keep_last_images: 1}`, settings: `{expire_all_images: false}`,
		images: map[string]string{"a 13": "keep", "b 14": "2"},
		made:   []string{"ecr_repositories.app", "defaults.keep_last_images"},
	},
	{
		name:     "keep_last fields drop a default document",
		defaults: `{lifecycle_policy_json: {rules: [{rulePriority: 1, selection: {tagStatus: any, countType: imageCountMoreThan, countNumber: 1}, action: {type: expire}}]}}`,
		settings: `{keep_last_untagged: 1}`,
		images:   map[string]string{"a 1": "keep", "b 2": "keep", "- 3": "keep", "- 4": "1"},
		made:     []string{"ecr_repositories.app.keep_last_untagged"},
	},
	{
		name: "a document wins over default keep, and a finding says so", defaults: `{keep: ["prod-*"], expire_untagged_after_days: never}`,
		settings: `{lifecycle_policy_json: {rules: [{rulePriority: 1, selection: {tagStatus: any, countType: imageCountMoreThan, countNumber: 1}, action: {type: expire}}]}}`,
		notices:  []string{"KON1001"},
		images:   map[string]string{"prod-1 400": "1", "v1 4": "keep"},
		made:     []string{"ecr_repositories.app.lifecycle_policy_json.rules[0]"},
	},
	{
		name: "a document in place of nothing needs no finding", defaults: `{expire_untagged_after_days: never}`,
		settings: `{lifecycle_policy_json: {rules: [{rulePriority: 1, selection: {tagStatus: any, countType: imageCountMoreThan, countNumber: 1}, action: {type: expire}}]}}`,
		images:   map[string]string{"prod-1 400": "1", "v1 4": "keep"},
	},
	{
		name:     "keep drops a default document",
		defaults: `{lifecycle_policy_json: {rules: [{rulePriority: 1, selection: {tagStatus: any, countType: imageCountMoreThan, countNumber: 1}, action: {type: expire}}]}}`,
		settings: `{keep: ["v*"]}`,
		images:   map[string]string{"v1 400": "keep", "v2 500": "keep", "x 500": "keep", "- 2": "2"},
		made:     []string{"ecr_repositories.app.keep[0]", "ecr_repositories.app"},
	},
}

func TestOutcomes(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, v := range outcomes {
		t.Run(v.name, func(t *testing.T) {
			file := fmt.Sprintf("defaults: %s\necr_repositories: {app: %s}\n", orEmpty(v.defaults), orEmpty(v.settings))
			f, notices, err := spec.Load(spec.Source{Name: "kontor.yaml", Data: []byte(file)})
			if err != nil {
				t.Fatal(err)
			}
			var codes []string
			for _, n := range notices {
				codes = append(codes, string(n.Code))
			}
			if diff := cmp.Diff(v.notices, codes); diff != "" {
				t.Errorf("notices (-want +got):\n%s", diff)
			}
			r := f.Desired(local).Repositories[0]
			var p lifecycle.Policy // "" is none
			if r.Lifecycle != "" {
				if p, err = lifecycle.Parse([]byte(r.Lifecycle)); err != nil {
					t.Fatal(err)
				}
			}
			if v.none != (r.Lifecycle == "") {
				t.Errorf("lifecycle policy %q", r.Lifecycle)
			}
			var images []lifecycle.Image
			for m := range v.images {
				tags, age, _ := strings.Cut(m, " ")
				var days float64
				if _, err := fmt.Sscan(age, &days); err != nil {
					t.Fatal(err)
				}
				image := lifecycle.Image{Digest: m, PushedAt: now.Add(-time.Duration(days * float64(24*time.Hour)))}
				if tags != "-" {
					image.Tags = strings.Split(tags, "+")
				}
				images = append(images, image)
			}
			got := map[string]string{}
			for _, o := range lifecycle.Decide(p, images, now) {
				switch o.Action {
				case lifecycle.Expire:
					got[o.Digest] = fmt.Sprint(o.Rule)
				case lifecycle.Transition:
					got[o.Digest] = fmt.Sprint("archive ", o.Rule)
				default:
					got[o.Digest] = "keep"
				}
			}
			if diff := cmp.Diff(v.images, got); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
			for i, field := range v.made {
				if by := r.Origins.Rules[i+1]; by.Field != field || (field == "") != (by.Line == 0) {
					t.Errorf("rule %d was made by %q at %v, want %q", i+1, by.Field, by.Position, field)
				}
			}
		})
	}
}

func orEmpty(s string) string {
	if s == "" {
		return "{}"
	}
	return s
}
