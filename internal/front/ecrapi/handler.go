package ecrapi

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/replication"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/scanning"
	"github.com/kontor-registry/kontor/internal/signing"
	"github.com/kontor-registry/kontor/internal/signing/managed"
	"github.com/kontor-registry/kontor/internal/templates"
	"github.com/kontor-registry/kontor/internal/upstream"
	"github.com/kontor-registry/kontor/internal/wire/awsjson"
)

// TargetPrefix precedes the operation in the X-Amz-Target header, with a dot
// between them.
const TargetPrefix = "AmazonEC2ContainerRegistry_V20150921"

// MaxBodyBytes is enough for the largest request that clients send,
// UploadLayerPart with 20 MiB in base64. The server, which reads the body to
// check its signature, refuses longer ones.
const MaxBodyBytes = 28 << 20

// Config is what a Handler is made of.
type Config struct {
	// Registry serves the operations. Required.
	Registry *registry.Registry
	// Gate lets callers ask for what is not configured. Required.
	Gate *gate.Gate
	// Upstreams serves those on pull-through caches. Required.
	Upstreams *upstream.Service
	// Replication serves those on replication. Required.
	Replication *replication.Service
	// Scanning serves those on scans. Required.
	Scanning *scanning.Service
	// Retention serves those on lifecycle policies. Required.
	Retention *retention.Service
	// Templates serves those on repository creation templates. Required.
	Templates *templates.Service
	// Signing serves those on signatures. Required.
	Signing *signing.Service
	// Managed serves those on the signing configuration. Required.
	Managed *managed.Service
	// Log receives what no client is told. Required.
	Log *slog.Logger
	// Now is the authentication time, which download URLs expire by. Without
	// it there are none.
	Now func() time.Time
	// DownloadKey authenticates download URLs, 32 random bytes. Replicas that
	// answer for each other share it; by default each process has its own.
	DownloadKey []byte
}

// Handler serves the ECR API. It is safe for concurrent use.
type Handler struct {
	cfg Config
	key []byte // of download URLs
}

// New returns a Handler.
func New(cfg Config) *Handler { return &Handler{cfg: cfg, key: downloadKey(cfg.DownloadKey)} }

// Endpoint is where a request came in.
type Endpoint struct {
	// Registry of the address. Its region is the region of every request here;
	// its account is the registry of a caller whose own is not on this server.
	Registry ecr.RegistryID
	// Serves reports whether a registry is on this server.
	Serves func(in ecr.RegistryID) bool
	// Address is where the client reaches a registry's docker endpoint.
	// repositoryUri, proxyEndpoint and downloadUrl name it.
	Address func(in ecr.RegistryID) Address
}

// Address is where a docker endpoint is reached.
type Address struct {
	Scheme string // "http" or "https"
	Host   string // with its port, for example "localhost:5050"
}

// Serve answers one authenticated request: operation is what stands behind
// TargetPrefix in X-Amz-Target, body the request's whole body, p who signed it.
// It writes one response. Errors that are not told to the client are logged
// under requestID.
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request, operation string, body []byte, p access.Principal, at Endpoint, requestID string) {
	c := &call{Caller: h.cfg.Registry.As(p), retention: h.cfg.Retention.As(p), templates: h.cfg.Templates.As(p), h: h, p: p, at: at}
	response, err := c.run(r.Context(), operation, body)
	if err != nil {
		h.Refuse(w, r, operation, err, requestID)
		return
	}
	awsjson.WriteJSON(w, http.StatusOK, requestID, response)
}

// A call is one request: its caller and where it came in.
type call struct {
	*registry.Caller
	retention *retention.Caller
	templates *templates.Caller
	h         *Handler
	p         access.Principal
	at        Endpoint
}

// run decodes, checks and carries out one operation.
func (c *call) run(ctx context.Context, operation string, body []byte) (any, error) {
	if serve, ok := served[operation]; ok {
		return serve(ctx, c, body)
	}
	errs, ok := modelled[operation]
	if !ok {
		return nil, ecr.Errorf(ecr.CodeUnknownOperation, "%s is not an operation of %s", operation, TargetPrefix)
	}
	return nil, notServed(operation, errs)
}

// notServed is an error that the operation's model names, by preference one
// that clients do not retry.
func notServed(operation string, errs []string) error {
	code := ecr.CodeServer
	for _, c := range []ecr.Code{ecr.CodeValidation, ecr.CodeInvalidParameter} {
		if slices.Contains(errs, string(c)) {
			code = c
			break
		}
	}
	return ecr.Errorf(code, "%s is not implemented by this registry", operation)
}

