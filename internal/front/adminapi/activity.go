package adminapi

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// maxPrincipal bounds the ARN of a user or role with the longest path, in bytes.
const maxPrincipal = 1024

func (c *call) listPullActivity(ctx context.Context, in *admin.ListPullActivityRequest) (*admin.ListPullActivityResponse, error) {
	at, err := c.someRepo(in.RegistryID, in.RepositoryName)
	if err == nil {
		err = bounded("principal", in.Principal, 0, maxPrincipal)
	}
	if err != nil {
		return nil, err
	}
	if at.Name == "" && (in.ImageTag != "" || in.ImageDigest != "") {
		return nil, ecr.InvalidParameter("repositoryName", "Member must not be null where imageTag or imageDigest is given")
	}
	f := retention.ActivityFilter{Registry: at.In, Name: at.Name, Principal: in.Principal, Backward: in.NewestFirst}
	if f.Image.Tag, err = optional(in.ImageTag, ecr.ParseTag); err != nil {
		return nil, err
	}
	if f.Image.Digest, err = optional(in.ImageDigest, ecr.ParseDigest); err != nil {
		return nil, err
	}
	if !in.Since.IsZero() {
		f.Since = meta.DayOf(in.Since)
	}
	if !in.Until.IsZero() {
		f.Until = meta.DayOf(in.Until)
	}
	parameters := *in
	parameters.MaxResults, parameters.NextToken = 0, ""
	l, err := newListing("ListPullActivity", at.In, parameters, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	var after meta.PullKey
	if l.after != "" {
		if _, err := fmt.Sscan(l.after, &after.Day, &after.Repository, &after.Digest, &after.PullerID); err != nil {
			return nil, badToken()
		}
	}
	list, next, err := c.Activity(ctx, f, after, l.limit)
	if err != nil {
		return nil, err
	}
	out := &admin.ListPullActivityResponse{Entries: make([]admin.PullActivity, len(list)), KeptDays: c.h.cfg.Retention.ActivityDays()}
	for i, a := range list {
		out.Entries[i] = admin.PullActivity{
			Day: a.Day.Time().Format(time.DateOnly), RepositoryName: string(a.Name), ImageDigest: string(a.Digest), ImageTag: string(a.Tag),
			Principal: a.By.ARN, PrincipalID: a.By.UniqueID, PrincipalDeleted: a.Gone, Pulls: a.Pulls, LastPulledAt: a.LastAt.UTC(),
		}
	}
	if next != (meta.PullKey{}) {
		out.NextToken = l.token(strings.TrimSpace(fmt.Sprintln(next.Day, next.Repository, next.Digest, next.PullerID)))
	}
	return out, nil
}
