package authn

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/wire/awsjson"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	timeFormat = "20060102T150405Z"
	dayFormat  = "20060102"
	// maxSkew is how far a request's time may lie from ours.
	maxSkew = 15 * time.Minute
	// maxPresigned is the longest a presigned request may be valid.
	maxPresigned = 7 * 24 * time.Hour
)

// ReadAndVerify returns who signed r for service (such as "ecr") in region, and
// r's body. It reads at most limit bytes (SerializationException for more), and
// none before it knows that an active key claims the request: strangers cannot
// make the server hold large bodies. The body is returned only with a principal.
//
// Errors: IncompleteSignature for a request that is not signed or whose
// signature lacks a part, UnrecognizedClient for an unknown key,
// ExpiredToken for temporary credentials whose time is over, InvalidSignature
// for anything that does not fit, also for a signature that is too old or made
// for another region.
func (v *Verifier) ReadAndVerify(r *http.Request, limit int64, region ecr.Region, service string) (access.Principal, []byte, error) {
	c, err := v.begin(r, region, service)
	if err != nil {
		return access.Principal{}, nil, err
	}
	body, err := awsjson.ReadBody(r, limit)
	if err != nil {
		return access.Principal{}, nil, err
	}
	p, err := c.finish(body)
	if err != nil {
		return access.Principal{}, nil, err
	}
	return p, body, nil
}

// A claim is a request that says which key signed it and passes every check
// that needs no body.
type claim struct {
	r         *http.Request
	s         signature
	principal access.Principal
	secret    string
	used      func(ctx context.Context, keyID, service string, region ecr.Region) // nil for temporary credentials
}

func (v *Verifier) begin(r *http.Request, region ecr.Region, service string) (*claim, error) {
	s, err := parseSignature(r)
	if err != nil {
		return nil, err
	}
	if err := s.checkScope(region, service); err != nil {
		return nil, err
	}
	if err := s.checkTime(v.cfg.Now().UTC()); err != nil {
		return nil, err
	}
	if err := checkSignedHeaders(r, s); err != nil {
		return nil, err
	}
	token, err := sessionToken(r, s)
	if err != nil {
		return nil, err
	}
	var principal access.Principal
	var secret string
	if token != "" {
		principal, secret, err = v.cfg.Keys.LookupSession(r.Context(), s.keyID, token)
	} else {
		principal, secret, err = v.cfg.Keys.Lookup(r.Context(), s.keyID)
	}
	if err != nil {
		return nil, err
	}
	c := &claim{r: r, s: s, principal: principal, secret: secret}
	if token == "" {
		c.used = v.cfg.Keys.Used
	}
	return c, nil
}

// sessionToken is the one token of r, "" for none: in the header, or for a
// presigned request in the query.
func sessionToken(r *http.Request, s signature) (string, error) {
	headers := r.Header.Values("X-Amz-Security-Token")
	switch {
	case len(headers) == 0:
		return s.securityToken, nil
	case len(headers) > 1 || s.presigned || headers[0] == "":
		return "", ecr.Errorf(ecr.CodeUnrecognizedClient, "The security token included in the request is invalid.")
	}
	return headers[0], nil
}

func (c *claim) finish(body []byte) (access.Principal, error) {
	hash, err := payloadHash(c.r, body)
	if err != nil {
		return access.Principal{}, err
	}
	canonical, err := canonicalRequest(c.r, c.s, hash)
	if err != nil {
		return access.Principal{}, err
	}
	want := sign(c.secret, c.s, canonical)
	if subtle.ConstantTimeCompare([]byte(want), []byte(c.s.signature)) != 1 {
		return access.Principal{}, mismatch()
	}
	if c.used != nil {
		c.used(c.r.Context(), c.s.keyID, c.s.service, ecr.Region(c.s.region))
	}
	return c.principal, nil
}

