package registry

import (
	"context"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Limits of resource tags, from the API model: tags on a repository, and
// characters of a key and a value.
const (
	maxResourceTags  = 50
	maxResourceKey   = 128
	maxResourceValue = 256
)

func checkResourceTags(tags map[string]string) error {
	if len(tags) > maxResourceTags {
		return tooManyTags()
	}
	for k, v := range tags {
		n := utf8.RuneCountInString(k)
		if n < 1 || n > maxResourceKey || utf8.RuneCountInString(v) > maxResourceValue || strings.HasPrefix(k, "aws:") {
			return ecr.Errorf(ecr.CodeInvalidTagParameter, "Tag parameters are invalid")
		}
	}
	return nil
}

// tagsSaid is what a request with tags to be set says.
func tagsSaid(tags map[string]string) gate.Said {
	return gate.Said{Tags: tags, TagKeys: slices.Collect(maps.Keys(tags))}
}

func tooManyTags() error {
	return ecr.Errorf(ecr.CodeTooManyTags, "The list of tags on the repository is over the limit. The maximum number of tags that can be applied to a repository is %d.", maxResourceTags)
}

var opTagResource = gate.Op("TagResource", "ecr:TagResource")

// TagResource adds or replaces resource tags.
// Errors: RepositoryNotFound, InvalidTagParameter, TooManyTags.
func (c *Caller) TagResource(ctx context.Context, at ecr.Repo, tags map[string]string) error {
	if err := checkResourceTags(tags); err != nil {
		return err
	}
	return c.gate.Saying(tagsSaid(tags)).ChangeRepository(ctx, opTagResource, at, func(ctx context.Context, tx *gate.Tx, repo meta.Repository) error {
		all := make(map[string]string, len(repo.Tags)+len(tags))
		maps.Copy(all, repo.Tags)
		maps.Copy(all, tags)
		if len(all) > maxResourceTags {
			return tooManyTags()
		}
		repo.Tags = all
		return tx.UpdateRepository(ctx, repo)
	})
}

var opUntagResource = gate.Op("UntagResource", "ecr:UntagResource")

// UntagResource removes resource tags; keys that are not there are nothing.
func (c *Caller) UntagResource(ctx context.Context, at ecr.Repo, keys []string) error {
	return c.gate.Saying(gate.Said{TagKeys: keys}).ChangeRepository(ctx, opUntagResource, at, func(ctx context.Context, tx *gate.Tx, repo meta.Repository) error {
		all := maps.Clone(repo.Tags)
		for _, k := range keys {
			delete(all, k)
		}
		repo.Tags = all
		return tx.UpdateRepository(ctx, repo)
	})
}

var opResourceTags = gate.Op("ResourceTags", "ecr:ListTagsForResource")

// ResourceTags returns the resource tags.
func (c *Caller) ResourceTags(ctx context.Context, at ecr.Repo) (map[string]string, error) {
	var tags map[string]string
	err := c.gate.ReadRepository(ctx, opResourceTags, at, func(_ context.Context, _ *gate.View, repo meta.Repository) error {
		tags = repo.Tags
		return nil
	})
	return tags, err
}

// TaggedRepository is a repository and its resource tags.
type TaggedRepository struct {
	ecr.Repo
	Tags map[string]string
}

// scanned is how many rows are read at a time where few of them fit.
const scanned = 1000

var opTaggedRepositories = gate.Op("TaggedRepositories", "tag:GetResources")

// TaggedRepositories returns at most limit repositories whose tags fit, in byte
// order of their names after the name after, and whether there may be more. It
// asks for the action on all repositories of the registry; those on which the
// caller is denied it are left out.
func (c *Caller) TaggedRepositories(ctx context.Context, in ecr.RegistryID, fits func(map[string]string) bool, after ecr.RepositoryName, limit int) (list []TaggedRepository, more bool, err error) {
	err = c.gate.Read(ctx, opTaggedRepositories, func(ctx context.Context, v *gate.View) error {
		all, err := v.EnterNew(ctx, in.Repo("*"))
		if err != nil {
			return err
		}
		var rows []meta.Repository
		rows, more, err = meta.Take(meta.Repositories(ctx, v, in, after, scanned), limit, func(row *meta.Repository) (bool, error) {
			return fits(row.Tags) && v.Would(gate.Scene{At: in.Repo(row.Name), Row: *row, Settings: all.Settings}, opTaggedRepositories.Actions...) == nil, nil
		})
		list = nil
		for _, row := range rows {
			list = append(list, TaggedRepository{in.Repo(row.Name), row.Tags})
		}
		return err
	})
	return list, more, err
}
