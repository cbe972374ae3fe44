package deploy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"github.com/aws/smithy-go"
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
		api smithy.APIError
		dns *net.DNSError
	)
	switch {
	case errors.As(err, &api):
		e.Code = api.ErrorCode()
		e.Message = fmt.Sprintf("%s: %s: %s", object, e.Code, oneLine(api.ErrorMessage()))
		if hint := hintFor(e.Code, op, resource); hint != "" {
			e.Message += " (" + hint + ")"
		}
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Message = fmt.Sprintf("%s: nothing listens at %s: start the server there, or correct endpoint:", object, addressOf(err))
	case errors.As(err, &dns):
		e.Message = fmt.Sprintf("%s: the host %s is not known: check region: (there may be no such region) and endpoint:, and the network", object, dns.Name)
	case errors.Is(err, context.DeadlineExceeded):
		e.Message = fmt.Sprintf("%s: %s got no answer in time", object, call)
	default:
		e.Message = fmt.Sprintf("%s: %s: %s", object, call, oneLine(root(err).Error()))
	}
	return e
}

// hintFor says what to do about an API error code; "" when the API's own
// words say enough.
func hintFor(code string, op *smithy.OperationError, resource string) string {
	switch code {
	case "AccessDeniedException", "AccessDenied", "NotAuthorized":
		if op != nil {
			return permission(op, resource)
		}
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

// together are actions that AWS asks for in one call.
var together = map[string][]string{"ecr:CreateRepository": {"ecr:TagResource"}}

// permission names the action that a call needs, and the statement that allows
// it.
func permission(op *smithy.OperationError, resource string) string {
	action := strings.ToLower(op.Service()) + ":" + op.Operation()
	list := append([]string{action}, together[action]...)
	allowed := `"` + strings.Join(list, `","`) + `"`
	if len(list) > 1 {
		allowed = "[" + allowed + "]"
	}
	out := fmt.Sprintf(`the caller needs %s: add {"Effect":"Allow","Action":%s,"Resource":"%s"} to its IAM policy`, strings.Join(list, " and "), allowed, resource)
	if action == "sts:AssumeRole" {
		out += ", and the caller to the role's trust policy"
	}
	return out
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
