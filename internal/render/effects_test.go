package render_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report/rollout"
)

// affecting is a plan of a registry with everything that an effect can be.
func affecting() plan.Plan {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	horizon := func(days, n int) plan.Horizon {
		return plan.Horizon{Days: days, Images: plan.Images{Count: n, SizeBytes: int64(n) << 20}}
	}
	first := horizon(0, 3)
	first.Pulled, first.InUse, first.Perhaps = 1, 1, 1
	settings := &plan.Settings{Mutability: plan.Mutability{Mode: "MUTABLE"}}
	deleted := horizon(0, 1)
	return plan.Plan{
		Stack: "shop", Target: plan.Target{Name: "prod", Account: "111111111111", Region: "us-east-2"},
		Changes: []plan.Change{
			{Repository: "api", Op: plan.OpUpdate, Before: settings, After: settings, Effects: &plan.Effects{
				Images: &plan.ImageEffects{
					At: at, Count: 40, Expire: []plan.Horizon{first, horizon(7, 3), horizon(30, 7)}, Saved: []plan.Horizon{horizon(0, 0), horizon(7, 2), horizon(30, 4)},
					Going: []plan.Going{
						{Digest: "sha256:3591a26dbc104444", Tags: []string{"v1"}, Rule: 2, UsedBy: "host \x1bdb1"},
						{Digest: "sha256:0000a26dbc104444", Rule: 2, PulledAt: at.Add(-26 * time.Hour)},
						{Digest: "sha256:1111a26dbc104444", Tags: []string{"main-9", "prod"}, Days: 9, Rule: 3, Deployed: "prod", NewestOf: "main-*"},
						{Digest: "sha256:2222a26dbc104444", Tags: []string{"main-8"}, Rule: 3, Perhaps: true},
					}, Unlisted: 3,
					Tags: &plan.TagEffects{Overwritable: 1, Frozen: 7, OverwritableTags: []ecr.Tag{"v1"}, FrozenTags: []ecr.Tag{"a", "b", "c", "d", "e", "f"}},
				},
				Access: &plan.AccessEffects{
					Changes: []plan.AccessChange{
						{Principal: "*", Rights: []plan.RightChange{{Right: "pull", Before: "denied", After: "depends", DependsOn: []string{"aws:PrincipalOrgID"}}}},
						{Principal: "444444444444", Rights: []plan.RightChange{{Right: "push", Before: "denied", After: "unseen"}}, MustAllow: &plan.MustAllow{Account: "444444444444", Policy: "{}"}},
						{Principal: "arn:aws:iam::555555555555:role/ci", Rights: []plan.RightChange{
							{Right: "pull", Before: "unseen", After: "denied"}, {Right: "push", Before: "allowed", After: "depends", DependsOn: []string{"aws:SourceIp"}}, {Right: "delete", Before: "denied", After: "partly"},
						}},
					},
					Holders: []plan.Holder{
						{Principal: "444444444444", Rights: []string{"delete"}, IfAllowed: true, Foreign: true}, {Principal: "arn:aws:iam::111111111111:user/ann", Rights: []string{"delete", "admin"}},
					},
					MoreHolders: 2, Absent: []plan.Absent{{Principal: "AIDAEXAMPLE", Statement: "Old"}}, Notes: []string{"users were not seen"},
				},
			}},
			{Repository: "old", Op: plan.OpDelete, Before: settings, Images: &plan.Images{Count: 1, SizeBytes: 1 << 20}, Effects: &plan.Effects{Images: &plan.ImageEffects{
				At: at, Count: 1, Deleted: &deleted, Going: []plan.Going{{Digest: "sha256:9999a26dbc104444", Tags: []string{"x"}}},
			}}},
			{Repository: "web", Op: plan.OpUpdate, Before: settings, After: settings, Effects: &plan.Effects{
				Images: &plan.ImageEffects{Unread: "no ecr:DescribeImages"}, Access: &plan.AccessEffects{Unread: "no IAM"},
			}},
		},
	}
}

