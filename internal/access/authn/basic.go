package authn

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// basicUser is the user name that goes with a token (ECR user guide, "Using
// an authorization token").
const basicUser = "AWS"

// VerifyBasic returns whom r's docker token was issued to in region, as tokens
// says. Accepted are Authorization headers
//
//	Basic base64("AWS:" + password)     docker, and ECR's authorizationToken as it is
//	Bearer password                     also with an authorizationToken
//
// Errors: errors.Is(err, ErrNoCredentials) when there is no Authorization
// header, so that the caller challenges; UnrecognizedClient for credentials
// that are malformed, wrong or revoked; ExpiredToken; AccessDenied for a
// token of another region.
func VerifyBasic(r *http.Request, tokens Tokens, region ecr.Region) (access.Principal, error) {
	headers := r.Header.Values("Authorization")
	if len(headers) == 0 {
		return access.Principal{}, ErrNoCredentials
	}
	password, ok := parseBasic(headers)
	if !ok {
		return access.Principal{}, ecr.Errorf(ecr.CodeUnrecognizedClient, "The security token included in the request is invalid.")
	}
	return tokens.VerifyToken(r.Context(), password, region)
}

// parseBasic takes the password from the Authorization headers of a request.
func parseBasic(headers []string) (password string, ok bool) {
	if len(headers) != 1 {
		return "", false
	}
	scheme, value, _ := strings.Cut(headers[0], " ")
	value = strings.Trim(value, " ")
	basic, bearer := strings.EqualFold(scheme, "Basic"), strings.EqualFold(scheme, "Bearer")
	if value == "" || !basic && !bearer {
		return "", false
	}
	decoded, err := base64.StdEncoding.DecodeString(value)
	if user, password, cut := strings.Cut(string(decoded), ":"); err == nil && cut && user == basicUser {
		return password, password != ""
	}
	return value, bearer
}
