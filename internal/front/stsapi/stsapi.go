// Package stsapi is the way in for AWS STS: who am I, and temporary
// credentials. It parses and prints; package iam decides. Actions of STS that
// are about identities this server does not have (federated users, SAML, root
// sessions) are answered with the error that AWS has for an action a service
// does not know.
//
// Source: AWS STS API reference, version 2011-06-15, and its "Common Errors".
package stsapi

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/wire/awsquery"
)

const (
	version   = "2011-06-15"
	namespace = "https://sts.amazonaws.com/doc/2011-06-15/"
)

// Config is what a Handler is made of.
type Config struct {
	// Log receives what no client is told. Required.
	Log *slog.Logger
}

// Handler serves the STS API. It is safe for concurrent use.
type Handler struct{ cfg Config }

// New returns a Handler.
func New(cfg Config) *Handler { return &Handler{cfg: cfg} }

// A Request is one call.
type Request struct {
	// IAM is that of the partition, Region that of the endpoint.
	IAM    *iam.Service
	Region ecr.Region
	// Principal signed it; for AssumeRoleWithWebIdentity, which is not signed,
	// only its Request is filled.
	Principal access.Principal
	Form      url.Values // awsquery.Form
	ID        string
}

// Unsigned is the action that callers without credentials may ask for: they
// show the token of an identity provider instead.
const Unsigned = "AssumeRoleWithWebIdentity"

// operation answers one action: a result to print.
type operation func(ctx context.Context, r *Request, in *params) (any, error)

var operations = map[string]operation{
	"GetCallerIdentity":          callerIdentity,
	"AssumeRole":                 assumeRole,
	Unsigned:                     webIdentity,
	"GetSessionToken":            sessionToken,
	"DecodeAuthorizationMessage": decodeMessage,
}

// Serve answers one authenticated request. It writes one response.
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request, req Request) {
	action, v := req.Form.Get("Action"), req.Form.Get("Version")
	op, ok := operations[action]
	var err error
	switch {
	case action == "":
		err = ecr.Errorf(codeMissingAction, "The request is missing an action or a required parameter.")
	case !ok:
		err = ecr.Errorf(ecr.CodeUnknownOperation, "The action %.100s is not valid for this web service.", action)
	case v == "":
		err = ecr.Errorf(ecr.CodeUnknownOperation, "Could not find operation %s for version NO_VERSION_SPECIFIED", action)
	case v != version:
		err = ecr.Errorf(ecr.CodeUnknownOperation, "Could not find operation %s for version %.100s", action, v)
	}
	var result any
	if err == nil {
		in := &params{form: req.Form}
		result, err = op(r.Context(), &req, in)
	}
	if err != nil {
		h.ServeError(w, r, req.ID, err)
		return
	}
	awsquery.Write(w, req.ID, namespace, action, result)
}

// callerIdentity needs no permission.
func callerIdentity(_ context.Context, r *Request, _ *params) (any, error) {
	return struct {
		Arn     string
		UserID  string `xml:"UserId"`
		Account string
	}{r.Principal.ARN, r.Principal.UniqueID, string(r.Principal.Account)}, nil
}

type credentials struct {
	AccessKeyID     string `xml:"AccessKeyId"`
	SecretAccessKey string
	SessionToken    string
	Expiration      string
}

func credentialsOf(t identity.Temporary) credentials {
	return credentials{t.AccessKeyID, t.SecretAccessKey, t.SessionToken, t.Expires.UTC().Format(time.RFC3339)}
}

type assumedRoleUser struct {
	AssumedRoleID string `xml:"AssumedRoleId"`
	Arn           string
}

// packed is left out where nothing is.
func packed(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}

func assumeRole(ctx context.Context, r *Request, in *params) (any, error) {
	a := iam.AssumeRole{
		RoleARN: in.need("RoleArn"), SessionName: in.need("RoleSessionName"), Duration: in.seconds("DurationSeconds"),
		ExternalID: in.text("ExternalId"), SourceIdentity: in.text("SourceIdentity"), Policy: in.text("Policy"),
		PolicyARNs: in.policyARNs(), Tags: in.tags("Tags"), Transitive: in.texts("TransitiveTagKeys"), Region: r.Region,
		MFA: in.text("SerialNumber") != "" || in.text("TokenCode") != "",
	}
	if in.err != nil {
		return nil, in.err
	}
	out, err := r.IAM.As(r.Principal).AssumeRole(ctx, a)
	return struct {
		Credentials      credentials
		AssumedRoleUser  assumedRoleUser
		PackedPolicySize *int
		SourceIdentity   string `xml:",omitempty"`
	}{credentialsOf(out.Temporary), assumedRoleUser{out.ID, out.ARN}, packed(out.Packed), out.SourceIdentity}, err
}

