package people

import (
	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// sessions lists logins to the console.
func (v *visit) sessions() error {
	ctx, as := v.R.Context(), v.Req.IAM.Console(v.Req.Principal)
	if v.Post() {
		id := v.R.PostFormValue("id")
		if err := as.End(ctx, id); err != nil {
			return err
		}
		if id == v.Req.Session.ID {
			v.SetCookie("")
			return v.To(parts.Root + "login")
		}
		return v.Finish(parts.Root+"sessions?"+v.R.URL.RawQuery, "ended")
	}
	all := v.Query("all") != ""
	limit := v.Limit(peoplePage)
	list, err := as.Sessions(ctx, all, v.Query("after"), limit+1)
	if err != nil {
		return err
	}
	more := len(list) > limit
	list = list[:min(len(list), limit)]
	x := &parts.Table{ID: "sessions", CSVHas: parts.FirstRows(parts.ListCSV), Caption: t("Sessions"), Count: words.Count(len(list), t("session"), t("sessions")), Columns: []parts.Column{
		{Key: "who", Label: t("Who")}, {Key: "from", Label: t("From")}, {Key: "since", Label: t("Logged in")}, {Key: "used", Label: t("Last request")}, {Key: "until", Label: t("Ends")}, {Key: "end", Label: ""},
	}, Empty: t("There are no sessions.")}
	now := v.Config.Now()
	for _, s := range list {
		x.Rows = append(x.Rows, v.sessionRow(s, parts.CellTime(now, s.CreatedAt), parts.CellTime(now, s.UsedAt), parts.CellTime(now, s.ExpiresAt)))
	}
	if more {
		x.Next = parts.With(v.R.URL, "after", list[limit-1].ID)
		x.Count = t("%s on this page", x.Count)
	}
	if wrote, err := v.CSV("sessions", x); wrote || err != nil {
		return err
	}
	return v.show("sessions", parts.Layout{Title: t("Sessions"), Data: map[string]any{"Table": x, "All": all}})
}

func (v *visit) sessionRow(s meta.ConsoleSession, since, used, until parts.Cell) parts.Row {
	who := parts.Cell{Text: v.Who(s.Principal), Sub: t("with %s", s.KeyID)}
	switch {
	case s.Link:
		who.Sub, used = t("a link that nobody has opened yet"), parts.Cell{}
	case s.ID == v.Req.Session.ID:
		who.Sub += ", " + t("this session")
	}
	to := parts.Root + "sessions"
	if v.Query("all") != "" {
		to += "?all=yes"
	}
	end := parts.Cell{Action: &parts.Action{To: to, Label: t("End"), Danger: true, Hidden: [][2]string{{"id", s.ID}}}}
	return parts.Row{Cells: []parts.Cell{who, {Text: s.Source, Sub: parts.Clean(s.UserAgent)}, since, used, until, end}}
}
