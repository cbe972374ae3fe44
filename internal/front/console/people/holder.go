package people

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
)

// policiesPart adds to data the policies of a user or role, with what attaches and edits
// them: nothing where the caller may not list them. name and text are those of an inline
// policy in a form that was refused; "" for none.
func (v *holderVisit) policiesPart(data map[string]any, name, text string) error {
	ctx, as := v.R.Context(), v.Req.IAM.As(v.Req.Principal)
	attached, err := as.Attached(ctx, v.of, v.name)
	if ecr.CodeOf(err) == ecr.CodeAccessDenied {
		return nil
	}
	if err != nil {
		return err
	}
	inline, err := as.InlineNames(ctx, v.of, v.name)
	if err != nil && ecr.CodeOf(err) != ecr.CodeAccessDenied {
		return err
	}
	data["Policies"] = v.policyTable(attached, inline, err == nil)
	data["Policies"].(*parts.Table).Same = []parts.Command{{Label: "aws", Text: v.cli("", "list-attached-*-policies", "").Text}}
	if data["Attachable"], err = v.attachable(attached); err != nil {
		return err
	}
	if text == "" && name != "" {
		if text, err = as.Inline(ctx, v.of, v.name, name); err != nil {
			return err
		}
		text = parts.PrettyJSON(text)
	}
	data["InlineName"], data["InlineText"] = name, text
	return nil
}

// remove deletes a user or role that has no policies and keys left.
func (v *holderVisit) remove() error {
	done, err := v.Confirm(func(in *parts.Visit) (parts.Question, error) {
		arn, _, err := v.on(in).holder()
		q := parts.Question{To: v.url(), Back: v.url(), Do: t("Delete"), Danger: true, Hidden: [][2]string{{"do", "remove"}}, Of: arn}
		q.Layout = parts.Layout{Title: t("Delete %s?", v.name), Crumbs: append(peopleCrumbs(), parts.Link{Label: v.name, To: v.url()}), Commands: []parts.Command{v.cli(t("The same"), "delete-*", "")}}
		if v.of == iam.OfRole {
			q.Says = []string{t("Sessions of the role end. Policies that name it do not apply to another role of this name.")}
		} else {
			q.Says = []string{t("The user cannot log in from then on. Policies that name it do not apply to another user of this name.")}
		}
		q.Says = append(q.Says, t("It must have no policies and no access keys: detach and delete them first."))
		return q, err
	}, func(ctx context.Context) error {
		if v.of == iam.OfRole {
			return v.Req.IAM.As(v.Req.Principal).DeleteRole(ctx, v.name)
		}
		return v.Req.IAM.As(v.Req.Principal).DeleteUser(ctx, v.name)
	})
	if !done {
		return err
	}
	return v.Finish(parts.Root+"people", "gone")
}

// lastPart is the name of a policy as it is referred to.
func lastPart(ref string) string {
	if identity.IsPolicyID(ref) {
		return t("a policy of the account")
	}
	return ref[strings.LastIndexByte(ref, '/')+1:]
}

// tagTexts are tags as text.
func tagTexts(tags map[string]string) (out []string) {
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, parts.Clean(k+"="+tags[k]))
	}
	return out
}
