package promote

import (
	"context"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
)

// askRightsFirst asks before the image is walked, and askRightsLast after that
// where its tag is there already: then mostly nothing is to be done, and a dozen
// requests are saved.
func (x *planner) askRightsFirst(ctx context.Context) error {
	if x.image.ToDigest == x.image.Digest {
		return nil
	}
	return x.askRights(ctx)
}

func (x *planner) askRightsLast(ctx context.Context) error {
	if x.image.ToDigest != x.image.Digest {
		return nil
	}
	return x.askRights(ctx)
}

// askRights looks for rights that lack, on either side.
func (x *planner) askRights(ctx context.Context) error {
	lack := func(r *repository, missing []access.Action) {
		if len(missing) > 0 {
			x.image.Rights = append(x.image.Rights, Right{Registry: r.registry.Name, Repository: r.name, Actions: missing})
			x.image.find(CodeRights, plan.Error, "the caller may not do %s in %s/%s", list(missing), r.registry.Name, r.name)
		}
	}
	if rights := x.from.registry.Rights; rights != nil {
		missing, err := rights.Missing(ctx, x.from.name, rightsFrom)
		if err != nil {
			return err
		}
		lack(x.from, missing)
	}
	if x.to.registry.Rights == nil {
		return nil
	}
	missing, err := x.missingTo(ctx, x.to.registry.Rights)
	lack(x.to, missing)
	return err
}

// missingTo are rights that lack to write to the target, and to make its
// repository first.
func (x *planner) missingTo(ctx context.Context, rights Rights) ([]access.Action, error) {
	if !x.image.Create {
		return rights.Missing(ctx, x.to.name, rightsTo)
	}
	wanted, _ := x.to.registry.Creator.Wanted(x.to.name) // create has seen that it is
	bare := wanted
	bare.Policy = "" // it comes after what it might allow
	first, rest := rightsToCreate(wanted)
	missing, err := rights.MissingIn(ctx, bare, first)
	if err != nil {
		return nil, err
	}
	more, err := rights.MissingIn(ctx, wanted, append(rest, rightsTo...))
	return append(missing, more...), err
}

// rightsToCreate are those that making a repository takes, until it has its
// policy and after that.
func rightsToCreate(wanted state.Repository) (first, rest []access.Action) {
	first = []access.Action{"ecr:DescribeRepositories", "ecr:CreateRepository"}
	if len(wanted.Tags) > 0 {
		first = append(first, "ecr:TagResource")
	}
	if wanted.Policy != "" {
		first = append(first, "ecr:SetRepositoryPolicy")
	}
	if wanted.Lifecycle != "" {
		rest = append(rest, "ecr:PutLifecyclePolicy")
	}
	return first, rest
}
