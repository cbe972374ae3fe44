package adminapi

import (
	"context"
	"strconv"

	"github.com/kontor-registry/kontor/internal/budget"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// manifestsPage is how many entries a page has that come with their manifests.
const manifestsPage = 4

func (c *call) listJournal(ctx context.Context, in *admin.ListJournalRequest) (*admin.ListJournalResponse, error) {
	at, err := c.someRepo(in.RegistryID, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	parameters := *in
	parameters.MaxResults, parameters.NextToken = 0, ""
	l, err := newListing("ListJournal", at.In, parameters, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	after, err := l.number()
	if err != nil {
		return nil, err
	}
	f := meta.JournalQuery{Registry: at.In, Name: at.Name, Rule: int(in.RulePriority), Since: in.Since.UTC(), Until: in.Until.UTC()}
	if f.Tag, err = optional(in.ImageTag, ecr.ParseTag); err != nil {
		return nil, err
	}
	if f.Digest, err = optional(in.ImageDigest, ecr.ParseDigest); err != nil {
		return nil, err
	}
	if f.Op, err = journalOp(in.Operation); err != nil {
		return nil, err
	}
	limit := l.limit
	if f.Bodies = in.IncludeManifests; f.Bodies {
		limit = min(limit, manifestsPage)
		if err := budget.Take(ctx, manifestsPage*manifest.MaxSize); err != nil {
			return nil, err
		}
	}
	list, next, err := c.Journal(ctx, f, after, limit)
	if err != nil {
		return nil, err
	}
	out := &admin.ListJournalResponse{Entries: make([]admin.JournalEntry, len(list)), NextToken: l.numbered(next)}
	for i, e := range list {
		out.Entries[i] = admin.JournalEntry{
			Sequence: e.Seq, At: e.At.UTC(), Operation: string(e.Op), RepositoryName: string(e.Name), ImageDigest: string(e.Digest),
			ImageTags: texts(e.Tags), MediaType: e.MediaType, SizeBytes: e.SizeBytes, Actor: e.Actor, Reason: e.Reason,
			RulePriority: e.Rule, RequestID: e.RequestID,
		}
		out.Entries[i].Manifest = string(e.Body)
	}
	return out, nil
}

// journalOps are the operations that the journal records.
var journalOps = []meta.JournalOp{
	meta.JournalDeleteImage, meta.JournalDeleteTag, meta.JournalMoveTag, meta.JournalDeletePolicy, meta.JournalDeleteLifecycle,
	meta.JournalDeleteRepository, meta.JournalDeleteBlob, meta.JournalRestoreImage, meta.JournalPurgeImage,
}

func journalOp(s string) (meta.JournalOp, error) {
	if s == "" {
		return "", nil
	}
	names := ""
	for _, op := range journalOps {
		if string(op) == s {
			return op, nil
		}
		names += ", " + string(op)
	}
	return "", ecr.InvalidParameter("operation", "Member must satisfy enum value set: [%s]", names[len(", "):])
}

func (c *call) listRecycleBin(ctx context.Context, in *admin.ListRecycleBinRequest) (*admin.ListRecycleBinResponse, error) {
	at, err := c.someRepo(in.RegistryID, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	l, err := newListing("ListRecycleBin", at.In, at.Name, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	after, err := l.number()
	if err != nil {
		return nil, err
	}
	list, next, err := c.ListBin(ctx, at.In, at.Name, after, l.limit)
	if err != nil {
		return nil, err
	}
	out := &admin.ListRecycleBinResponse{Entries: make([]admin.BinEntry, len(list)), NextToken: l.numbered(next)}
	for i, e := range list {
		out.Entries[i] = admin.BinEntry{
			ID: e.ID, RepositoryName: string(e.Name), ImageDigest: string(e.Image.Digest), ImageTags: texts(e.Image.Tags),
			MediaType: e.Image.MediaType, Subject: string(e.Image.Subject), SizeBytes: e.Image.SizeBytes, PushedAt: e.Image.PushedAt.UTC(),
			DeletedAt: e.DeletedAt.UTC(), ExpiresAt: e.ExpiresAt.UTC(), Actor: e.Actor, Reason: e.Reason, RulePriority: e.Rule,
		}
	}
	return out, nil
}

// numbered is the nextToken for a list that is ordered by numbers.
func (l listing) numbered(next int64) string {
	if next == 0 {
		return ""
	}
	return l.token(strconv.FormatInt(next, 10))
}

func (c *call) restoreImage(ctx context.Context, in *admin.ImageRequest) (*admin.RestoreImageResponse, error) {
	at, d, err := c.image(in.RegistryID, in.RepositoryName, in.ImageDigest)
	if err != nil {
		return nil, err
	}
	done, err := c.RestoreImage(ctx, at, d)
	if err != nil {
		return nil, err
	}
	out := &admin.RestoreImageResponse{RepositoryName: string(at.Name), Images: []admin.RestoredImage{}, MissingDigests: texts(done.Missing)}
	for _, m := range done.Images {
		back := admin.RestoredImage{
			ImageDigest: string(m.Digest), ImageTags: texts(m.Tags), TakenTags: []admin.TakenTag{}, Reason: m.Reason, RulePriority: m.Rule,
		}
		for _, id := range m.Taken {
			back.TakenTags = append(back.TakenTags, admin.TakenTag{ImageTag: string(id.Tag), ImageDigest: string(id.Digest)})
		}
		out.Images = append(out.Images, back)
	}
	return out, nil
}

func (c *call) purgeImage(ctx context.Context, in *admin.PurgeImageRequest) (*admin.PurgeImageResponse, error) {
	at, d, err := c.image(in.RegistryID, in.RepositoryName, in.ImageDigest)
	if err == nil {
		err = bounded("reason", in.Reason, 1, admin.MaxReason)
	}
	if err != nil {
		return nil, err
	}
	done, err := c.PurgeImage(ctx, at, d, in.Reason)
	if err != nil {
		return nil, err
	}
	return &admin.PurgeImageResponse{
		RepositoryName: string(at.Name), ImageDigest: string(d), Live: done.Live, ImageTags: texts(done.Tags),
		BinEntries: done.Binned, Blobs: done.Blobs, SizeBytes: done.SizeBytes,
	}, nil
}
