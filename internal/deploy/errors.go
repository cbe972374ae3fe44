package deploy

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"

	tagging "github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	"github.com/aws/smithy-go"

	kecr "github.com/kontor-registry/kontor/internal/ecr"
)

// Error is a failure of a call in words for the person at the terminal: what
// was attempted, what came back, and what to do about it where that is known.
type Error struct {
	// Code is the API's error code, for example "AccessDeniedException";
	// empty when no answer came.
	Code string
	// Message is one line.
	Message string
	// Err is the SDK's error.
	Err error
}

// Error is the message.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the SDK's error.
func (e *Error) Unwrap() error { return e.Err }

// Explain is explain, for the rooms below this one.
func Explain(err error, object string) error { return explain(err, object) }

// explain turns an error of the SDK into an Error. object names what the call
// was about. It returns nil for nil and cancellations as they are.
func explain(err error, object string) error { return explainOn(err, object, "*") }

// explainOn is explain for a call on the resource of an ARN.
func explainOn(err error, object, resource string) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	var already *Error
	if errors.As(err, &already) {
		return err
	}
	e := &Error{Err: err}
	call := "calling AWS"
	var op *smithy.OperationError
	if errors.As(err, &op) {
		call = op.Service() + " " + op.Operation()
	}
	var (
		api  smithy.APIError
		dns  *net.DNSError
		dial *net.OpError

		silent *SilentError
		kontor *kecr.Error // of Kontor's admin API
	)
	switch {
	case errors.As(err, &silent):
		e.Message = fmt.Sprintf("%s: %s: check that the server there works, the network between (a VPN, a proxy of HTTPS_PROXY) and endpoint:", object, silent)
	case notAWS(err):
		e.Message = fmt.Sprintf("%s: the response to %s is not from the AWS API: correct endpoint:, or check the proxy (HTTPS_PROXY)", object, call)
	case errors.As(err, &api):
		e.Code = api.ErrorCode()
		e.Message = fmt.Sprintf("%s: %s: %s", object, e.Code, oneLine(api.ErrorMessage()))
		if hint := hintFor(e.Code, api.ErrorMessage(), op, resource); hint != "" {
			e.Message += " (" + hint + ")"
		}
	case errors.As(err, &kontor):
		e.Code = string(kontor.Code)
		e.Message = fmt.Sprintf("%s: %s: %s", object, e.Code, oneLine(kontor.Message))
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Message = fmt.Sprintf("%s: nothing listens at %s: start the server there, or correct endpoint:", object, addressOf(err))
	case plainHTTP(err):
		e.Message = fmt.Sprintf("%s: the server speaks no TLS: write http:// in endpoint:, or start it with TLS", object)
	case untrusted(err) != "":
		e.Message = fmt.Sprintf("%s: the server's certificate is not trusted: %s: name a file with its certificate authority in AWS_CA_BUNDLE, or correct endpoint:", object, untrusted(err))
	case errors.As(err, &dns):
		e.Message = fmt.Sprintf("%s: the host %s is not known: check region: (there may be no such region) and endpoint:, and the network", object, dns.Name)
	case errors.As(err, &dial) && dial.Op == "dial":
		e.Message = fmt.Sprintf("%s: %s cannot be reached: %s: check the network, a proxy (HTTPS_PROXY) and endpoint:", object, addressOf(err), oneLine(root(err).Error()))
	case errors.Is(err, context.DeadlineExceeded):
		e.Message = fmt.Sprintf("%s: no response to %s in time", object, call)
	default:
		e.Message = fmt.Sprintf("%s: %s: %s", object, call, oneLine(root(err).Error()))
	}
	return e
}

// hintFor says what to do about an API error code; "" when the API's own
// words say enough.
func hintFor(code, message string, op *smithy.OperationError, resource string) string {
	switch code {
	case "AccessDeniedException", "AccessDenied", "NotAuthorized": // as denied has them
		if op != nil {
			return permission(op, resource, message)
		}
	case "KmsException":
		return "the caller needs kms:DescribeKey, kms:CreateGrant and kms:RetireGrant on the key of encryption:, in its IAM policy or the key's policy"
	case "LimitExceededException":
		return "a quota of the account is used up: ask for more under Service Quotas, Amazon ECR"
	case "RepositoryNotEmptyException":
		return "it got images since the plan was made: plan again"
	case "UnauthorizedException", "InvalidGrantException":
		return "the SSO session has ended: run `aws sso login`"
	case "ExpiredTokenException", "ExpiredToken", "RequestExpired":
		return "the credentials have expired: log in again, with `aws sso login` if they are of SSO"
	case "UnrecognizedClientException", "InvalidClientTokenId":
		return "the access key is not known there: check the profile, and AWS_ACCESS_KEY_ID"
	case "InvalidSignatureException", "SignatureDoesNotMatch":
		return "the secret key does not belong to the access key, or this machine's clock is wrong"
	case "ThrottlingException", "Throttling", "TooManyRequestsException":
		return "the account's request rate is used up: try again later, with a smaller --parallelism"
	}
	return ""
}

