package people

import (
	"fmt"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/inspect"
	"github.com/kontor-registry/kontor/internal/report/words"
)

// audit lists what was asked for and decided, the newest first.
func (v *visit) audit() error {
	f := audit.Filter{Principal: v.Query("principal"), Action: v.Query("action"), Resource: v.Query("resource"), RequestID: v.Query("request")}
	switch d := audit.Decision(v.Query("decision")); d {
	case audit.Allowed, audit.Denied:
		f.Decision = d
	}
	since := v.Query("since")
	if since != "" {
		var err error
		if f.Since, err = time.Parse(time.DateOnly, since); err != nil {
			return ecr.InvalidParameter("since", "%s", t("write a day as 2026-12-31"))
		}
	}
	var before audit.Place
	if text := v.Query("after"); text != "" {
		if _, err := fmt.Sscan(text, &before.File, &before.Offset); err != nil {
			return parts.NoPage()
		}
	}
	found, err := v.Config.Inspect.As(v.Req.Principal).AuditRecords(v.R.Context(), v.Req.Registry, f, before, v.Limit(parts.KeepingPage))
	if err != nil {
		return err
	}
	x := v.auditTable(found)
	if found.Next != (audit.Place{}) {
		x.Next = parts.With(v.R.URL, "after", strings.TrimSpace(fmt.Sprintln(found.Next.File, found.Next.Offset)))
		x.Count = t("%s on this page", x.Count)
		if len(x.Rows) == 0 {
			x.Hint = t("Only a part of the log was searched.")
		}
	}
	flags := ""
	for _, flag := range [][2]string{{"principal", f.Principal}, {"action", f.Action}, {"resource", f.Resource}, {"request", f.RequestID}, {"decision", string(f.Decision)}, {"since", since}} {
		if flag[1] != "" {
			flags += " --" + flag[0] + " " + parts.Quoted(flag[1])
		}
	}
	x.Same, x.Filtered = v.Same("admin audit"+flags, "", ""), true
	if wrote, err := v.CSV("audit", x); wrote || err != nil {
		return err
	}
	data := map[string]any{"Table": x, "Principal": f.Principal, "Action": f.Action, "Resource": f.Resource, "Decision": string(f.Decision), "Since": since}
	return v.show("audit", parts.Layout{Title: t("Audit log"), Data: data, Commands: []parts.Command{v.Kontor(t("The same"), "admin audit"+flags)}})
}

// auditTable is a list of records.
func (v *visit) auditTable(found inspect.Records) *parts.Table {
	x := &parts.Table{
		ID: "audit", CSVHas: t("the newest %d rows", parts.ListCSV), Caption: t("Requests and how they were decided"), Count: words.Count(len(found.Records), t("record"), t("records")),
		Columns: []parts.Column{
			{Key: "time", Label: t("When")}, {Key: "principal", Label: t("Who")}, {Key: "action", Label: t("Action")}, {Key: "resource", Label: t("On")}, {Key: "decision", Label: t("Decision")}, {Key: "statement", Label: t("Decided by")},
		},
		Empty: t("No record matches."), Hint: t("Remove a filter."),
	}
	if found.Off {
		x.Empty, x.Hint = t("This server keeps no audit log."), t("It runs with audit off.")
	}
	now := v.Config.Now()
	for _, r := range found.Records {
		who := parts.Cell{Text: v.Who(r.Principal), Raw: r.Principal, Sub: parts.Clean(strings.Trim(strings.Join([]string{r.Source, r.Via}, ", "), ", "))}
		if r.Token != "" {
			who.Sub += ", " + t("machine token %s", parts.Clean(r.Token))
		}
		on := parts.Cell{Text: parts.Clean(r.Resource), Raw: r.Resource}
		if _, name, ok := strings.Cut(r.Resource, ":repository/"); ok {
			on.Text = parts.Clean(name)
		} else if _, name, ok := strings.Cut(r.Resource, ":iam::"+string(v.Req.Registry.Account)+":"); ok {
			on.Text = parts.Clean(name)
		}
		decision := parts.Cell{Kind: "keep", Text: t("allowed")}
		if r.Decision == audit.Denied {
			decision = parts.Cell{Kind: "go", Text: t("denied")}
		}
		why := parts.Cell{Text: parts.Clean(r.Statement), Raw: r.Statement}
		if r.Statement == "" && r.Decision == audit.Denied {
			why = parts.Cell{Text: t("nothing allows it"), Soft: true}
		}
		if len(r.DependsOn) > 0 {
			why.Sub = t("depends on %s", parts.Clean(strings.Join(r.DependsOn, ", ")))
		}
		action := parts.Cell{Text: parts.Clean(r.Action), Sub: t("request %s", parts.Clean(r.RequestID)), Raw: r.Action}
		if r.RequestID == "" {
			action.Sub = t("by the server itself")
		}
		x.Rows = append(x.Rows, parts.Row{Cells: []parts.Cell{parts.CellTime(now, r.Time), who, action, on, decision, why}})
	}
	return x
}