func webIdentity(ctx context.Context, r *Request, in *params) (any, error) {
	a := iam.AssumeRole{
		RoleARN: in.need("RoleArn"), SessionName: in.need("RoleSessionName"), Duration: in.seconds("DurationSeconds"),
		Policy: in.text("Policy"), PolicyARNs: in.policyARNs(), Region: r.Region,
	}
	token := in.need("WebIdentityToken")
	if in.err == nil && in.text("ProviderId") != "" {
		in.fail(ecr.Errorf(ecr.CodeValidation, "ProviderId is for OAuth 2.0 access tokens, which are not accepted here"))
	}
	if in.err != nil {
		return nil, in.err
	}
	out, err := r.IAM.AssumeRoleWithWebIdentity(ctx, r.Principal.Request, token, a)
	return struct {
		SubjectFromWebIdentityToken string
		Audience                    string
		AssumedRoleUser             assumedRoleUser
		Credentials                 credentials
		Provider                    string
		PackedPolicySize            *int
	}{out.Subject, out.Audience, assumedRoleUser{out.ID, out.ARN}, credentialsOf(out.Temporary), out.Provider, packed(out.Packed)}, err
}

func sessionToken(ctx context.Context, r *Request, in *params) (any, error) {
	d := in.seconds("DurationSeconds")
	if in.err != nil {
		return nil, in.err
	}
	out, err := r.IAM.As(r.Principal).SessionToken(ctx, d, in.text("SerialNumber") != "" || in.text("TokenCode") != "")
	return struct{ Credentials credentials }{credentialsOf(out)}, err
}

func decodeMessage(_ context.Context, r *Request, in *params) (any, error) {
	message := in.need("EncodedMessage")
	if in.err != nil {
		return nil, in.err
	}
	return nil, r.IAM.As(r.Principal).DecodeAuthorizationMessage(message)
}

// params reads the parameters of a request. The first that cannot be read is
// err.
type params struct {
	form url.Values
	err  error
}

// maxMembers bounds lists: more than any list may have.
const maxMembers = 100

func (p *params) text(name string) string { return p.form.Get(name) }

func (p *params) need(name string) string {
	v := p.form.Get(name)
	if v == "" {
		p.fail(ecr.Errorf(ecr.CodeValidation, "1 validation error detected: Value null at '%s' failed to satisfy constraint: Member must not be null", string(name[0]|0x20)+name[1:]))
	}
	return v
}

func (p *params) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

// seconds is a duration; one that was given and is nothing is below zero, and
// so out of every range.
func (p *params) seconds(name string) time.Duration {
	v := p.form.Get(name)
	if v == "" {
		return 0
	}
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil {
		p.fail(ecr.Errorf(ecr.CodeSerialization, "The parameter '%s' is not a number", name))
	}
	if n == 0 {
		n = -1
	}
	return time.Duration(n) * time.Second
}

func (p *params) members(name, field string, each func(prefix string)) {
	for i := 1; p.form.Has(fmt.Sprintf("%s.member.%d%s", name, i, field)); i++ {
		if i > maxMembers {
			p.fail(ecr.Errorf(ecr.CodeValidation, "1 validation error detected: '%s' has more than %d members", name, maxMembers))
			return
		}
		each(fmt.Sprintf("%s.member.%d", name, i))
	}
}

func (p *params) texts(name string) (out []string) {
	p.members(name, "", func(prefix string) { out = append(out, p.form.Get(prefix)) })
	return out
}

func (p *params) policyARNs() (out []string) {
	p.members("PolicyArns", ".arn", func(prefix string) { out = append(out, p.form.Get(prefix+".arn")) })
	return out
}

func (p *params) tags(name string) (out []iam.Tag) {
	p.members(name, ".Key", func(prefix string) {
		out = append(out, iam.Tag{Key: p.form.Get(prefix + ".Key"), Value: p.form.Get(prefix + ".Value")})
	})
	return out
}
