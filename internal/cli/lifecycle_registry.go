package cli

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// adminOf is the admin API of the server behind conn; nil for Amazon ECR, which
// has none. What stands in for it may have none, either.
func (e *Env) adminOf(conn *deploy.Conn) *adminClient {
	client, ok := conn.API.(*awsecr.Client)
	if !ok || !conn.Target.Local && conn.Target.Endpoint == "" {
		return nil
	}
	o := client.Options()
	c := &adminClient{endpoint: aws.ToString(o.BaseEndpoint), region: o.Region, credentials: o.Credentials, http: o.HTTPClient, now: e.Now}
	if c.http == nil {
		c.http = http.DefaultClient
	}
	return c
}

// noAdmin reports whether err says that a server has no admin API, or an older
// one.
func noAdmin(conn *deploy.Conn, err error) bool {
	return !conn.Target.Local && errors.Is(err, errNoKontor) || ecr.CodeOf(err) == ecr.CodeUnknownOperation
}

// indexReader reads manifests from a Kontor registry without pulling them; nil
// for Amazon ECR.
func (e *Env) indexReader(conn *deploy.Conn) deploy.IndexReader {
	c := e.adminOf(conn)
	if c == nil {
		return nil
	}
	return func(ctx context.Context, name ecr.RepositoryName) (map[string][]byte, time.Time, error) {
		in := admin.ListIndexManifestsRequest{RepositoryName: string(name), MaxResults: admin.MaxPage}
		manifests, now := map[string][]byte{}, time.Time{}
		err := adminPages(ctx, c, "ListIndexManifests", &in, &in.NextToken, func(out *admin.ListIndexManifestsResponse) (string, error) {
			for _, m := range out.Manifests {
				manifests[m.ImageDigest] = []byte(m.Manifest)
			}
			now = out.Now
			return out.NextToken, nil
		})
		switch {
		case err != nil && noAdmin(conn, err):
			return nil, time.Time{}, deploy.ErrNoIndexes
		case ecr.CodeOf(err) == ecr.CodeAccessDenied:
			e.notice("the indexes of repository %s and the image clock of registry %s are not known (%s)", name, conn.Target.Name, err)
			return nil, time.Time{}, nil
		}
		return manifests, now, err
	}
}

// whatWent asks a Kontor registry for an image that is not there: what its
// journal and its recycle bin say. It is nil when they say nothing, or may not.
// digest may be the beginning of one.
func (e *Env) whatWent(ctx context.Context, l *looked, tag, digest string) (*report.Gone, error) {
	if l.conn == nil {
		return nil, nil
	}
	c := e.adminOf(l.conn)
	if c == nil {
		return nil, nil
	}
	gone := report.Gone{Repository: l.Repository, Tag: tag, Digest: digest}
	in := admin.ListJournalRequest{RepositoryName: l.Repository, ImageTag: tag, MaxResults: admin.MaxPage}
	err := adminPages(ctx, c, "ListJournal", &in, &in.NextToken, func(out *admin.ListJournalResponse) (string, error) {
		for _, entry := range out.Entries {
			if digest == "" || strings.HasPrefix(entry.ImageDigest, digest) {
				gone.Entries = append(gone.Entries, entry)
			}
		}
		return out.NextToken, nil
	})
	switch {
	case err != nil && (noAdmin(l.conn, err) || ecr.CodeOf(err) == ecr.CodeAccessDenied):
		return nil, nil
	case err != nil || len(gone.Entries) == 0:
		return nil, err
	}
	last := gone.Entries[len(gone.Entries)-1].ImageDigest
	bin := admin.ListRecycleBinRequest{RepositoryName: l.Repository, MaxResults: admin.MaxPage}
	err = adminPages(ctx, c, "ListRecycleBin", &bin, &bin.NextToken, func(out *admin.ListRecycleBinResponse) (string, error) {
		for _, entry := range out.Entries {
			if entry.ImageDigest == last {
				gone.Restorable = &entry
			}
		}
		return out.NextToken, nil
	})
	if ecr.CodeOf(err) == ecr.CodeAccessDenied {
		err = nil
	}
	return &gone, err
}

// expiresAll reports whether a file says of a repository that every image
// expires.
func expiresAll(r state.Repository) bool {
	for _, o := range r.Origins.Rules {
		if strings.HasSuffix(o.Field, ".expire_all_images") || strings.HasSuffix(o.Field, ".expire_all_after_days") {
			return true
		}
	}
	return false
}
