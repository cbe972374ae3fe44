package ecr

import (
	"errors"
	"fmt"
	"strings"
)

// Code is the name of an ECR exception, as in the API's "__type".
type Code string

// Codes of the ECR model that Kontor returns, and the common AWS errors. Every front end has one table from Code to its wire form; Codes lists
// them all for the tests that walk those tables.
const (
	CodeServer                           Code = "ServerException"
	CodeInvalidParameter                 Code = "InvalidParameterException"
	CodeValidation                       Code = "ValidationException"
	CodeRepositoryNotFound               Code = "RepositoryNotFoundException"
	CodeRepositoryAlreadyExists          Code = "RepositoryAlreadyExistsException"
	CodeRepositoryNotEmpty               Code = "RepositoryNotEmptyException"
	CodeRepositoryPolicyNotFound         Code = "RepositoryPolicyNotFoundException"
	CodeLifecyclePolicyNotFound          Code = "LifecyclePolicyNotFoundException"
	CodeRegistryPolicyNotFound           Code = "RegistryPolicyNotFoundException"
	CodePreviewNotFound                  Code = "LifecyclePolicyPreviewNotFoundException"
	CodePreviewInProgress                Code = "LifecyclePolicyPreviewInProgressException"
	CodeStorageClassNotSupported         Code = "ImageStorageClassUpdateNotSupportedException"
	CodeScanNotFound                     Code = "ScanNotFoundException"
	CodeUnsupportedImageType             Code = "UnsupportedImageTypeException"
	CodeImageArchived                    Code = "ImageArchivedException"
	CodeExclusionAlreadyExists           Code = "ExclusionAlreadyExistsException"
	CodeExclusionNotFound                Code = "ExclusionNotFoundException"
	CodePullThroughCacheRuleNotFound     Code = "PullThroughCacheRuleNotFoundException"
	CodePullThroughCacheRuleExists       Code = "PullThroughCacheRuleAlreadyExistsException"
	CodeUnsupportedUpstream              Code = "UnsupportedUpstreamRegistryException"
	CodeSecretNotFound                   Code = "SecretNotFoundException"
	CodeUnableToAccessSecret             Code = "UnableToAccessSecretException"
	CodeUnableToDecryptSecret            Code = "UnableToDecryptSecretValueException"
	CodeUpstreamImage                    Code = "UnableToGetUpstreamImageException"
	CodeUpstreamLayer                    Code = "UnableToGetUpstreamLayerException"
	CodeUpstreamReferrers                Code = "UnableToListUpstreamImageReferrersException"
	CodeTemplateNotFound                 Code = "TemplateNotFoundException"
	CodeTemplateAlreadyExists            Code = "TemplateAlreadyExistsException"
	CodeSigningConfigurationNotFound     Code = "SigningConfigurationNotFoundException"
	CodeReplicationBackfillNotFound      Code = "ReplicationBackfillNotFoundException"
	CodeReplicationBackfillInProgress    Code = "ReplicationBackfillInProgressException"
	CodeReplicationBackfillInvalidStatus Code = "ReplicationBackfillInvalidStatusException"
	CodeImageNotFound                    Code = "ImageNotFoundException"
	CodeImageAlreadyExists               Code = "ImageAlreadyExistsException"
	CodeImageTagAlreadyExists            Code = "ImageTagAlreadyExistsException"
	CodeImageDigestDoesNotMatch          Code = "ImageDigestDoesNotMatchException"
	CodeReferencedImagesNotFound         Code = "ReferencedImagesNotFoundException"
	CodeLayersNotFound                   Code = "LayersNotFoundException"
	CodeLayerInaccessible                Code = "LayerInaccessibleException"
	CodeLayerAlreadyExists               Code = "LayerAlreadyExistsException"
	CodeLayerPartTooSmall                Code = "LayerPartTooSmallException"
	CodeInvalidLayer                     Code = "InvalidLayerException"
	CodeInvalidLayerPart                 Code = "InvalidLayerPartException"
	CodeEmptyUpload                      Code = "EmptyUploadException"
	CodeUploadNotFound                   Code = "UploadNotFoundException"
	CodeLimitExceeded                    Code = "LimitExceededException"
	CodeTooManyTags                      Code = "TooManyTagsException"
	CodeInvalidTagParameter              Code = "InvalidTagParameterException"
	CodeUnknownOperation                 Code = "UnknownOperationException"
	CodeAccessDenied                     Code = "AccessDeniedException"
	CodeThrottling                       Code = "ThrottlingException"
	CodeSerialization                    Code = "SerializationException"
	// CodeReferencedByManifestList is the failure code of an image that an
	// index in the repository lists; in batch calls it is a failure entry, on
	// the OCI path an error.
	CodeReferencedByManifestList Code = "ImageReferencedByManifestList"
	// CodeUnrecognizedClient: unknown access key. CodeInvalidSignature: the
	// signature does not verify. CodeExpiredToken: the token's time is over.
	// CodeIncompleteSignature: the request is not signed, or not wholly.
	CodeUnrecognizedClient  Code = "UnrecognizedClientException"
	CodeInvalidSignature    Code = "InvalidSignatureException"
	CodeIncompleteSignature Code = "IncompleteSignatureException"
	CodeExpiredToken        Code = "ExpiredTokenException"
	// CodeUnavailable: the server cannot do this now (disk full, shutting
	// down); trying again later may help.
	CodeUnavailable Code = "ServiceUnavailableException"
)