const summary = "1 image is deleted; 3 images expire at the next run, 1 of them in use, 1 of them pulled yesterday; 7 images expire within 30 days; 4 images stay that would expire within 30 days; " +
	"1 tag becomes overwritable; 7 tags can no longer be overwritten; every other AWS account gains pull; 1 account gains push; 1 role loses pull and unconditional push; 1 role gains a part of delete; 1 grant names a principal that does not exist; " +
	"the images of 1 repository could not be read; who gains or loses access to 1 repository is not known"

func TestEffectsOfAPlan(t *testing.T) {
	const brief = `Registry prod: account 111111111111, region us-east-2, stack shop

~ api: update
    effects on images
        - of 40 images, 3 expire (3.0 MiB) at the next run, 7 (7.0 MiB) within 30 days, which the old policy keeps; of them 1 in use, 1 pulled yesterday, 1 only if no index lists it
            v1: in use by host \x1bdb1
            sha256:0000a26dbc10: pulled yesterday
            main-9: has the tag prod, the newest of main-*
            and 4 more: kontor plan -v
        + 2 images (2.0 MiB) stay that the old policy expires within 7 days, 4 within 30 days
    effects on tags
        ~ 1 tag becomes overwritable: v1
        ~ 7 tags can no longer be overwritten: a, b, c, d, e and 2 more
    effects on people
        + every other AWS account gains pull under conditions on aws:PrincipalOrgID
        + account 444444444444 gains push, once a policy of account 444444444444 allows it, too
        - arn:aws:iam::555555555555:role/ci loses pull, has push under conditions only, on aws:SourceIp, gains a part of delete
        ~ statement Old grants access to AIDAEXAMPLE, which does not exist
        ~ afterwards account 444444444444 may delete images, if its own policies allow it

- old: delete, with 1 image (1048576 bytes)
    effects on images
        - 1 image (1.0 MiB) deleted
            x

~ web: update
    effects on images
        ~ which images that affects is not known: no ecr:DescribeImages
    effects on people
        ~ who gains or loses access is not known: no IAM

Effects: ` + summary + `.
Plan: 0 to create, 0 to adopt, 2 to update, 1 to delete, 0 unchanged.
`
	text := func(o render.Options) string {
		var b bytes.Buffer
		if err := render.Plan(&b, rollout.NewPlan(affecting()), o); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	if diff := cmp.Diff(brief, text(render.Options{})); diff != "" {
		t.Errorf("brief (-want +got):\n%s", diff)
	}
	whole := text(render.Options{Verbose: true})
	for _, line := range []string{
		`            v1: in use by host \x1bdb1 (next run, rule 2)`,
		"            main-9: has the tag prod, the newest of main-* (in 9 days, rule 3)",
		"            main-8: unless an index lists it (next run, rule 3)",
		"            and 3 more",
		"            for the administrator of account 444444444444: {}",
		"        ~ afterwards arn:aws:iam::111111111111:user/ann may delete images and change policies or delete the repository",
		"        ~ afterwards 2 more may do such things",
		"        ~ users were not seen",
	} {
		t.Run(strings.TrimSpace(line), func(t *testing.T) {
			if !strings.Contains(whole, line+"\n") {
				t.Errorf("-v lacks %q:\n%s", line, whole)
			}
		})
	}
	if strings.Contains(whole, "kontor plan -v") {
		t.Errorf("-v leaves something out:\n%s", whole)
	}
	var b bytes.Buffer
	if err := render.PlanMarkdown(&b, plan.Set{Stack: "shop", Plans: []plan.Plan{affecting()}}); err != nil {
		t.Fatal(err)
	}
	if want := "## Kontor: stack shop\n\n**" + summary + ".**\n\n### Registry"; !strings.HasPrefix(b.String(), want) {
		t.Errorf("Markdown begins with another summary:\n%s", b.String())
	}
	if row := "| delete | `old` | with 1 image | 1 image (1.0 MiB) deleted |\n"; !strings.Contains(b.String(), row) {
		t.Errorf("Markdown lacks %q:\n%s", row, b.String())
	}
	want := strings.ToUpper(summary[:1]) + summary[1:] + ". Change 2 repositories and DELETE 1 repository with 1 image of registry prod (account 111111111111, region us-east-2)?"
	if got := render.Question([]plan.Plan{affecting()}, nil); got != want {
		t.Errorf("the question is %q", got)
	}
}
