package authn

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// basicUser is the user name that goes with a token (ECR user guide, "Using
// an authorization token").
const basicUser = "AWS"

// Machines verifies what machines send in the place of a docker token.
type Machines interface {
	// VerifyMachineToken returns whom a machine token belongs to that was sent with
	// the name user, "" for none.
	VerifyMachineToken(ctx context.Context, user, password string) (access.Principal, error)
	// VerifyWebIdentity returns a session of role for the holder of a token of an
	// identity provider. role is an ARN, or the name of a role.
	VerifyWebIdentity(ctx context.Context, role, token string) (access.Principal, error)
}

// VerifyBasic returns whom r's docker token was issued to in region, as tokens
// says. Accepted are Authorization headers
//
//	Basic base64("AWS:" + password)     docker, and ECR's authorizationToken as it is
//	Bearer password                     also with an authorizationToken
//
// and, unless machines is nil, also
//
//	Basic base64(user + ":" + token)    a machine token; any user name that machines takes
//	Bearer token                        the same
//	Basic base64(role + ":" + JWT)      a token of an identity provider
//
// The ARN of a role has colons, which no user name may have (RFC 7617, 2). Clients
// send them as they are, so a user name that begins with "arn:" ends at the last colon.
//
// Errors: errors.Is(err, ErrNoCredentials) when there is no Authorization
// header, so that the caller challenges; UnrecognizedClient for credentials
// that are malformed, wrong or revoked; ExpiredToken; AccessDenied for a
// token of another region; those of machines.
func VerifyBasic(r *http.Request, tokens Tokens, machines Machines, region ecr.Region) (access.Principal, error) {
	headers := r.Header.Values("Authorization")
	if len(headers) == 0 {
		return access.Principal{}, ErrNoCredentials
	}
	user, password, ok := parseBasic(headers)
	switch {
	case !ok:
	case machines != nil && isMachineToken(password):
		if user == basicUser {
			user = "" // of tools that always send it
		}
		return machines.VerifyMachineToken(r.Context(), user, password)
	case machines != nil && isWebToken(password) && user != "" && user != basicUser:
		return machines.VerifyWebIdentity(r.Context(), user, password)
	case user == basicUser || user == "":
		return tokens.VerifyToken(r.Context(), password, region)
	}
	return access.Principal{}, ecr.Errorf(ecr.CodeUnrecognizedClient, "The security token included in the request is invalid.")
}

// isMachineToken is the form of package identity's machine tokens.
func isMachineToken(password string) bool { return strings.HasPrefix(password, "kontor_") }

// isWebToken reports whether a password has the form of a JSON Web Token: three parts,
// of which the first is an object. Docker tokens of ours have no dots.
func isWebToken(password string) bool {
	return strings.HasPrefix(password, "eyJ") && strings.Count(password, ".") == 2
}

// parseBasic takes user name and password from the Authorization headers of a
// request. There is no user name with Bearer.
func parseBasic(headers []string) (user, password string, ok bool) {
	if len(headers) != 1 {
		return "", "", false
	}
	scheme, value, _ := strings.Cut(headers[0], " ")
	value = strings.Trim(value, " ")
	basic, bearer := strings.EqualFold(scheme, "Basic"), strings.EqualFold(scheme, "Bearer")
	if value == "" || !basic && !bearer {
		return "", "", false
	}
	decoded, err := base64.StdEncoding.DecodeString(value)
	text := string(decoded)
	at := strings.IndexByte(text, ':')
	if strings.HasPrefix(text, "arn:") {
		at = strings.LastIndexByte(text, ':')
	}
	if err == nil && at > 0 && (basic || text[:at] == basicUser) {
		return text[:at], text[at+1:], text[at+1:] != ""
	}
	return "", value, bearer
}
