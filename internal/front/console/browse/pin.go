package browse

import (
	"context"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/retention"
)

// pinTime is after how long a pin is said to be silent, so that someone looks at it. It
// stays in force.
const pinTime = 365 * 24 * time.Hour

// pinName is the collector whose only lease is the pin of an image.
func pinName(at ecr.Repo, d ecr.Digest) string {
	name := string(at.Name)
	if len(name) > 80 { // collectors have short names
		name = name[:80] + "-" + parts.Fingerprint(name)[:8]
	}
	return "pin " + name + "@" + strings.TrimPrefix(string(d), "sha256:")[:12]
}

// pin keeps an image, whatever lifecycle rules say, until the pin is removed: it is a lease of
// a collector for this image alone.
func (v *repoVisit) pin(m ecr.Image) error {
	here, name := v.imageURL(m.Digest), pinName(v.repo, m.Digest)
	ref := v.Req.Host + "/" + string(v.repo.Name) + "@" + string(m.Digest)
	done, err := v.Confirm(func(*parts.Visit) (parts.Question, error) {
		q := parts.Question{To: here, Back: here, Do: t("Pin the image"), Reason: t("Who needs it, and why"), Hidden: [][2]string{{"do", "pin"}}, Says: []string{
			t("No lifecycle rule expires the image %s, what it lists, and what is attached to it, until the pin is removed here or on the page Leases.", parts.Short(string(m.Digest))),
			t("People can still delete it. After %d days the pin is said to be silent, so that someone looks at it; it stays in force.", int(pinTime.Hours())/24),
		}}
		q.Layout = parts.Layout{Title: t("Pin this image?"), Crumbs: parts.Crumbs(v.repo.Name), Commands: []parts.Command{
			{Label: t("The same"), Text: "echo " + parts.Quoted(ref+" WHO AND WHY") + " | " + v.Kontor("", "lease from file - --collector "+parts.Quoted(name)+" --ttl 365d").Text},
		}}
		return q, nil
	}, func(ctx context.Context) error {
		user := t("%s, for %s", strings.TrimSpace(v.R.PostFormValue("reason")), v.Who(v.Req.Principal.ARN))
		_, err := v.Config.Retention.As(v.Req.Principal).ReportLeases(ctx, v.repo.In, name, pinTime, []retention.Lease{{Repository: v.repo.Name, Image: ecr.ImageID{Digest: m.Digest}, User: user}})
		return err
	})
	if !done {
		return err
	}
	return v.Finish(here, "pinned")
}

// unpin removes the pin of an image.
func (v *repoVisit) unpin(d ecr.Digest) error {
	here, name := v.imageURL(d), pinName(v.repo, d)
	done, err := v.Confirm(func(*parts.Visit) (parts.Question, error) {
		q := parts.Question{To: here, Back: here, Do: t("Remove the pin"), Danger: true, Hidden: [][2]string{{"do", "unpin"}}, Says: []string{t("The lifecycle policy decides about the image again, unless another lease keeps it.")}}
		q.Layout = parts.Layout{Title: t("Remove the pin?"), Crumbs: parts.Crumbs(v.repo.Name), Commands: []parts.Command{v.Kontor(t("The same"), "lease forget "+parts.Quoted(name))}}
		return q, nil
	}, func(ctx context.Context) error {
		_, err := v.Config.Retention.As(v.Req.Principal).ForgetLeases(ctx, v.repo.In, name)
		return err
	})
	if !done {
		return err
	}
	return v.Finish(here, "unpinned")
}

// pins adds to data whether the image is pinned, and whether the caller may change that.
func (v *repoVisit) pins(d ecr.Digest, data map[string]any) error {
	may, err := v.May(v.repo.In.Repo(""), "kontor:ReportLeases", "kontor:ForgetLeases")
	if err != nil {
		return err
	}
	pinned := false
	if x, ok := data["Leases"].(*parts.Table); ok {
		for _, r := range x.Rows {
			pinned = pinned || r.Cells[1].Text == parts.Clean(pinName(v.repo, d))
		}
	}
	data["MayPin"], data["MayUnpin"] = may["kontor:ReportLeases"] && !pinned, may["kontor:ForgetLeases"] && pinned
	return nil
}