// served are the operations that do what they say.
var served = map[string]func(ctx context.Context, c *call, body []byte) (any, error){
	"GetAuthorizationToken": serve((*call).getAuthorizationToken),

	"DescribeRegistry":                        serveReplication(replications.describeRegistry),
	"PutRegistryPolicy":                       serve((*call).putRegistryPolicy),
	"GetRegistryPolicy":                       serve((*call).getRegistryPolicy),
	"DeleteRegistryPolicy":                    serve((*call).deleteRegistryPolicy),
	"PutAccountSetting":                       serve((*call).putAccountSetting),
	"GetAccountSetting":                       serve((*call).getAccountSetting),
	"PutRegistryScanningConfiguration":        serve((*call).putRegistryScanningConfiguration),
	"StartImageScan":                          serve((*call).startImageScan),
	"DescribeImageScanFindings":               serve((*call).describeImageScanFindings),
	"GetRegistryScanningConfiguration":        serve((*call).getRegistryScanningConfiguration),
	"BatchGetRepositoryScanningConfiguration": serve((*call).batchGetRepositoryScanningConfiguration),

	"CreateRepository":              serve((*call).createRepository),
	"DescribeRepositories":          serve((*call).describeRepositories),
	"DeleteRepository":              serve((*call).deleteRepository),
	"PutImageTagMutability":         serve((*call).putImageTagMutability),
	"PutImageScanningConfiguration": serve((*call).putImageScanningConfiguration),

	"SetRepositoryPolicy":    serve((*call).setRepositoryPolicy),
	"GetRepositoryPolicy":    serve((*call).getRepositoryPolicy),
	"DeleteRepositoryPolicy": serve((*call).deleteRepositoryPolicy),
	"PutLifecyclePolicy":     serve((*call).putLifecyclePolicy),
	"GetLifecyclePolicy":     serve((*call).getLifecyclePolicy),
	"DeleteLifecyclePolicy":  serve((*call).deleteLifecyclePolicy),

	"StartLifecyclePolicyPreview": serve((*call).startLifecyclePolicyPreview),
	"GetLifecyclePolicyPreview":   serve((*call).getLifecyclePolicyPreview),
	"UpdateImageStorageClass":     serve((*call).updateImageStorageClass),

	"TagResource":         serve((*call).tagResource),
	"UntagResource":       serve((*call).untagResource),
	"ListTagsForResource": serve((*call).listTagsForResource),

	"PutImage":           serve((*call).putImage),
	"BatchGetImage":      serve((*call).batchGetImage),
	"BatchDeleteImage":   serve((*call).batchDeleteImage),
	"ListImages":         serve((*call).listImages),
	"DescribeImages":     serve((*call).describeImages),
	"ListImageReferrers": serve((*call).listImageReferrers),

	"BatchCheckLayerAvailability": serve((*call).batchCheckLayerAvailability),
	"InitiateLayerUpload":         serve((*call).initiateLayerUpload),
	"UploadLayerPart":             serve((*call).uploadLayerPart),
	"CompleteLayerUpload":         serve((*call).completeLayerUpload),
	"GetDownloadUrlForLayer":      serve((*call).getDownloadURLForLayer),

	"RegisterPullTimeUpdateExclusion":   serve((*call).registerPullTimeUpdateExclusion),
	"DeregisterPullTimeUpdateExclusion": serve((*call).deregisterPullTimeUpdateExclusion),
	"ListPullTimeUpdateExclusions":      serve((*call).listPullTimeUpdateExclusions),

	"CreatePullThroughCacheRule":    serve((*call).createPullThroughCacheRule),
	"DescribePullThroughCacheRules": serve((*call).describePullThroughCacheRules),
	"UpdatePullThroughCacheRule":    serve((*call).updatePullThroughCacheRule),
	"DeletePullThroughCacheRule":    serve((*call).deletePullThroughCacheRule),
	"ValidatePullThroughCacheRule":  serve((*call).validatePullThroughCacheRule),

	"CreateRepositoryCreationTemplate":    serve((*call).createRepositoryCreationTemplate),
	"DescribeRepositoryCreationTemplates": serve((*call).describeRepositoryCreationTemplates),
	"UpdateRepositoryCreationTemplate":    serve((*call).updateRepositoryCreationTemplate),
	"DeleteRepositoryCreationTemplate":    serve((*call).deleteRepositoryCreationTemplate),

	"PutReplicationConfiguration":        serveReplication(replications.putReplicationConfiguration),
	"DescribeImageReplicationStatus":     serveReplication(replications.describeImageReplicationStatus),
	"StartReplicationBackfill":           serveReplication(replications.startReplicationBackfill),
	"StopReplicationBackfill":            serveReplication(replications.stopReplicationBackfill),
	"DescribeReplicationBackfillResults": serveReplication(replications.describeReplicationBackfillResults),
	"ListReplicationBackfills":           serveReplication(replications.listReplicationBackfills),

	"GetSigningConfiguration":    serveManaged(managedSigning.getSigningConfiguration),
	"PutSigningConfiguration":    serveManaged(managedSigning.putSigningConfiguration),
	"DeleteSigningConfiguration": serveManaged(managedSigning.deleteSigningConfiguration),
	"DescribeImageSigningStatus": serveSignatures(signatures.describeImageSigningStatus),
}

// serve puts decoding and checking before an operation.
func serve[In, Out any](operation func(*call, context.Context, *In) (*Out, error)) func(context.Context, *call, []byte) (any, error) {
	return func(ctx context.Context, c *call, body []byte) (any, error) {
		in := new(In)
		if err := awsjson.Decode(body, in); err != nil {
			return nil, err
		}
		if err := validate(in); err != nil {
			return nil, err
		}
		out, err := operation(c, ctx, in)
		if err != nil {
			return nil, err
		}
		return out, nil
	}
}

// in is the registry that a request means: registryId, by default the
// caller's account, in the endpoint's region.
func (c *call) in(registryID *string) ecr.RegistryID {
	account := c.p.Account
	if registryID != nil {
		account = ecr.AccountID(*registryID)
	}
	return ecr.RegistryID{Account: account, Region: c.at.Registry.Region}
}

// repo is the repository that a request names. Both parts have been checked.
func (c *call) repo(registryID, name *string) ecr.Repo {
	return ecr.Repo{In: c.in(registryID), Name: ecr.RepositoryName(*name)}
}

// value is what p points to, or the zero value.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// text is s as an optional member: nil when empty.
func text[S ~string](s S) *string {
	if s == "" {
		return nil
	}
	t := string(s)
	return &t
}
