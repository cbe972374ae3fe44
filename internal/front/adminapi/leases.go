package adminapi

import (
	"context"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func (c *call) reportLeases(ctx context.Context, in *admin.ReportLeasesRequest) (*admin.ReportLeasesResponse, error) {
	at, err := c.in(in.RegistryID)
	if err != nil {
		return nil, err
	}
	const most = int64(longestTime / time.Second)
	if in.TTLSeconds > most || in.TTLSeconds < -most {
		return nil, ecr.InvalidParameter("ttlSeconds", "Member must have value less than or equal to %d", most)
	}
	list := make([]retention.Lease, len(in.Leases))
	for i, l := range in.Leases {
		list[i] = retention.Lease{
			Repository: ecr.RepositoryName(l.RepositoryName), User: l.User,
			Image: ecr.ImageID{Digest: ecr.Digest(l.ImageDigest), Tag: ecr.Tag(l.ImageTag)},
		}
	}
	who, err := c.ReportLeases(ctx, at, in.Collector, time.Duration(in.TTLSeconds)*time.Second, list)
	if err != nil {
		return nil, err
	}
	return &admin.ReportLeasesResponse{Collector: collector(who), Leases: len(list)}, nil
}

// longestTime keeps a number of seconds within what a time.Duration holds.
const longestTime = 100 * 366 * 24 * time.Hour

func collector(c retention.Collector) admin.Collector {
	return admin.Collector{Name: c.Name, ReportedAt: c.ReportedAt.UTC(), ExpectedAt: c.ExpectedAt.UTC(), Silent: c.Silent}
}

func (c *call) listLeases(ctx context.Context, in *admin.ListLeasesRequest) (*admin.ListLeasesResponse, error) {
	at, err := c.someRepo(in.RegistryID, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	l, err := newListing("ListLeases", at.In, at.Name, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	after, err := leaseAfter(l.after)
	if err != nil {
		return nil, err
	}
	collectors, leases, more, err := c.LeasePage(ctx, at.In, at.Name, after, l.limit)
	if err != nil {
		return nil, err
	}
	out := &admin.ListLeasesResponse{Collectors: make([]admin.Collector, len(collectors)), Leases: []admin.Lease{}}
	for i, who := range collectors {
		out.Collectors[i] = collector(who)
	}
	if more {
		out.NextToken = l.token(leaseKey(leases[len(leases)-1]))
	}
	for _, lease := range leases {
		out.Leases = append(out.Leases, admin.Lease{
			RepositoryName: string(lease.Repository), ImageDigest: string(lease.Image.Digest), ImageTag: string(lease.Image.Tag),
			Collector: lease.Collector, User: lease.User,
		})
	}
	return out, nil
}

// leaseKey orders leases as ListLeases does: NUL, which none of them holds, is
// before every other character.
func leaseKey(l retention.Lease) string {
	return strings.Join([]string{string(l.Repository), string(l.Image.Digest), string(l.Image.Tag), l.Collector, l.User}, "\x00")
}

func (c *call) forgetLeases(ctx context.Context, in *admin.ForgetLeasesRequest) (*admin.ForgetLeasesResponse, error) {
	at, err := c.in(in.RegistryID)
	if err != nil {
		return nil, err
	}
	n, err := c.ForgetLeases(ctx, at, in.Collector)
	if err != nil {
		return nil, err
	}
	return &admin.ForgetLeasesResponse{Collector: in.Collector, Leases: n}, nil
}

// leaseAfter is the lease whose key it is; the zero one for "".
func leaseAfter(key string) (retention.Lease, error) {
	if key == "" {
		return retention.Lease{}, nil
	}
	parts := strings.Split(key, "\x00")
	if len(parts) != 5 {
		return retention.Lease{}, badToken()
	}
	return retention.Lease{
		Repository: ecr.RepositoryName(parts[0]), Image: ecr.ImageID{Digest: ecr.Digest(parts[1]), Tag: ecr.Tag(parts[2])}, Collector: parts[3], User: parts[4],
	}, nil
}
