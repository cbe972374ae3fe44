package people

import (
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/report/words"
)

// world is what the caller may see of who may do what, and notes on what it may not.
func (v *visit) world(names []ecr.RepositoryName) (w proof.World, notes []string, err error) {
	ctx, in := v.R.Context(), v.Req.Registry
	as := v.Config.Registry.As(v.Req.Principal)
	registry := proof.Registry{}
	may, err := v.May(in.Repo(""), "ecr:GetRegistryPolicy", "ecr:GetAccountSetting")
	if err != nil {
		return w, nil, err
	}
	if may["ecr:GetRegistryPolicy"] {
		registry.Policy, err = as.RegistryPolicy(ctx, in)
		if ecr.CodeOf(err) == ecr.CodeRegistryPolicyNotFound {
			err = nil
		}
		if err != nil {
			return w, nil, err
		}
	} else {
		registry.Unseen = t("you may not read the registry policy (ecr:GetRegistryPolicy)")
		notes = append(notes, words.Sentence(registry.Unseen)+".")
	}
	if registry.Scope = proof.ScopeUnseen; may["ecr:GetAccountSetting"] {
		scope, err := as.AccountSetting(ctx, in, gate.SettingPolicyScope)
		if err != nil {
			return w, nil, err
		}
		registry.Scope = proof.Scope(scope)
	}
	w.Registries = map[ecr.RegistryID]proof.Registry{in: registry}
	for _, name := range names {
		r := proof.Repository{In: in, Name: name}
		r.Policy, err = as.Policy(ctx, in.Repo(name))
		if ecr.CodeOf(err) == ecr.CodeRepositoryPolicyNotFound {
			err = nil
		}
		if err != nil {
			return w, nil, err
		}
		rights, err := v.May(in.Repo(name), "ecr:ListTagsForResource")
		if err == nil && rights["ecr:ListTagsForResource"] {
			r.Tags, err = as.ResourceTags(ctx, in.Repo(name))
		}
		if err != nil {
			return w, nil, err
		}
		w.Repositories = append(w.Repositories, r)
	}
	people := v.Req.IAM.As(v.Req.Principal)
	for marker := ""; ; {
		d, next, err := people.AccountDetails(ctx, []iam.DetailKind{iam.DetailUsers, iam.DetailRoles}, iam.Page{Marker: marker})
		if ecr.CodeOf(err) == ecr.CodeAccessDenied || ecr.CodeOf(err) == ecr.CodeUnrecognizedClient {
			return w, append(notes, t("You may not read users and roles (iam:GetAccountAuthorizationDetails), so only those that policies name are shown.")), nil
		}
		if err != nil {
			return w, nil, err
		}
		for _, h := range d.Holders {
			w.Principals = append(w.Principals, h.Principal(people.Partition()))
		}
		if marker = next; marker == "" {
			w.Seen = append(w.Seen, string(v.Req.Principal.Account))
			return w, notes, nil
		}
	}
}

// outcome is an answer for a table.
func outcome(o proof.Outcome) parts.Cell {
	switch o {
	case proof.Allowed:
		return parts.Cell{Kind: "keep", Text: t("yes")}
	case proof.Denied:
		return parts.Cell{Text: t("no"), Soft: true}
	case proof.Depends:
		return parts.Cell{Kind: "soon", Text: t("on conditions")}
	case proof.Partly:
		return parts.Cell{Kind: "soon", Text: t("in part")}
	case proof.Unseen:
		return parts.Cell{Kind: "plain", Text: t("as far as seen")}
	}
	return parts.Cell{Text: parts.Clean(string(o))}
}

// fromNone are the outcomes, from the least to the most.
var fromNone = []proof.Outcome{proof.Denied, proof.Partly, proof.Depends, proof.Unseen, proof.Allowed}
