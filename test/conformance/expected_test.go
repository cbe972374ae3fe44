package conformance

// What the suite's tests of manifests with missing parts amount to: pushing
// fails, and so does all that comes after.
var afterPush = []string{
	"push/manifest-by-digest", "push/manifest-by-tag", "tag-list",
	"head/manifest-head-by-digest", "head/manifest-head-by-tag",
	"pull/manifest-by-digest", "pull/manifest-by-tag",
}

func under(prefixes []string, names ...string) []string {
	var list []string
	for _, p := range prefixes {
		for _, n := range names {
			list = append(list, p+"/"+n)
		}
	}
	return list
}

var algorithms = []string{"sha256 blobs", "sha512 blobs"}

// ociSparse: the specification lets a registry refuse manifests whose parts
// are missing (MANIFEST_BLOB_UNKNOWN). An index may list images that are not
// there; an image without one of its layers is refused in every mode, because
// Kontor promises that what it acknowledged can be pulled.
var ociSparse = expected{failures: []group{{
	why:   "the image that lacks a layer is refused; the index that lacks an image is not",
	names: under([]string{"sparse"}, afterPush...),
}}}

// ecrDifferences: in compat ecr what works here works on ECR, which refuses
// what the specification allows (docs/compatibility.md).
var ecrDifferences = expected{
	failures: []group{
		{
			why:   "empty blobs are refused: EmptyUploadException",
			names: under(algorithms, under([]string{"empty"}, "blob-post-only", "blob-post-put", "blob-patch-stream", "blob-patch-chunked", "blob-head", "blob-get")...),
		},
		{
			why:   "an image has at least one layer: InvalidParameterException",
			names: under([]string{"no-layers"}, afterPush...),
		},
		{
			why:   "the image that lacks a layer and the index that lacks an image: LayersNotFoundException, ReferencedImagesNotFoundException",
			times: 2,
			names: under([]string{"sparse"}, afterPush[0], afterPush[1], afterPush[3], afterPush[4], afterPush[5], afterPush[6]),
		},
		{
			why:   "neither of the two is listed",
			names: []string{"sparse/tag-list"},
		},
		{
			why:   "content is known by its sha256 alone: InvalidLayerException",
			names: under([]string{"sha512 blobs"}, "chunked multi and put chunk/blob-patch-chunked", "chunked multi/blob-patch-chunked", "chunked out-of-order and put chunk/blob-patch-chunked", "chunked out-of-order/blob-patch-chunked", "chunked single/blob-patch-chunked", "mount missing/blob-mount", "post only/blob-post-only", "post+put/blob-post-put", "stream/blob-patch-stream", "emptyJSON/blob-get", "emptyJSON/blob-head", "emptyJSON/blob-patch-chunked", "emptyJSON/blob-patch-stream", "emptyJSON/blob-post-only", "emptyJSON/blob-post-put", "mount anonymous/blob-mount-anonymous", "mount anonymous/blob-patch-chunked", "mount anonymous/blob-patch-stream", "mount anonymous/blob-post-only", "mount anonymous/blob-post-put", "mount/blob-mount", "mount/blob-patch-chunked", "mount/blob-patch-stream", "mount/blob-post-only", "mount/blob-post-put", "range requests/blob-patch-chunked", "range requests/blob-patch-stream", "range requests/blob-post-only", "range requests/blob-post-put"),
		},
		{
			why:   "likewise, and so for each blob of an image",
			times: 6,
			names: under([]string{"sha512", "tag-param-sha512"}, "head/blob-head", "pull/blob-get", "push/blob-patch-chunked", "push/blob-patch-stream", "push/blob-post-only", "push/blob-post-put"),
		},
		{
			why:   "an image by its sha512: ImageDigestDoesNotMatchException",
			times: 3,
			names: under([]string{"sha512", "tag-param-sha512"}, "head/manifest-head-by-digest", "pull/manifest-by-digest", "push/manifest-by-digest"),
		},
		{
			why:   "and by a tag that was to be set with it",
			times: 4,
			names: under([]string{"tag-param-sha512"}, "head/manifest-head-by-tag", "pull/manifest-by-tag", "push/manifest-by-tag"),
		},
		{
			why:   "which is not listed then",
			names: []string{"tag-param-sha512/tag-list"},
		},
	},
	skips: []group{
		{
			why:   "blobs cannot be deleted: ECR collects those that no image refers to",
			names: []string{"blob-delete"},
		},
		{
			why:   "what no image refers to is not mounted, and none is searched for: the client uploads instead",
			names: under([]string{"sha256 blobs"}, "mount/blob-mount", "mount anonymous/blob-mount-anonymous"),
		},
	},
}