// denied reports whether err says that the caller may not do something.
func denied(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && slices.Contains([]string{"AccessDeniedException", "AccessDenied", "NotAuthorized"}, api.ErrorCode())
}

// hidden reports whether err says that a Deny keeps something from the caller,
// who is otherwise allowed to see the like of it.
func hidden(err error) bool {
	var api smithy.APIError
	if !denied(err) || !errors.As(err, &api) {
		return false
	}
	_, explicit := policyOf(api.ErrorMessage())
	return explicit
}

// CodeOf is the code of the API's answer that err says something about; "" when no
// answer came.
func CodeOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// Lasts reports whether a call that was answered with code is answered so each
// time, until something else is changed: a permission, a quota, the file.
func Lasts(code string) bool {
	switch code {
	case "AccessDeniedException", "AccessDenied", "NotAuthorized", "KmsException", "OptInRequired",
		"LimitExceededException", "LimitExceeded", "TooManyTagsException",
		"InvalidParameterException", "InvalidTagParameterException", "ValidationException", "ValidationError", "InvalidInput",
		"NoSuchEntity", "UnmodifiableEntity", "PolicyNotAttachable":
		return true
	}
	return false
}

// together are actions that AWS asks for in one call.
var together = map[string][]string{"ecr:CreateRepository": {"ecr:TagResource"}}

// permission names the action that a call needs, and the statement that allows
// it: where message says that another policy than the caller's stands in the
// way, that one.
func permission(op *smithy.OperationError, resource, message string) string {
	service := strings.ToLower(op.Service())
	if op.Service() == tagging.ServiceID {
		service = "tag"
	}
	action := service + ":" + op.Operation()
	list := append([]string{action}, together[action]...)
	needs := "the caller needs " + strings.Join(list, " and ")
	where, denied := policyOf(message)
	if denied {
		return fmt.Sprintf("%s, but a Deny in %s overrides every Allow: change that Deny", needs, where)
	}
	allowed := `"` + strings.Join(list, `","`) + `"`
	if len(list) > 1 {
		allowed = "[" + allowed + "]"
	}
	out := fmt.Sprintf(`%s: add {"Effect":"Allow","Action":%s,"Resource":"%s"} to %s`, needs, allowed, resource, where)
	if action == "sts:AssumeRole" && where == identityPolicy {
		out += ", and the caller to the role's trust policy"
	}
	return out
}

const identityPolicy = "its IAM policy"

// policyOf finds in the message of a denial which policy it is about, and
// whether that has a Deny. There is no other field that tells. Source: IAM user
// guide, "Troubleshoot access denied error messages".
func policyOf(message string) (where string, denied bool) {
	denied = strings.Contains(message, "explicit deny")
	for _, p := range []struct{ words, where string }{
		{"service control policy", "the service control policy of its organization"},
		{"resource control policy", "the resource control policy of the organization"},
		{"permissions boundary", "its permissions boundary"},
		{"session policy", "the policy of its session"},
		{"VPC endpoint policy", "the policy of the VPC endpoint"},
		{"resource-based policy", "the policy of the resource"},
	} {
		if strings.Contains(message, p.words) {
			return p.where, denied
		}
	}
	return identityPolicy, denied
}

// notAWS reports whether what came back is nothing that the AWS API answers: a
// page of a web server or of a proxy.
func notAWS(err error) bool {
	var (
		api    smithy.APIError
		other  *smithy.DeserializationError
		inXML  *xml.SyntaxError
		inJSON *json.SyntaxError
	)
	if errors.As(err, &api) {
		return api.ErrorCode() == "UnknownError" // the SDK's, for an answer without a code
	}
	return errors.As(err, &other) || errors.As(err, &inXML) || errors.As(err, &inJSON)
}

// plainHTTP reports whether a server was spoken to with TLS and answered
// without. net/http tells only by its text, and its value belongs to higher
// levels.
func plainHTTP(err error) bool {
	return err != nil && strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}

// untrusted is why a server's certificate is not accepted; "" when that is not
// what is wrong.
func untrusted(err error) string {
	var c *tls.CertificateVerificationError
	if !errors.As(err, &c) {
		return ""
	}
	return oneLine(c.Err.Error())
}

// addressOf is the address that a failed connection was made to.
func addressOf(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Addr != nil {
		return op.Addr.String()
	}
	return "the endpoint"
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
