package remote

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// Error is a call that failed. errors.As also finds an *ecr.Error in it, so that
// ecr.CodeOf and errors.Is work by its Code.
type Error struct {
	Registry   string // its name
	Host       string
	Repository ecr.RepositoryName // "" for a call about the registry
	// Object is the tag or digest that the call was about, "" for none.
	Object string
	Action Action
	// Code says what is wrong: RepositoryNotFound, ImageNotFound,
	// LayersNotFound, AccessDenied, ExpiredToken, UnrecognizedClient (no login, or
	// a wrong one), ImageTagAlreadyExists (it is immutable), Throttling,
	// Unavailable (no answer, or one of a broken server), UnknownOperation (the
	// registry has no such call), ImageDigestDoesNotMatch (content is not what
	// its digest says) and InvalidParameter (the registry refuses the content).
	Code ecr.Code
	// Status and Wire are the answer's: 403 and "DENIED". 0 and "" without one.
	Status int
	Wire   string
	// Message is the registry's, in one line.
	Message string
	// Permissions are the actions of IAM that the caller needs, for a denial by a
	// registry with the ECR API. Resource is the ARN that they are needed on.
	Permissions []access.Action
	Resource    string
	// Err is the cause.
	Err error

	after    time.Duration // Retry-After
	hopeless bool          // trying again does not help
	stored   bool          // of the storage that the registry redirected to
}

// Error is one line: where, what, why, and what to do where that is known.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "registry %s: ", e.Registry)
	if e.Repository != "" {
		fmt.Fprintf(&b, "repository %s: ", e.Repository)
	}
	b.WriteString(string(e.Action))
	if e.Object != "" {
		b.WriteString(" " + e.Object)
	}
	if why := e.why(); why != "" {
		b.WriteString(": " + why)
	}
	if hint := e.hint(); hint != "" {
		b.WriteString(" (" + hint + ")")
	}
	return b.String()
}

func (e *Error) why() string {
	switch {
	case e.Message != "" && e.Wire != "":
		return e.Wire + ": " + e.Message
	case e.Message != "":
		return e.Message
	case e.Wire != "":
		return e.Wire
	case e.Status != 0:
		return fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status))
	case e.Err != nil:
		return oneLine(e.Err.Error())
	}
	return ""
}

// hint says what to do.
func (e *Error) hint() string {
	switch e.Code {
	case ecr.CodeAccessDenied:
		if len(e.Permissions) == 0 {
			return fmt.Sprintf("the login may not %s there: ask the owner of the repository, or log in as another user with `docker login %s`", e.need(), e.Host)
		}
		return e.permission()
	case ecr.CodeUnrecognizedClient:
		if errors.Is(e.Err, errSource) {
			return "" // it says itself what to do
		}
		if errors.Is(e.Err, errNoLogin) {
			return fmt.Sprintf("there is no password for it: run `docker login %s`, or name the registry in registries:", e.Host)
		}
		return fmt.Sprintf("the password is not accepted: log in again with `docker login %s`", e.Host)
	case ecr.CodeExpiredToken:
		return "the credentials have expired: log in again"
	case ecr.CodeThrottling:
		if e.after > 0 {
			return fmt.Sprintf("try again in %s", e.after)
		}
		return "too many requests: try again later"
	}
	return ""
}

// need is what the action needs of a registry that knows pull and push only.
func (e *Error) need() string {
	if scope := actions[e.Action].scope; len(scope) > 1 {
		return "push"
	}
	return "pull"
}

// permission names the actions of IAM that lack, and the statement that allows
// them.
func (e *Error) permission() string {
	var names []string
	for _, p := range e.Permissions {
		names = append(names, string(p))
	}
	needs := "the caller needs " + strings.Join(names, " and ")
	where := "its IAM policy"
	switch {
	case strings.Contains(e.Message, "resource-based policy"):
		where = "the policy of the repository"
	case e.Message == "": // HEAD has no body
		where = "its IAM policy, and of another account also, with a Principal, to the policy of the repository"
	}
	if strings.Contains(e.Message, "explicit deny") {
		return fmt.Sprintf("%s, and a Deny in %s takes it away: change that statement", needs, where)
	}
	action, err := json.Marshal(names)
	if err != nil || len(names) == 1 {
		action = []byte(strconv.Quote(names[0]))
	}
	return fmt.Sprintf(`%s: add {"Effect":"Allow","Action":%s,"Resource":%q} to %s`, needs, action, e.Resource, where)
}

// Unwrap returns the error in the vocabulary of the house, and the cause.
func (e *Error) Unwrap() []error {
	all := []error{&ecr.Error{Code: e.Code, Message: e.Message}}
	if e.Err != nil {
		all = append(all, e.Err)
	}
	return all
}

// temporary reports whether the same call may work later.
func (e *Error) temporary() bool {
	return (e.Code == ecr.CodeThrottling || e.Code == ecr.CodeUnavailable) && !e.hopeless
}

// newError is an error of the call c without more.
func (r *Registry) newError(c call, code ecr.Code, cause error) *Error {
	return &Error{
		Registry: r.name, Host: r.cfg.Host, Repository: c.repository, Object: c.object, Action: c.action, Code: code, Err: cause,
	}
}

var errNoLogin = errors.New("no login")

