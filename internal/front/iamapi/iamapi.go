// Package iamapi is the way in for AWS IAM: users, roles, access keys,
// policies, identity providers and the policy simulator, in the Query
// protocol. It parses and prints; package iam decides.
//
// Each operation is one entry of a table. Actions that are not in it are
// answered as AWS answers actions that a service does not know.
//
// Source: AWS IAM API reference, version 2010-05-08, and its "Common Errors".
package iamapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/authn"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/wire/awsquery"
)

const (
	version   = "2010-05-08"
	namespace = "https://iam.amazonaws.com/doc/2010-05-08/"
)

// Config is what a Handler is made of.
type Config struct {
	// Log receives what no client is told. Required.
	Log *slog.Logger
}

// Handler serves the IAM API. It is safe for concurrent use.
type Handler struct{ cfg Config }

// New returns a Handler.
func New(cfg Config) *Handler { return &Handler{cfg: cfg} }

// operation answers one action: a result to print, nil for none.
type operation func(ctx context.Context, c *iam.Caller, in *params) (any, error)

// operations is what this service can do.
var operations = merge(userOperations, roleOperations, policyOperations, grantOperations(iam.OfUser), grantOperations(iam.OfRole), otherOperations)

func merge(groups ...map[string]operation) map[string]operation {
	all := map[string]operation{}
	for _, group := range groups {
		maps.Copy(all, group)
	}
	return all
}

// Operations lists the actions by name.
func Operations() []string { return slices.Sorted(maps.Keys(operations)) }

// Serve answers one authenticated request: s is IAM of the partition it came in
// for, form its parameters (awsquery.Form), p who signed it. It writes one
// response.
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request, s *iam.Service, p access.Principal, form url.Values, requestID string) {
	action := form.Get("Action")
	op, ok := operations[action]
	v := form.Get("Version")
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
		in := &params{form: form}
		result, err = op(r.Context(), s.As(p), in)
		if in.err != nil { // what could not be read comes before what was made of it
			err = in.err
		}
	}
	if err != nil {
		h.ServeError(w, r, requestID, err)
		return
	}
	if result == nil {
		awsquery.WriteEmpty(w, requestID, namespace, action)
		return
	}
	awsquery.Write(w, requestID, namespace, action, result)
}

const (
	codeMissingAction       ecr.Code = "MissingAction"
	codePolicyNotAttachable ecr.Code = "PolicyNotAttachable"
)

// outcome is the wire form of an error code.
type outcome struct {
	status int
	code   string
}

var internalFailure = outcome{http.StatusInternalServerError, "ServiceFailure"}

// outcomes is the table from codes to their wire form; every code that is not
// in it is the server's fault.
var outcomes = map[ecr.Code]outcome{
	ecr.CodeUnavailable:         {http.StatusServiceUnavailable, "ServiceUnavailable"},
	ecr.CodeInvalidParameter:    {http.StatusBadRequest, "InvalidInput"},
	ecr.CodeValidation:          {http.StatusBadRequest, "ValidationError"},
	ecr.CodeSerialization:       {http.StatusBadRequest, "MalformedQueryString"},
	ecr.CodeUnknownOperation:    {http.StatusBadRequest, "InvalidAction"},
	ecr.CodeThrottling:          {http.StatusBadRequest, "Throttling"},
	ecr.CodeLimitExceeded:       {http.StatusConflict, "LimitExceeded"},
	ecr.CodeAccessDenied:        {http.StatusForbidden, "AccessDenied"},
	ecr.CodeUnrecognizedClient:  {http.StatusForbidden, "InvalidClientTokenId"},
	ecr.CodeInvalidSignature:    {http.StatusForbidden, "SignatureDoesNotMatch"},
	ecr.CodeIncompleteSignature: {http.StatusForbidden, "IncompleteSignature"},
	ecr.CodeExpiredToken:        {http.StatusForbidden, "ExpiredToken"},

	codeMissingAction:                   {http.StatusBadRequest, "MissingAction"},
	codePolicyNotAttachable:             {http.StatusBadRequest, "PolicyNotAttachable"},
	iam.CodeNoSuchEntity:                {http.StatusNotFound, "NoSuchEntity"},
	iam.CodeEntityAlreadyExists:         {http.StatusConflict, "EntityAlreadyExists"},
	iam.CodeDeleteConflict:              {http.StatusConflict, "DeleteConflict"},
	iam.CodeLimitExceeded:               {http.StatusConflict, "LimitExceeded"},
	iam.CodeMalformedPolicyDocument:     {http.StatusBadRequest, "MalformedPolicyDocument"},
	iam.CodeInvalidInput:                {http.StatusBadRequest, "InvalidInput"},
	iam.CodeUnmodifiableEntity:          {http.StatusBadRequest, "UnmodifiableEntity"},
	iam.CodeInvalidAuthorizationMessage: internalFailure, // of STS, as are those below
	identity.CodePackedPolicyTooLarge:   internalFailure,
	authn.CodeInvalidIdentityToken:      internalFailure,
	authn.CodeExpiredIdentityToken:      internalFailure,
	authn.CodeIDPRejectedClaim:          internalFailure,
	authn.CodeIDPCommunicationError:     internalFailure,
}

// ServeError answers a request that failed, also before Serve could be called.
// Of an error that is not an *ecr.Error the client learns the request id only.
func (h *Handler) ServeError(w http.ResponseWriter, r *http.Request, requestID string, err error) {
	o, message := outcomes[ecr.CodeOf(err)], ""
	var known *ecr.Error
	if errors.As(err, &known) {
		message = known.Message
	}
	if o.code == "" {
		o = internalFailure
	}
	if o == internalFailure {
		message = fmt.Sprintf("The server could not process this request. Its operator finds the reason in the log under request id %s.", requestID)
	}
	fault := awsquery.Sender
	if o.status >= http.StatusInternalServerError {
		fault = awsquery.Receiver
	}
	if known == nil || known.Err != nil || o == internalFailure {
		level := slog.LevelInfo
		switch {
		case r.Context().Err() != nil: // the client has gone
			level = slog.LevelDebug
		case fault == awsquery.Receiver:
			level = slog.LevelError
		}
		h.cfg.Log.Log(r.Context(), level, "iam api error", "request_id", requestID, "error", err)
	}
	awsquery.WriteError(w, requestID, namespace, awsquery.Error{Status: o.status, Fault: fault, Code: o.code, Message: message})
}
