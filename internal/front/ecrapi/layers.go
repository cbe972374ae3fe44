package ecrapi

import (
	"bytes"
	"context"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// partSize is what InitiateLayerUpload asks clients to send at once. Parts may
// be larger, up to 20 MiB, and smaller down to what CompleteLayerUpload takes.
const partSize = 10 << 20

// batchCheckLayerAvailability answers for each digest once, in the order given:
// a layer that the repository has, one that it has not, or a failure.
func (c *call) batchCheckLayerAvailability(ctx context.Context, in *BatchCheckLayerAvailabilityRequest) (*BatchCheckLayerAvailabilityResponse, error) {
	found, failures, err := c.BatchCheckLayers(ctx, c.repo(in.RegistryId, in.RepositoryName), in.LayerDigests)
	if err != nil {
		return nil, err
	}
	out := &BatchCheckLayerAvailabilityResponse{Layers: []Layer{}, Failures: []LayerFailure{}}
	answered := map[string]bool{}
	for _, f := range failures {
		answered[f.Digest] = true
		out.Failures = append(out.Failures, LayerFailure{LayerDigest: text(f.Digest), FailureCode: text(f.Code), FailureReason: text(f.Reason)})
	}
	sizes := map[string]*int64{}
	for _, l := range found {
		sizes[string(l.Digest)] = &l.SizeBytes
	}
	for _, d := range in.LayerDigests {
		if answered[d] {
			continue
		}
		answered[d] = true
		layer := Layer{LayerDigest: &d, LayerAvailability: text("UNAVAILABLE")}
		if size, ok := sizes[d]; ok {
			layer.LayerAvailability, layer.LayerSize = text("AVAILABLE"), size
		}
		out.Layers = append(out.Layers, layer)
	}
	return out, nil
}

func (c *call) initiateLayerUpload(ctx context.Context, in *InitiateLayerUploadRequest) (*InitiateLayerUploadResponse, error) {
	id, err := c.StartUpload(ctx, c.repo(in.RegistryId, in.RepositoryName))
	if err != nil {
		return nil, err
	}
	size := int64(partSize)
	return &InitiateLayerUploadResponse{UploadId: text(id), PartSize: &size}, nil
}

func (c *call) uploadLayerPart(ctx context.Context, in *UploadLayerPartRequest) (*UploadLayerPartResponse, error) {
	at, id := c.repo(in.RegistryId, in.RepositoryName), meta.UploadID(*in.UploadId)
	first, last := *in.PartFirstByte, *in.PartLastByte
	received, err := int64(0), error(nil)
	if n := last - first + 1; n != int64(len(in.LayerPartBlob)) {
		// ECR's text is not known.
		err = ecr.Errorf(ecr.CodeInvalidLayerPart, "The layer part has %d bytes instead of the %d from byte %d to byte %d", len(in.LayerPartBlob), n, first, last)
	} else {
		received, err = c.AppendUpload(ctx, at, id, first, bytes.NewReader(in.LayerPartBlob))
	}
	if ecr.CodeOf(err) == ecr.CodeInvalidLayerPart {
		return nil, c.lastValidByte(ctx, at, id, err)
	}
	if err != nil {
		return nil, err
	}
	end := received - 1
	return &UploadLayerPartResponse{
		RegistryId: text(at.In.Account), RepositoryName: text(at.Name), UploadId: in.UploadId, LastByteReceived: &end,
	}, nil
}

// lastValidByte adds to a refused part how far the upload has come. Where that
// cannot be had (no such upload, no right), it is the error to tell.
func (c *call) lastValidByte(ctx context.Context, at ecr.Repo, id meta.UploadID, refused error) error {
	offset, err := c.UploadOffset(ctx, at, id)
	if err != nil {
		return err
	}
	e := &invalidLayerPart{error: refused, details: errorBody{
		RegistryId: text(at.In.Account), RepositoryName: text(at.Name), UploadId: text(id),
	}}
	if offset > 0 {
		end := offset - 1
		e.details.LastValidByteReceived = &end
	}
	return e
}

func (c *call) completeLayerUpload(ctx context.Context, in *CompleteLayerUploadRequest) (*CompleteLayerUploadResponse, error) {
	at := c.repo(in.RegistryId, in.RepositoryName)
	digests := make([]ecr.Digest, len(in.LayerDigests))
	for i, s := range in.LayerDigests {
		d, err := ecr.ParseDigest(s)
		if err != nil {
			return nil, ecr.InvalidParameter("layerDigests", "Member must satisfy regular expression '%s'", ecr.DigestPattern)
		}
		digests[i] = d
	}
	layer, err := c.CompleteUpload(ctx, at, meta.UploadID(*in.UploadId), registry.AnyOffset, nil, digests...)
	if err != nil {
		return nil, err
	}
	if layer.Known {
		// Only this operation tells; docker may push a blob again. ECR's text
		// is not known.
		return nil, ecr.Errorf(ecr.CodeLayerAlreadyExists,
			"The layer with digest '%s' already exists in the repository with name '%s' in registry with id '%s'", layer.Digest, at.Name, at.In.Account)
	}
	return &CompleteLayerUploadResponse{
		RegistryId: text(at.In.Account), RepositoryName: text(at.Name), UploadId: in.UploadId, LayerDigest: text(layer.Digest),
	}, nil
}
