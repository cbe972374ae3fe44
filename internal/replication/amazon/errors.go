package amazon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/aws/smithy-go"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// codes are the codes of the ECR and STS APIs that mean the same.
var codes = map[string]ecr.Code{
	"AccessDenied": ecr.CodeAccessDenied, "AccessDeniedException": ecr.CodeAccessDenied, "NotAuthorized": ecr.CodeAccessDenied,
	"ExpiredToken": ecr.CodeExpiredToken, "ExpiredTokenException": ecr.CodeExpiredToken, "RequestExpired": ecr.CodeExpiredToken,
	"UnrecognizedClientException": ecr.CodeUnrecognizedClient, "InvalidClientTokenId": ecr.CodeUnrecognizedClient,
	"SignatureDoesNotMatch": ecr.CodeUnrecognizedClient, "InvalidSignatureException": ecr.CodeUnrecognizedClient,
	"Throttling": ecr.CodeThrottling, "ThrottlingException": ecr.CodeThrottling, "TooManyRequestsException": ecr.CodeThrottling,
	"RepositoryAlreadyExistsException": ecr.CodeRepositoryAlreadyExists, "RepositoryNotFoundException": ecr.CodeRepositoryNotFound,
	"LimitExceededException": ecr.CodeLimitExceeded, "InvalidParameterException": ecr.CodeInvalidParameter,
	"InvalidTagParameterException": ecr.CodeInvalidParameter, "TooManyTagsException": ecr.CodeInvalidParameter, "KmsException": ecr.CodeInvalidParameter,
	"ValidationError": ecr.CodeInvalidParameter, "ValidationException": ecr.CodeInvalidParameter,
}

// failed turns an error of the SDK into an *ecr.Error. what was attempted, for which the
// role needs the actions on the resource.
func (r *Registry) failed(ctx context.Context, err error, what, resource string, actions ...string) error {
	hint := ""
	if code := codes[apiCode(err)]; code == ecr.CodeAccessDenied {
		hint = fmt.Sprintf(": the role needs %s: %s", strings.Join(actions, " and "), statement(err, resource, actions...))
	}
	if apiCode(err) == "KmsException" {
		hint = ": the role needs kms:DescribeKey, kms:CreateGrant and kms:RetireGrant on the key of the creation template"
	}
	return explained(ctx, err, what+" in "+r.cfg.Registry.String(), hint)
}

// assuming is failed for AssumeRole, which is asked as the server.
func (r *Registry) assuming(ctx context.Context, err error) error {
	hint := ""
	switch code := codes[apiCode(err)]; {
	case code == ecr.CodeAccessDenied:
		hint = ": the server's identity needs sts:AssumeRole: " + statement(err, r.cfg.RoleARN, "sts:AssumeRole") + ", and name the identity in the role's trust policy"
		if r.cfg.ExternalID != "" {
			hint += ", with the external ID of external_id"
		}
	case code == ecr.CodeUnrecognizedClient:
		hint = ": the access key of the server is not accepted: correct access_key_id and secret_access_key"
	case apiCode(err) == "":
		if _, none := r.base.Retrieve(ctx); none == nil || ctx.Err() != nil {
			break
		}
		return &ecr.Error{Code: ecr.CodeUnrecognizedClient, Err: err, Message: fmt.Sprintf(
			"assuming the role %s: the server has no credentials of AWS: give access_key_id and secret_access_key, set AWS_ACCESS_KEY_ID or another variable of the AWS SDK, or set instance_role to use that of the machine", r.cfg.RoleARN)}
	}
	return explained(ctx, err, "assuming the role "+r.cfg.RoleARN, hint)
}

// apiCode is the code of the answer, "" where none came.
func apiCode(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func explained(ctx context.Context, err error, what, hint string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		code, ok := codes[api.ErrorCode()]
		if !ok {
			code = ecr.CodeUnavailable // tried again
		}
		return &ecr.Error{Code: code, Err: err, Message: fmt.Sprintf("%s: %s: %s%s", what, api.ErrorCode(), oneLine(api.ErrorMessage()), hint)}
	}
	var dns *net.DNSError
	text := oneLine(root(err).Error())
	if errors.As(err, &dns) {
		text = fmt.Sprintf("the host %s is not known", dns.Name)
	}
	return &ecr.Error{Code: ecr.CodeUnavailable, Err: err, Message: fmt.Sprintf("%s: no answer: %s", what, text)}
}

// statement is what to add where.
func statement(err error, resource string, actions ...string) string {
	if strings.Contains(err.Error(), "explicit deny") {
		return "change the Deny that takes it away"
	}
	action, failed := json.Marshal(actions)
	if failed != nil || len(actions) == 1 {
		action = []byte(`"` + actions[0] + `"`)
	}
	return fmt.Sprintf(`add {"Effect":"Allow","Action":%s,"Resource":"%s"} to its policy`, action, resource)
}

// message is that of an *ecr.Error.
func message(err error) string {
	var e *ecr.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return err.Error()
}

// root is the innermost error of a chain.
func root(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