func mismatch() error {
	return ecr.Errorf(ecr.CodeInvalidSignature, "The request signature we calculated does not match the signature you provided. "+
		"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
}

// sign is the signature of a canonical request, in lower-case hex.
func sign(secret string, s signature, canonical string) string {
	digest := sha256.Sum256([]byte(canonical))
	toSign := algorithm + "\n" + s.date + "\n" + s.scope() + "\n" + hex.EncodeToString(digest[:])
	key := []byte("AWS4" + secret)
	for _, part := range []string{s.day, s.region, s.service, terminator} {
		key = mac(key, part)
	}
	return hex.EncodeToString(mac(key, toSign))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// payloadHash is the hex SHA-256 of body. Where the client states a hash it
// must be this one: ECR, STS and IAM always sign the body, so
// UNSIGNED-PAYLOAD and the STREAMING-... forms are refused.
func payloadHash(r *http.Request, body []byte) (string, error) {
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	for _, stated := range r.Header.Values("X-Amz-Content-Sha256") {
		switch {
		case stated == hash:
		case stated == "UNSIGNED-PAYLOAD", strings.HasPrefix(stated, "STREAMING-"):
			return "", ecr.Errorf(ecr.CodeInvalidSignature, "The request's body must be signed: 'x-amz-content-sha256' cannot be '%s' here.", stated)
		default:
			return "", ecr.Errorf(ecr.CodeInvalidSignature, "The provided 'x-amz-content-sha256' header does not match what was computed.")
		}
	}
	return hash, nil
}

// checkScope refuses signatures made for another place. Both regions are
// named, since a wrong AWS_REGION is the usual reason.
func (s signature) checkScope(region ecr.Region, service string) error {
	switch {
	case s.terminator != terminator:
		return ecr.Errorf(ecr.CodeInvalidSignature, "Credential should be scoped with a valid terminator: '%s', not '%s'.", terminator, s.terminator)
	case s.region != string(region):
		return ecr.Errorf(ecr.CodeInvalidSignature, "Credential should be scoped to a valid region, not '%s'; this endpoint serves '%s'.", s.region, region)
	case s.service != service:
		return ecr.Errorf(ecr.CodeInvalidSignature, "Credential should be scoped to correct service: '%s', not '%s'.", service, s.service)
	case s.day != s.at.Format(dayFormat):
		return ecr.Errorf(ecr.CodeInvalidSignature,
			"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.",
			s.day, s.at.Format(dayFormat), s.date)
	}
	return nil
}

// checkTime refuses signatures that are too old or from the future.
func (s signature) checkTime(now time.Time) error {
	valid := maxSkew
	if s.presigned {
		valid = s.expires
	}
	if oldest := now.Add(-valid); s.at.Before(oldest) {
		return ecr.Errorf(ecr.CodeInvalidSignature, "Signature expired: %s is now earlier than %s (%s - %s)",
			s.date, oldest.Format(timeFormat), now.Format(timeFormat), inWords(valid))
	}
	if latest := now.Add(maxSkew); s.at.After(latest) {
		return ecr.Errorf(ecr.CodeInvalidSignature, "Signature not yet current: %s is still later than %s (%s + %s)",
			s.date, latest.Format(timeFormat), now.Format(timeFormat), inWords(maxSkew))
	}
	return nil
}

// inWords is "15 min." or "90 sec.".
func inWords(d time.Duration) string {
	if d%time.Minute == 0 {
		return fmt.Sprintf("%d min.", d/time.Minute)
	}
	return fmt.Sprintf("%d sec.", d/time.Second)
}

// alwaysSigned are the headers that change what a request means: where they
// are present, the signature must cover them.
var alwaysSigned = []string{"X-Amz-Date", "X-Amz-Target", "X-Amz-Content-Sha256", "X-Amz-Security-Token"}

func checkSignedHeaders(r *http.Request, s signature) error {
	if !slices.Contains(s.signedHeaders, "host") {
		return notSigned("host")
	}
	for _, name := range alwaysSigned {
		if lower := strings.ToLower(name); len(r.Header[name]) > 0 && !slices.Contains(s.signedHeaders, lower) {
			return notSigned(lower)
		}
	}
	return nil
}

func notSigned(name string) error {
	return ecr.Errorf(ecr.CodeInvalidSignature, "'%s' must be a 'SignedHeader' in the AWS Authorization.", name)
}
