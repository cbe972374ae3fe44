package console

import (
	"fmt"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/inspect"
	"github.com/kontor-registry/kontor/internal/report/words"
)

// audit lists what was asked for and decided, the newest first.
func (v *visit) audit() error {
	f := audit.Filter{Principal: v.query("principal"), Action: v.query("action"), Resource: v.query("resource"), RequestID: v.query("request")}
	switch d := audit.Decision(v.query("decision")); d {
	case audit.Allowed, audit.Denied:
		f.Decision = d
	}
	since := v.query("since")
	if since != "" {
		var err error
		if f.Since, err = time.Parse(time.DateOnly, since); err != nil {
			return ecr.InvalidParameter("since", "%s", t("write a day as 2026-12-31"))
		}
	}
	var before audit.Place
	if text := v.query("after"); text != "" {
		if _, err := fmt.Sscan(text, &before.File, &before.Offset); err != nil {
			return noPage()
		}
	}
	found, err := v.h.cfg.Inspect.As(v.req.Principal).AuditRecords(v.r.Context(), v.req.Registry, f, before, v.limit(keepingPage))
	if err != nil {
		return err
	}
	x := v.auditTable(found)
	if found.Next != (audit.Place{}) {
		x.Next = with(v.r.URL, "after", strings.TrimSpace(fmt.Sprintln(found.Next.File, found.Next.Offset)))
		x.Count = t("%s on this page", x.Count)
		if len(x.Rows) == 0 {
			x.Hint = t("Only a part of the log was searched.")
		}
	}
	if wrote, err := v.csv("audit", x); wrote || err != nil {
		return err
	}
	flags := ""
	for _, flag := range [][2]string{{"principal", f.Principal}, {"action", f.Action}, {"resource", f.Resource}, {"request", f.RequestID}, {"decision", string(f.Decision)}, {"since", since}} {
		if flag[1] != "" {
			flags += " --" + flag[0] + " " + quoted(flag[1])
		}
	}
	data := map[string]any{"Table": x, "Principal": f.Principal, "Action": f.Action, "Resource": f.Resource, "Decision": string(f.Decision), "Since": since}
	return v.show("audit", layout{Title: t("Audit log"), Data: data, Commands: []command{v.kontor(t("The same"), "admin audit"+flags)}})
}

// auditTable is a list of records.
func (v *visit) auditTable(found inspect.Records) *table {
	x := &table{
		ID: "audit", CSVHas: t("the newest %d rows", listCSV), Caption: t("Requests and how they were decided"), Count: words.Count(len(found.Records), t("record"), t("records")),
		Columns: []column{
			{Key: "time", Label: t("When")}, {Key: "principal", Label: t("Who")}, {Key: "action", Label: t("Action")}, {Key: "resource", Label: t("On")}, {Key: "decision", Label: t("Decision")}, {Key: "statement", Label: t("Decided by")},
		},
		Empty: t("No record matches."), Hint: t("Remove a filter."),
	}
	if found.Off {
		x.Empty, x.Hint = t("This server keeps no audit log."), t("It runs with audit off.")
	}
	now := v.h.cfg.Now()
	for _, r := range found.Records {
		who := cell{Text: v.who(r.Principal), Raw: r.Principal, Sub: clean(strings.Trim(strings.Join([]string{r.Source, r.Via}, ", "), ", "))}
		if r.Token != "" {
			who.Sub += ", " + t("machine token %s", clean(r.Token))
		}
		on := cell{Text: clean(r.Resource), Raw: r.Resource}
		if _, name, ok := strings.Cut(r.Resource, ":repository/"); ok {
			on.Text = clean(name)
		} else if _, name, ok := strings.Cut(r.Resource, ":iam::"+string(v.req.Registry.Account)+":"); ok {
			on.Text = clean(name)
		}
		decision := cell{Kind: "keep", Text: t("allowed")}
		if r.Decision == audit.Denied {
			decision = cell{Kind: "go", Text: t("denied")}
		}
		why := cell{Text: clean(r.Statement), Raw: r.Statement}
		if r.Statement == "" && r.Decision == audit.Denied {
			why = cell{Text: t("nothing allows it"), Soft: true}
		}
		if len(r.DependsOn) > 0 {
			why.Sub = t("depends on %s", clean(strings.Join(r.DependsOn, ", ")))
		}
		action := cell{Text: clean(r.Action), Sub: t("request %s", clean(r.RequestID)), Raw: r.Action}
		if r.RequestID == "" {
			action.Sub = t("by the server itself")
		}
		x.Rows = append(x.Rows, row{Cells: []cell{cellTime(now, r.Time), who, action, on, decision, why}})
	}
	return x
}