// Codes lists every code above.
func Codes() []Code {
	return []Code{
		CodeServer, CodeInvalidParameter, CodeValidation, CodeRepositoryNotFound, CodeRepositoryAlreadyExists,
		CodeRepositoryNotEmpty, CodeRepositoryPolicyNotFound, CodeLifecyclePolicyNotFound, CodeRegistryPolicyNotFound,
		CodeImageNotFound, CodeImageAlreadyExists, CodeImageTagAlreadyExists, CodeImageDigestDoesNotMatch,
		CodeReferencedImagesNotFound, CodeLayersNotFound, CodeLayerInaccessible, CodeLayerAlreadyExists,
		CodeLayerPartTooSmall, CodeInvalidLayer, CodeInvalidLayerPart, CodeEmptyUpload, CodeUploadNotFound,
		CodeLimitExceeded, CodeTooManyTags, CodeInvalidTagParameter, CodeUnknownOperation, CodeAccessDenied,
		CodeThrottling, CodeSerialization, CodeReferencedByManifestList, CodeUnrecognizedClient,
		CodeInvalidSignature, CodeIncompleteSignature, CodeExpiredToken, CodeUnavailable,
		CodePreviewNotFound, CodePreviewInProgress, CodeStorageClassNotSupported, CodeScanNotFound, CodeUnsupportedImageType, CodeImageArchived,
		CodeExclusionAlreadyExists, CodeExclusionNotFound, CodePullThroughCacheRuleNotFound, CodeTemplateNotFound,
		CodeTemplateAlreadyExists,
		CodeSigningConfigurationNotFound, CodeReplicationBackfillNotFound, CodeReplicationBackfillInProgress, CodeReplicationBackfillInvalidStatus,
		CodePullThroughCacheRuleExists, CodeUnsupportedUpstream, CodeSecretNotFound, CodeUnableToAccessSecret,
		CodeUnableToDecryptSecret, CodeUpstreamImage, CodeUpstreamLayer, CodeUpstreamReferrers,
	}
}

// Error is the one error type that crosses packages. Message is for the
// caller and names the object; Err is the cause, which is logged and never
// sent. To a client, every other error is a ServerException with a request id.
type Error struct {
	Code    Code
	Message string
	Err     error
}

// Error is for logs: code, message and cause.
func (e *Error) Error() string {
	s := string(e.Code)
	if e.Message != "" {
		s += ": " + e.Message
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, &Error{Code: c}) match by code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && (t.Message == "" || t.Message == e.Message)
}

// Errorf builds an Error. A %w verb keeps the cause out of the message's
// reach only when the caller does so; pass causes in Err instead.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// CodeOf returns the code of the first Error in err's chain, or
// CodeServer for any other error. It returns "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeServer
}

// InvalidParameter is ECR's InvalidParameterException for the member at path.
func InvalidParameter(path, constraint string, args ...any) *Error {
	return Errorf(CodeInvalidParameter, "Invalid parameter at '%s' failed to satisfy constraint: '%s'",
		path, fmt.Sprintf(constraint, args...))
}

// RepositoryNotFound is ECR's answer for a repository that does not exist.
func RepositoryNotFound(r RegistryID, name RepositoryName) *Error {
	return Errorf(CodeRepositoryNotFound, "The repository with name '%s' does not exist in the registry with id '%s'", name, r.Account)
}

// RepositoryAlreadyExists is ECR's answer to creating a repository twice.
func RepositoryAlreadyExists(r RegistryID, name RepositoryName) *Error {
	return Errorf(CodeRepositoryAlreadyExists, "The repository with name '%s' already exists in the registry with id '%s'", name, r.Account)
}

// RepositoryNotEmpty is ECR's answer to deleting a repository that holds
// images without force.
func RepositoryNotEmpty(r RegistryID, name RepositoryName) *Error {
	return Errorf(CodeRepositoryNotEmpty, "The repository with name '%s' in registry with id '%s' cannot be deleted because it still contains images", name, r.Account)
}

// ImageNotFound is ECR's answer for an image that does not exist.
func ImageNotFound(r RegistryID, name RepositoryName, id ImageID) *Error {
	return Errorf(CodeImageNotFound, "The image with imageId %s does not exist within the repository with name '%s' in the registry with id '%s'", id, name, r.Account)
}

// ImageTagAlreadyExists is ECR's refusal to push an existing immutable tag.
func ImageTagAlreadyExists(name RepositoryName, tag Tag) *Error {
	return Errorf(CodeImageTagAlreadyExists, "The image tag '%s' already exists in the '%s' repository and cannot be overwritten because the tag is immutable.", tag, name)
}

// DigestList is ECR's way to print digests in error texts.
func DigestList(ds []Digest) string {
	s := make([]string, len(ds))
	for i, d := range ds {
		s[i] = string(d)
	}
	return "[" + strings.Join(s, ", ") + "]"
}