// transportError is what came in place of an answer.
func (r *Registry) transportError(c call, err error) *Error {
	// The authentication has failed, not the call.
	var token *errcode.ErrorResponse
	switch {
	case errors.As(err, &token):
		e := r.newError(c, codeOfStatus(token.StatusCode), err)
		e.Status, e.Message = token.StatusCode, fmt.Sprintf("getting a token: %d %s", token.StatusCode, http.StatusText(token.StatusCode))
		if len(token.Errors) > 0 {
			e.Message += ": " + clip(token.Errors[0].Message)
		}
		return e
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return r.newError(c, ecr.CodeUnrecognizedClient, errNoLogin)
	case errors.Is(err, errSource):
		e := r.newError(c, ecr.CodeUnrecognizedClient, err)
		e.Message = oneLine(err.Error())
		if own := e.Login(); own != nil {
			e.Message = errSource.Error() + ": " + oneLine(own.Message)
		}
		return e
	}
	e := r.newError(c, ecr.CodeUnavailable, err)
	e.Message, e.hopeless = explain(err)
	return e
}

// explain puts a failed connection into words, and says whether trying again is
// hopeless.
func explain(err error) (words string, hopeless bool) {
	var (
		dns  *net.DNSError
		dial *net.OpError
	)
	text := oneLine(root(err).Error())
	switch {
	case errors.Is(err, errSilent):
		return errSilent.Error(), false
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there", true
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "the server speaks no TLS", true
	case strings.Contains(err.Error(), "certificate"):
		return "the server's certificate is not trusted: " + text, true
	case errors.As(err, &dns):
		return fmt.Sprintf("the host %s is not known", dns.Name), dns.IsNotFound
	case errors.As(err, &dial) && dial.Op == "dial":
		return "the host cannot be reached: " + text, false
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was dropped", false
	}
	return text, false
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

// Bounds of what is read of an error's body, and shown of it.
const (
	maxErrorBody = 64 << 10
	maxMessage   = 1000
)

// answerError reads an answer that was not hoped for.
func (r *Registry) answerError(c call, resp *http.Response) *Error {
	e := r.newError(c, "", nil)
	e.Status = resp.StatusCode
	e.after = retryAfter(resp.Header.Get("Retry-After"), r.cfg.Now())
	// What the registry sends elsewhere to is its storage, which knows neither
	// its callers nor its errors.
	if resp.Request != nil && resp.Request.URL.Host != r.host {
		e.Code, e.stored = ecr.CodeUnavailable, true
		e.Message = fmt.Sprintf("the storage %s answered %d %s", resp.Request.URL.Host, resp.StatusCode, http.StatusText(resp.StatusCode))
		return e
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)) // half of it is better than nothing
	var parsed struct {
		Errors []struct{ Code, Message string }
	}
	if json.Unmarshal(body, &parsed) == nil && len(parsed.Errors) > 0 {
		e.Wire, e.Message = parsed.Errors[0].Code, clip(parsed.Errors[0].Message)
	} else if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
		e.Message = clip(string(body))
	}
	e.Code = r.codeOf(c, e)
	if e.Code == ecr.CodeAccessDenied && r.ecr != (ecr.RegistryID{}) {
		e.Permissions, e.Resource = c.action.Permissions(), "*"
		if c.repository != "" {
			e.Resource = r.ecr.RepositoryARN(c.repository)
		}
	}
	return e
}

// codeOf translates an answer by its status and code. Sources: the
// specification's "Error Codes"; for ECR what users saw.
func (r *Registry) codeOf(c call, e *Error) ecr.Code {
	switch {
	case e.Wire == "NAME_UNKNOWN":
		return ecr.CodeRepositoryNotFound
	case e.Wire == "TAG_INVALID", e.Wire == "MANIFEST_INVALID" && strings.Contains(e.Message, "immutable"):
		return ecr.CodeImageTagAlreadyExists
	case e.Status == http.StatusForbidden && strings.Contains(e.Message, "expired"):
		return ecr.CodeExpiredToken
	case e.Status == http.StatusNotFound && e.Wire == "BLOB_UPLOAD_UNKNOWN" && c.action == UploadBlob:
		return ecr.CodeUploadNotFound
	case e.Status == http.StatusNotFound && c.action == ReadManifest:
		return ecr.CodeImageNotFound
	case e.Status == http.StatusNotFound && (c.action == ReadBlob || c.action == FindBlob):
		return ecr.CodeLayersNotFound
	case e.Status == http.StatusNotFound && c.action == ListReferrers && e.Wire != "MANIFEST_UNKNOWN":
		return ecr.CodeUnknownOperation
	case e.Status == http.StatusNotFound && e.Wire == "BLOB_UPLOAD_UNKNOWN":
		return ecr.CodeLayersNotFound
	case e.Wire == "MANIFEST_BLOB_UNKNOWN":
		return ecr.CodeReferencedImagesNotFound
	}
	return codeOfStatus(e.Status)
}

func codeOfStatus(status int) ecr.Code {
	switch {
	case status == http.StatusUnauthorized:
		return ecr.CodeUnrecognizedClient
	case status == http.StatusForbidden:
		return ecr.CodeAccessDenied
	case status == http.StatusNotFound:
		return ecr.CodeImageNotFound
	case status == http.StatusTooManyRequests:
		return ecr.CodeThrottling
	case status == http.StatusRequestTimeout, status >= 500 && status != http.StatusNotImplemented:
		return ecr.CodeUnavailable
	case status == http.StatusNotImplemented:
		return ecr.CodeUnknownOperation
	}
	return ecr.CodeInvalidParameter
}

// retryAfter reads a Retry-After header: seconds, or a date (RFC 9110, 10.2.3).
func retryAfter(s string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseInt(s, 10, 32); err == nil {
		return max(0, time.Duration(seconds)*time.Second)
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

func clip(s string) string {
	s = oneLine(strings.ToValidUTF8(s, ""))
	if len(s) > maxMessage {
		return strings.ToValidUTF8(s[:maxMessage], "") + "..."
	}
	return s
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
