package stsapi

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/kontor-registry/kontor/internal/access/authn"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/wire/awsquery"
)

// An outcome is the wire form of an error code.
type outcome struct {
	status int
	fault  awsquery.Fault
	code   string
}

var internalFailure = outcome{http.StatusInternalServerError, awsquery.Receiver, "InternalFailure"}

// outcomes is the table from codes to their wire form. Query services have
// their own names for what the JSON services call ...Exception.
var outcomes = map[ecr.Code]outcome{
	ecr.CodeServer:              internalFailure,
	ecr.CodeUnavailable:         {http.StatusServiceUnavailable, awsquery.Receiver, "ServiceUnavailable"},
	ecr.CodeInvalidParameter:    {http.StatusBadRequest, awsquery.Sender, "InvalidParameterValue"},
	ecr.CodeValidation:          {http.StatusBadRequest, awsquery.Sender, "ValidationError"},
	ecr.CodeSerialization:       {http.StatusBadRequest, awsquery.Sender, "MalformedQueryString"},
	ecr.CodeUnknownOperation:    {http.StatusBadRequest, awsquery.Sender, "InvalidAction"},
	ecr.CodeThrottling:          {http.StatusBadRequest, awsquery.Sender, "Throttling"},
	ecr.CodeLimitExceeded:       {http.StatusConflict, awsquery.Sender, "LimitExceeded"},
	ecr.CodeAccessDenied:        {http.StatusForbidden, awsquery.Sender, "AccessDenied"},
	ecr.CodeUnrecognizedClient:  {http.StatusForbidden, awsquery.Sender, "InvalidClientTokenId"},
	ecr.CodeInvalidSignature:    {http.StatusForbidden, awsquery.Sender, "SignatureDoesNotMatch"},
	ecr.CodeIncompleteSignature: {http.StatusForbidden, awsquery.Sender, "IncompleteSignature"},
	ecr.CodeExpiredToken:        {http.StatusForbidden, awsquery.Sender, "ExpiredToken"},

	codeMissingAction:                   {http.StatusBadRequest, awsquery.Sender, "MissingAction"},
	iam.CodeMalformedPolicyDocument:     {http.StatusBadRequest, awsquery.Sender, "MalformedPolicyDocument"},
	iam.CodeInvalidInput:                {http.StatusBadRequest, awsquery.Sender, "ValidationError"},
	iam.CodeLimitExceeded:               {http.StatusBadRequest, awsquery.Sender, "PackedPolicyTooLarge"}, // too many tags
	iam.CodeInvalidAuthorizationMessage: {http.StatusBadRequest, awsquery.Sender, "InvalidAuthorizationMessageException"},
	identity.CodePackedPolicyTooLarge:   {http.StatusBadRequest, awsquery.Sender, "PackedPolicyTooLarge"},
	authn.CodeInvalidIdentityToken:      {http.StatusBadRequest, awsquery.Sender, "InvalidIdentityToken"},
	authn.CodeExpiredIdentityToken:      {http.StatusBadRequest, awsquery.Sender, "ExpiredTokenException"},
	authn.CodeIDPRejectedClaim:          {http.StatusForbidden, awsquery.Sender, "IDPRejectedClaim"},
	authn.CodeIDPCommunicationError:     {http.StatusBadRequest, awsquery.Sender, "IDPCommunicationError"},
	iam.CodeNoSuchEntity:                internalFailure, // of IAM, as are those below
	iam.CodeEntityAlreadyExists:         internalFailure,
	iam.CodeDeleteConflict:              internalFailure,
	iam.CodeUnmodifiableEntity:          internalFailure,

	// About repositories and images: nothing here raises them, so if one
	// comes it is the server's fault.
	ecr.CodeRepositoryNotFound:           internalFailure,
	ecr.CodeRepositoryAlreadyExists:      internalFailure,
	ecr.CodeRepositoryNotEmpty:           internalFailure,
	ecr.CodeRepositoryPolicyNotFound:     internalFailure,
	ecr.CodeLifecyclePolicyNotFound:      internalFailure,
	ecr.CodePreviewNotFound:              internalFailure,
	ecr.CodePreviewInProgress:            internalFailure,
	ecr.CodeStorageClassNotSupported:     internalFailure,
	ecr.CodeScanNotFound:                 internalFailure,
	ecr.CodeExclusionAlreadyExists:       internalFailure,
	ecr.CodeExclusionNotFound:            internalFailure,
	ecr.CodePullThroughCacheRuleNotFound: internalFailure,
	ecr.CodeTemplateNotFound:             internalFailure,
	ecr.CodeTemplateAlreadyExists:        internalFailure,
	ecr.CodeSigningConfigurationNotFound: internalFailure,
	ecr.CodeReplicationBackfillNotFound:  internalFailure,
	ecr.CodeRegistryPolicyNotFound:       internalFailure,
	ecr.CodeImageNotFound:                internalFailure,
	ecr.CodeImageAlreadyExists:           internalFailure,
	ecr.CodeImageTagAlreadyExists:        internalFailure,
	ecr.CodeImageDigestDoesNotMatch:      internalFailure,
	ecr.CodeReferencedImagesNotFound:     internalFailure,
	ecr.CodeReferencedByManifestList:     internalFailure,
	ecr.CodeLayersNotFound:               internalFailure,
	ecr.CodeLayerInaccessible:            internalFailure,
	ecr.CodeLayerAlreadyExists:           internalFailure,
	ecr.CodeLayerPartTooSmall:            internalFailure,
	ecr.CodeInvalidLayer:                 internalFailure,
	ecr.CodeInvalidLayerPart:             internalFailure,
	ecr.CodeEmptyUpload:                  internalFailure,
	ecr.CodeUploadNotFound:               internalFailure,
	ecr.CodeTooManyTags:                  internalFailure,
	ecr.CodeInvalidTagParameter:          internalFailure,
}

const codeMissingAction ecr.Code = "MissingAction"

// ServeError answers a request that failed, also before Serve could be called:
// while reading its form or authenticating it. Of an error that is not an
// *ecr.Error the client learns the request id only.
func (h *Handler) ServeError(w http.ResponseWriter, r *http.Request, requestID string, err error) {
	o, message := outcomes[ecr.CodeOf(err)], ""
	var known *ecr.Error
	if errors.As(err, &known) {
		message = known.Message
	}
	if o.code == "" {
		o = internalFailure
	}
	if o == internalFailure {
		message = "The server could not process this request. Its operator finds the reason in the log under request id " + requestID + "."
	}
	if known == nil || known.Err != nil || o == internalFailure {
		level := slog.LevelInfo
		switch {
		case r.Context().Err() != nil: // the client has gone
			level = slog.LevelDebug
		case o.fault == awsquery.Receiver:
			level = slog.LevelError
		}
		h.cfg.Log.Log(r.Context(), level, "sts api error", "request_id", requestID, "error", err)
	}
	awsquery.WriteError(w, requestID, namespace, awsquery.Error{Status: o.status, Fault: o.fault, Code: o.code, Message: message})
}
