// Package stsapi is the way in for AWS STS: GetCallerIdentity, which tools
// ask first of all to learn who they are. Every other action of STS, and
// every action of IAM, whose requests come in the same form, is answered
// with the error that AWS has for an action a service does not know.
//
// Source: AWS STS API reference, version 2011-06-15, and its "Common Errors".
package stsapi

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/wire/awsquery"
)

// version and namespace of STS, and namespace of IAM.
const (
	version      = "2011-06-15"
	namespace    = "https://sts.amazonaws.com/doc/2011-06-15/"
	iamVersion   = "2010-05-08"
	iamNamespace = "https://iam.amazonaws.com/doc/2010-05-08/"
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

// callerIdentity is GetCallerIdentity's result.
type callerIdentity struct {
	Arn     string
	UserID  string `xml:"UserId"`
	Account string
}

// Serve answers one authenticated request: form are its parameters
// (awsquery.Form), p who signed it. It writes one response. GetCallerIdentity
// needs no permission.
func (h *Handler) Serve(w http.ResponseWriter, _ *http.Request, p access.Principal, form url.Values, requestID string) {
	action := form.Get("Action")
	switch {
	case action == "":
		awsquery.WriteError(w, requestID, namespaceOf(form), awsquery.Error{
			Status: http.StatusBadRequest, Fault: awsquery.Sender, Code: "MissingAction",
			Message: "The request is missing an action or a required parameter.",
		})
	case action != "GetCallerIdentity" || form.Get("Version") == iamVersion:
		invalidAction(w, form, requestID, fmt.Sprintf("The action %.100s is not valid for this web service.", action))
	case form.Get("Version") != version:
		v := form.Get("Version")
		if v == "" {
			v = "NO_VERSION_SPECIFIED"
		}
		invalidAction(w, form, requestID, fmt.Sprintf("Could not find operation %s for version %.100s", action, v))
	default:
		awsquery.Write(w, requestID, namespace, action, callerIdentity{Arn: p.ARN, UserID: p.UniqueID, Account: string(p.Account)})
	}
}

func invalidAction(w http.ResponseWriter, form url.Values, requestID, message string) {
	awsquery.WriteError(w, requestID, namespaceOf(form), awsquery.Error{
		Status: http.StatusBadRequest, Fault: awsquery.Sender, Code: "InvalidAction", Message: message,
	})
}

// namespaceOf tells the two services apart by what their clients send.
func namespaceOf(form url.Values) string {
	if form.Get("Version") == iamVersion {
		return iamNamespace
	}
	return namespace
}
