package authn

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// A signature is what a request says about how it was signed. Nothing of it
// has been verified.
type signature struct {
	keyID                            string
	day, region, service, terminator string // the credential scope
	signedHeaders                    []string
	signature                        string // 64 lower-case hex digits
	date                             string // as sent, timeFormat
	at                               time.Time
	presigned                        bool
	expires                          time.Duration // presigned requests only
	securityToken                    string        // in the query only
}

// scope is the credential scope as signed.
func (s signature) scope() string {
	return s.day + "/" + s.region + "/" + s.service + "/" + s.terminator
}

// ErrNoCredentials matches, with errors.Is, the error for a request that
// carries no credentials at all.
var ErrNoCredentials = &ecr.Error{Code: ecr.CodeIncompleteSignature, Message: "Missing Authentication Token"}

func incomplete(format string, args ...any) error {
	return ecr.Errorf(ecr.CodeIncompleteSignature, format, args...)
}

// parseSignature reads the signature from the Authorization header or from
// the query, never from both.
func parseSignature(r *http.Request) (signature, error) {
	query, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return signature{}, err
	}
	headers := r.Header.Values("Authorization")
	presigned := slices.ContainsFunc(query, func(p pair) bool { return p.key == "X-Amz-Algorithm" || p.key == "X-Amz-Signature" })
	switch {
	case len(headers) == 0 && !presigned:
		return signature{}, ErrNoCredentials
	case len(headers) > 0 && presigned, len(headers) > 1:
		return signature{}, incomplete("The request carries more than one signature; send one.")
	case presigned:
		return parsePresigned(query)
	}
	dates := r.Header.Values("X-Amz-Date")
	if len(dates) != 1 {
		return signature{}, incomplete("Authorization header requires existence of one 'X-Amz-Date' header.")
	}
	return parseAuthorization(headers[0], dates[0])
}

// Claimed returns the service and the region that r says it was signed for;
// "" where it is not signed. Nothing of it has been verified.
func Claimed(r *http.Request) (service string, region ecr.Region) {
	s, err := parseSignature(r)
	if err != nil {
		return "", ""
	}
	return s.service, ecr.Region(s.region)
}

// ClaimedKey returns the access key that r says it was signed with, "" where
// it is not signed: the one that ReadAndVerify looks up, and no other that a
// header may name. Nothing of it has been verified.
func ClaimedKey(r *http.Request) string {
	s, err := parseSignature(r)
	if err != nil {
		return ""
	}
	return s.keyID
}

// parseAuthorization reads a header such as
//
//	AWS4-HMAC-SHA256 Credential=AKIA.../20150830/us-east-1/ecr/aws4_request, SignedHeaders=host;x-amz-date, Signature=5d67...
func parseAuthorization(header, date string) (signature, error) {
	scheme, rest, _ := strings.Cut(header, " ")
	if scheme != algorithm {
		return signature{}, incomplete("Unsupported AWS 'algorithm': '%s'. Requests are signed with %s.", short(scheme), algorithm)
	}
	parts := map[string]string{}
	for _, p := range strings.Split(rest, ",") {
		name, value, ok := strings.Cut(strings.Trim(p, " \t"), "=")
		if _, twice := parts[name]; !ok || twice {
			return signature{}, incomplete("'%s' not a valid key=value pair (missing equal-sign or given twice) in Authorization header.", short(name))
		}
		parts[name] = value
	}
	for _, name := range []string{"Credential", "Signature", "SignedHeaders"} {
		if parts[name] == "" {
			return signature{}, incomplete("Authorization header requires '%s' parameter.", name)
		}
	}
	return newSignature(parts["Credential"], parts["SignedHeaders"], parts["Signature"], date)
}

// parsePresigned reads the X-Amz-... parameters of a query.
func parsePresigned(query []pair) (signature, error) {
	parts := map[string]string{}
	for _, p := range query {
		switch p.key {
		case "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Security-Token":
			if _, twice := parts[p.key]; twice {
				return signature{}, incomplete("The query parameter '%s' is given twice.", p.key)
			}
			parts[p.key] = p.value
		}
	}
	if a := parts["X-Amz-Algorithm"]; a != algorithm {
		return signature{}, incomplete("Unsupported AWS 'algorithm': '%s'. Requests are signed with %s.", short(a), algorithm)
	}
	for _, name := range []string{"X-Amz-Credential", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Signature"} {
		if parts[name] == "" {
			return signature{}, incomplete("AWS query-string parameters must include '%s'.", name)
		}
	}
	s, err := newSignature(parts["X-Amz-Credential"], parts["X-Amz-SignedHeaders"], parts["X-Amz-Signature"], parts["X-Amz-Date"])
	if err != nil {
		return signature{}, err
	}
	s.presigned, s.expires, s.securityToken = true, maxSkew, parts["X-Amz-Security-Token"]
	if text, ok := parts["X-Amz-Expires"]; ok {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil || n < 1 || n > uint64(maxPresigned/time.Second) {
			return signature{}, incomplete("X-Amz-Expires must be a number of seconds from 1 to %d, not '%s'.", maxPresigned/time.Second, short(text))
		}
		s.expires = time.Duration(n) * time.Second
	}
	return s, nil
}

func newSignature(credential, signedHeaders, hexSignature, date string) (signature, error) {
	at, err := time.Parse(timeFormat, date)
	if err != nil || at.Format(timeFormat) != date {
		return signature{}, incomplete("Date must be in ISO-8601 'basic format'. Got '%s'.", short(date))
	}
	scope := strings.Split(credential, "/")
	if len(scope) != 5 || slices.Contains(scope, "") {
		return signature{}, incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '%s'.", short(credential))
	}
	names := strings.Split(signedHeaders, ";")
	for i, name := range names {
		if name == "" || strings.ToLower(name) != name || i > 0 && names[i-1] >= name {
			return signature{}, incomplete("SignedHeaders must be lower-case names in ascending order, each once, got '%s'.", short(signedHeaders))
		}
	}
	return signature{
		keyID: scope[0], day: scope[1], region: scope[2], service: scope[3], terminator: scope[4],
		signedHeaders: names, signature: hexSignature, date: date, at: at,
	}, nil
}

// short keeps what a client sent from filling an error text.
func short(s string) string {
	const most = 200
	if len(s) > most {
		return fmt.Sprintf("%s... (%d bytes)", strings.ToValidUTF8(s[:most], ""), len(s))
	}
	return strings.ToValidUTF8(s, "")
}
