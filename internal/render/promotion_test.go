package render_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/deploy/promote/history"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/promote"
	"github.com/kontor-registry/kontor/internal/deploy/promote/expiry"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report/rollout"
	"github.com/kontor-registry/kontor/lifecycle"
)

func promotedRef(registry, tag string) promote.Ref {
	return promote.Ref{Registry: registry, Repository: "website", Tag: ecr.Tag(tag)}
}

func samplePromotion() promote.Plan {
	there := func(tag string) promote.Image {
		return promote.Image{From: promotedRef("dev", tag), To: promotedRef("prod", tag), Status: promote.StatusThere}
	}
	p := promote.Plan{
		Images: []promote.Image{
			{
				Route: "release", From: promotedRef("dev", "1.0"), To: promotedRef("prod", "1.0"), Status: promote.StatusPending,
				Digest: "sha256:new", ToDigest: "sha256:old", Platforms: []string{"linux/amd64", "linux/arm64"}, Create: true,
				Manifests: []promote.Manifest{
					{Kind: promote.KindIndex}, {Kind: promote.KindReferrer, ArtifactType: "application/spdx+json"}, {Kind: promote.KindReferrer, ArtifactType: "application/spdx+json"},
					{Kind: promote.KindAttestation},
				},
				Signatures: []promote.Signature{{Tag: "sha256-1.sig"}},
				Bytes:      promote.Bytes{Move: 3 << 20, Mount: 2048, There: 5},
				Gates:      []history.Gate{{Name: "signature", Met: true, Detail: "exists, not verified"}, {Name: "verify", Met: true, Verified: true, Detail: "cosign"}, {Name: "sbom", Detail: "there is \x1bnone"}},
				Expires:    &expiry.Expiry{Action: lifecycle.Expire, At: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), Rule: 2},
				Findings:   []promote.Finding{{Code: promote.CodeExpires, Severity: plan.Warning, Message: "soon"}},
			},
			{From: promotedRef("dev", "2.0"), To: promotedRef("prod", "2.0"), Status: promote.StatusRefused, Findings: []promote.Finding{{Code: promote.CodeTagTaken, Severity: plan.Error, Message: "taken"}}},
		},
		Failures: []promote.Failure{{Route: "release", From: promote.Ref{Registry: "dev", Repository: "api"}, Error: "denied"}},
	}
	for _, tag := range strings.Fields("a b c d e f g h i j k l") {
		p.Images = append(p.Images, there(tag))
		p.Dropped = append(p.Dropped, promote.Dropped{From: promotedRef("dev", "x-"+tag), Why: "no match"})
	}
	return p
}

func TestPromotionPlan(t *testing.T) {
	var b strings.Builder
	if err := render.PromotionPlan(&b, samplePromotion(), render.Options{}); err != nil {
		t.Fatal(err)
	}
	const want = `~ dev/website:1.0 -> prod/website:1.0  (route release)
    sha256:new, linux/amd64, linux/arm64
    the tag moves from sha256:old
    repository website is created
    with 1 attestations of buildx, 1 sha256-1.sig, 2 application/spdx+json
    3.0 MiB to send, 2.0 KiB to mount, 5 B there already
    require signature: met (exists, not verified)
    require verify: verified (cosign)
    require sbom: NOT MET (there is \x1bnone)
    expires on 2026-03-01, by rule 2
    warning KON4013: soon
! dev/website:2.0 -> prod/website:2.0
    error KON4002: taken
= prod/website: a, b, c, d, e, f, g, h, i, j and 2 more are there already
- dev/website: x-a, x-b, x-c, x-d, x-e, x-f, x-g, x-h, x-i, x-j and 2 more are left out: no match
dev/api cannot be read: denied
Plan: 1 to promote, 12 there already, 2 refused; 3.0 MiB to send, 2.0 KiB to mount.
`
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
}

// Lines of images that are done, with and without bars; and those that nothing
// was done about, once.
func TestPromoting(t *testing.T) {
	p := samplePromotion()
	p.Images = p.Images[:3]
	result := promote.Result{Images: []promote.ImageResult{
		{To: p.Images[0].To, Digest: "sha256:new", Outcome: promote.OutcomeDone, Bytes: promote.Bytes{Move: 1024}, Created: true},
		{To: p.Images[1].To, Outcome: promote.OutcomeRefused, Error: "taken"},
		{To: p.Images[2].To, Digest: "sha256:a", Outcome: promote.OutcomeThere},
	}}
	const want = "prod/website:1.0: promoted sha256:new, 1.0 KiB sent, 0 B mounted, repository created\n" +
		"prod/website:2.0: refused: taken\nprod/website:a: is there already, sha256:a\n"
	for _, bars := range []bool{false, true} {
		t.Run(fmt.Sprint("bars ", bars), func(t *testing.T) {
			var b strings.Builder
			r := render.NewPromoting(&b, p, render.Options{}, bars)
			r.Report(promote.Progress{Image: 0, Bytes: 10, Total: 1024})
			r.Report(promote.Progress{Image: 0, Bytes: 1024, Total: 1024})
			r.Report(promote.Progress{Image: 0, Result: &result.Images[0]})
			if err := r.Close(result); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(want) {
				if strings.Count(b.String(), line) != 1 {
					t.Errorf("with bars %t: no %q in %q", bars, line, b.String())
				}
			}
			if !bars && b.String() != want {
				t.Errorf("got %q", b.String())
			}
		})
	}
	r := render.NewPromoting(broken{}, p, render.Options{}, false)
	r.Report(promote.Progress{Image: 0, Result: &result.Images[0]})
	if r.Close(result) == nil {
		t.Error("an error of writing was lost")
	}
	var b strings.Builder
	if err := render.PromotionResult(&b, result, render.Options{}); err != nil {
		t.Fatal(err)
	}
	if want := "1 image promoted, 1 there already, 1 refused; 1.0 KiB sent, 0 B mounted.\n"; b.String() != want {
		t.Errorf("got %q", b.String())
	}
}

func TestPromotionHistory(t *testing.T) {
	var b strings.Builder
	h := rollout.History{Image: promotedRef("prod", "1.0")}
	if err := render.History(&b, h, render.Options{}); err != nil {
		t.Fatal(err)
	}
	h.Records = []history.Record{{
		From: "a/website:1.0", To: "b/website:1.0", Digest: "sha256:new", Replaces: "sha256:old", Principal: "arn:aws:iam::1:user/\x1b[31mann", Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		Route: "release", Gates: []history.Gate{{Name: "verify", Met: true, Verified: true, Detail: "cosign verify"}},
	}}
	if err := render.History(&b, h, render.Options{}); err != nil {
		t.Fatal(err)
	}
	const want = `prod/website:1.0 has no records of promotions.
2026-03-01T12:00:00Z  a/website:1.0 -> b/website:1.0
    sha256:new
    in place of sha256:old
    by arn:aws:iam::1:user/\x1b[31mann
    route release
    verified verify: cosign verify
`
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
}
