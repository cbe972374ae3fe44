package people

import (
	"strings"

	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/report/words"
)

// sides is what the caller may see of who may do what with repositories, without users and
// roles, and notes on what it may not.
func (v *visit) sides(names []ecr.RepositoryName) (w proof.World, notes []string, err error) {
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
	return w, notes, nil
}

// unseen is a note for who may not read users and roles; "" for other errors.
func unseen(err error) string {
	if ecr.CodeOf(err) == ecr.CodeAccessDenied || ecr.CodeOf(err) == ecr.CodeUnrecognizedClient {
		return t("You may not read users and roles (iam:GetAccountAuthorizationDetails), so only those that policies name are shown.")
	}
	return ""
}

// some adds a page of the users and roles of the caller's account to w, and says where the
// next one begins. limit 0 is for all.
func (v *visit) some(w *proof.World, from string, limit int) (next string, notes []string, err error) {
	people := v.Req.IAM.As(v.Req.Principal)
	all := limit == 0
	for {
		d, next, err := people.AccountDetails(v.R.Context(), []iam.DetailKind{iam.DetailUsers, iam.DetailRoles}, iam.Page{Marker: from, Limit: limit})
		if note := unseen(err); note != "" {
			return "", []string{note}, nil
		}
		if err != nil {
			return "", nil, err
		}
		for _, h := range d.Holders {
			w.Principals = append(w.Principals, h.Principal(people.Partition()))
		}
		if from = next; from == "" || !all {
			// Others of the account have a page of their own.
			w.Seen = append(w.Seen, string(v.Req.Principal.Account))
			return next, nil, nil
		}
	}
}

// one adds a user or role to w, if arn is one of the caller's account.
func (v *visit) one(w *proof.World, arn string) (notes []string, err error) {
	of, name := holderOf(arn, string(v.Req.Principal.Account))
	if name == "" {
		_, notes, err = v.some(w, "", 1) // whether the account can be seen
		w.Principals = nil
		return notes, err
	}
	people := v.Req.IAM.As(v.Req.Principal)
	h, err := iam.DetailsOf(v.R.Context(), people, of, name)
	if note := unseen(err); note != "" {
		return []string{note}, nil
	}
	if err == nil {
		w.Principals = append(w.Principals, h.Principal(people.Partition()))
	}
	if err == nil || ecr.CodeOf(err) == iam.CodeNoSuchEntity {
		w.Seen, err = append(w.Seen, string(v.Req.Principal.Account)), nil
	}
	return nil, err
}

// holderOf is the user or role of the account that an ARN is of; "" for others.
func holderOf(arn, account string) (of iam.Holder, name string) {
	p := strings.SplitN(arn, ":", 6)
	if len(p) != 6 || p[4] != account {
		return "", ""
	}
	kind, rest, _ := strings.Cut(p[5], "/")
	switch kind {
	case "user":
		return iam.OfUser, rest[strings.LastIndexByte(rest, '/')+1:]
	case "role":
		return iam.OfRole, rest[strings.LastIndexByte(rest, '/')+1:]
	case "assumed-role":
		name, _, _ = strings.Cut(rest, "/")
		return iam.OfRole, name
	}
	return "", ""
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
