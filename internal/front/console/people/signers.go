package people

import (
	"context"
	"slices"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/signing"
	signingtrust "github.com/kontor-registry/kontor/internal/signing/trust"
)

const signersURL = parts.Root + "signers"

// signers lists whose signatures are trusted.
func (v *visit) signers() error {
	ctx, in, as := v.R.Context(), v.Req.Registry, v.Config.Signing.As(v.Req.Principal)
	if v.Post() {
		name := v.R.PostFormValue("name")
		done, err := v.Confirm(func(now *parts.Visit) (q parts.Question, err error) {
			list, err := now.Config.Signing.As(now.Req.Principal).ListSigners(now.R.Context(), in)
			if err != nil {
				return q, err
			}
			if !slices.ContainsFunc(list, func(s signing.Signer) bool { return s.Name == name }) {
				return q, ecr.InvalidParameter("name", "there is no signer %s", name)
			}
			return parts.Question{
				Layout: parts.Layout{Title: t("Stop trusting %s?", parts.Clean(name)), Commands: []parts.Command{v.Kontor(t("The same"), "signers delete "+parts.Quoted(name))}},
				To:     signersURL, Back: signersURL, Do: t("Delete"), Danger: true, Hidden: [][2]string{{"name", name}},
				Says: []string{t("From then on no image counts as signed by it. Where a policy demands its signature, no image can be pulled.")},
			}, nil
		}, func(ctx context.Context) error { return as.DeleteSigner(ctx, in, name) })
		if !done {
			return err
		}
		return v.Finish(signersURL, "gone")
	}
	list, err := as.ListSigners(ctx, in)
	if err != nil {
		return err
	}
	may, err := v.May(in.Repo(""), "kontor:DeleteSigner")
	if err != nil {
		return err
	}
	x := &parts.Table{ID: "signers", Caption: t("Signers"), Count: words.Count(len(list), t("signer"), t("signers")), Columns: []parts.Column{
		{Key: "name", Label: t("Name")}, {Key: "by", Label: t("Known by")}, {Key: "repositories", Label: t("Trusted in")}, {Key: "changed", Label: t("Changed")}, {Key: "delete", Label: ""},
	}, Empty: t("No signatures are trusted."), Hint: t("Policies can demand a signer's signature on what is pulled (kontor:SignedBy). Trust one first:"), Command: v.Kontor("", "signers put release --key cosign.pub").Text,
		Same: v.Same("signers list", "", "")}
	now := v.Now()
	for _, s := range list {
		where := parts.Cell{Text: t("all repositories"), Soft: true}
		if len(s.Repositories) > 0 {
			where = parts.Cell{Text: parts.Clean(words.And(s.Repositories))}
		}
		gone := parts.Cell{}
		if may["kontor:DeleteSigner"] {
			gone.Action = &parts.Action{To: signersURL, Label: t("Delete"), Danger: true, Hidden: [][2]string{{"name", s.Name}}}
		}
		x.Rows = append(x.Rows, parts.Row{Cells: []parts.Cell{{Text: parts.Clean(s.Name), Raw: s.Name}, knownBy(s.Signer), where, parts.CellTime(now, s.UpdatedAt), gone}})
	}
	if wrote, err := v.CSV("signers", x); wrote || err != nil {
		return err
	}
	return v.show("signers", parts.Layout{Title: t("Signers"), Data: map[string]any{"Table": x}, Commands: []parts.Command{v.Kontor(t("The signers"), "signers list"), v.Kontor(t("Who signed an image"), "signers verify REPOSITORY:TAG")}})
}

// knownBy says how signatures of a signer are told from others.
func knownBy(s signingtrust.Signer) parts.Cell {
	switch s.Kind() {
	case signingtrust.ByKey:
		return parts.Cell{Text: t("a public key")}
	case signingtrust.ByIdentity:
		return parts.Cell{Text: parts.Clean(s.Keyless.Identity), Sub: parts.Clean(s.Keyless.Issuer)}
	}
	c := parts.Cell{Text: t("certificates")}
	if s.Subject != "" {
		c.Sub = parts.Clean(s.Subject)
	}
	return c
}
