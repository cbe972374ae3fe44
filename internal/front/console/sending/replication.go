package sending

import (
	"strconv"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

const replicationURL = parts.Root + "replication"

// replication shows the rules of replication, what waits, and what failed.
func (v *visit) replication() error {
	ctx, in, as := v.R.Context(), v.Req.Registry, v.Config.Replication.As(v.Req.Principal)
	if v.Post() {
		if _, err := as.RetryReplications(ctx, in, ecr.RegistryID{}); err != nil {
			return err
		}
		return v.Finish(replicationURL, "queued")
	}
	after, err := v.After()
	if err != nil {
		return err
	}
	state, err := as.Replications(ctx, in, after, v.Limit(parts.KeepingPage))
	if err != nil {
		return err
	}
	may, err := v.May(in.Repo(""), "kontor:RetryReplications")
	if err != nil {
		return err
	}
	queues := map[ecr.RegistryID]meta.ReplicationQueue{}
	for _, q := range state.Queues {
		queues[q.To] = q
	}
	now := v.Now()
	rules := &parts.Table{ID: "replication", Caption: t("Rules"), Columns: []parts.Column{
		{Key: "to", Label: t("Goes to")}, {Key: "what", Label: t("Repositories")}, {Key: "only", Label: t("Only")}, {Key: "waiting", Label: t("Waiting"), Number: true}, {Key: "oldest", Label: t("Oldest")},
	}, Empty: t("Nothing is replicated."), Hint: t("Rules copy what is pushed to other registries. kontor apply, Terraform and the AWS CLI set them."), Command: v.AWS("", "ecr", `put-replication-configuration --replication-configuration '{"rules":[{"destinations":[{"region":"REGION","registryId":"ACCOUNT"}]}]}'`).Text,
		Same: v.Same("admin replication status", "ecr", "describe-registry")}
	for _, r := range state.Rules {
		for _, to := range r.To {
			what := parts.Cell{Text: t("all")}
			if len(r.Prefixes) > 0 {
				what.Text = parts.Clean(t("those that begin with %s", strings.Join(r.Prefixes, ", ")))
			}
			o := state.Options[to]
			if len(o.Exclude) > 0 {
				what.Sub = parts.Clean(t("without those that begin with %s", strings.Join(o.Exclude, ", ")))
			}
			only := parts.Cell{Text: t("images"), Sub: ""}
			if len(o.Tags) > 0 {
				only.Text = parts.Clean(t("images with a tag %s", strings.Join(o.Tags, ", ")))
			}
			if o.Deletions {
				only.Sub = t("and deletions")
			}
			q, oldest := queues[to], parts.Cell{}
			if q.Waiting > 0 {
				oldest = parts.CellTime(now, q.Oldest)
			}
			waiting := parts.Cell{Text: strconv.Itoa(q.Waiting)}
			switch {
			case q.Waiting > 0 && q.Rests != "":
				waiting.Sub = parts.Clean(t("the destination rests: %s", q.Rests))
			case q.WaitsForRate:
				waiting.Sub = t("because of the rate, %s", state.Rates[to].String())
			}
			rules.Rows = append(rules.Rows, parts.Row{Cells: []parts.Cell{{Text: to.String()}, what, only, waiting, oldest}})
		}
	}
	rules.Count = words.Count(len(rules.Rows), t("destination"), t("destinations"))
	failed := &parts.Table{ID: "failed", Caption: t("Failed"), CSVHas: parts.FirstRows(parts.ListCSV), Columns: []parts.Column{
		{Key: "image", Label: t("Image")}, {Key: "to", Label: t("To")}, {Key: "why", Label: t("Why")}, {Key: "at", Label: t("At")}, {Key: "attempts", Label: t("Attempts"), Number: true},
	}, Count: words.Count(len(state.Failed), t("image"), t("images")), Empty: t("Nothing has failed."), Same: v.Same("admin replication status", "", "")}
	if state.More {
		failed.Next = parts.With(v.R.URL, "after", strconv.FormatInt(state.Failed[len(state.Failed)-1].ID, 10))
		failed.Count = t("%s on this page", failed.Count)
	}
	for _, f := range state.Failed {
		name := words.Image(string(f.Image.Digest), nil)
		if f.Image.Tag != "" {
			name = string(f.Image.Tag)
		}
		image := parts.Cell{Text: string(f.Name), Sub: parts.Clean(name), Raw: string(f.Name) + "@" + string(f.Image.Digest), Link: parts.RepoURL(f.Name, "images/"+string(f.Image.Digest))}
		why := parts.Cell{Text: parts.Clean(f.Message), Sub: parts.Clean(f.Code)}
		if f.Kind == meta.ReplicateDelete {
			why.Text = t("The deletion: %s", why.Text)
		}
		failed.Rows = append(failed.Rows, parts.Row{Cells: []parts.Cell{image, {Text: f.To.String()}, why, parts.CellTime(now, f.UpdatedAt), {Text: strconv.Itoa(f.Attempts)}}})
	}
	if wrote, err := v.Parts("replication", rules, failed); wrote || err != nil {
		return err
	}
	return v.show("replication", parts.Layout{Title: t("Replication"),
		Data: map[string]any{"Rules": rules, "Failed": failed, "To": replicationURL, "MayRetry": may["kontor:RetryReplications"] && len(failed.Rows) > 0},
		Commands: []parts.Command{v.Kontor(t("How it goes"), "admin replication status"), v.Kontor(t("Try again what failed"), "admin replication retry"),
			v.Kontor(t("Copy what is there already"), "admin replication backfill start DESTINATION")},
	})
}
