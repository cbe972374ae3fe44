// Package tagapi is the way in for one operation of the AWS Resource Groups
// Tagging API: GetResources, which finds repositories by their resource tags
// without a call for each. It parses and prints; package registry decides. The
// members of the request that are about other services' resources or about tag
// policies are refused.
//
// As on AWS, the caller needs tag:GetResources and no right to the repositories.
//
// Source: Resource Groups Tagging API reference, version 2017-01-26.
package tagapi

import (
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/wire/awsjson"
)

// TargetPrefix begins the X-Amz-Target of the service's operations, Service is
// what their signatures are for.
const (
	TargetPrefix = "ResourceGroupsTaggingAPI_20170126"
	Service      = "tagging"
)

// MaxBodyBytes is more than 50 filters of 20 values need.
const MaxBodyBytes = 1 << 20

// Bounds of the API: filters of a request, and resources of a page.
const (
	maxFilters  = 50
	maxValues   = 20
	defaultPage = 50
	maxPage     = 100
)

// Config is what a Handler is made of. All is required.
type Config struct {
	Registry *registry.Registry
	// Log receives what no client is told.
	Log *slog.Logger
}

// Handler serves the API. It is safe for concurrent use.
type Handler struct{ cfg Config }

// New returns a Handler.
func New(cfg Config) *Handler { return &Handler{cfg: cfg} }

type filter struct {
	Key    string   `json:"Key"`
	Values []string `json:"Values"`
}

type request struct {
	PaginationToken     string   `json:"PaginationToken"`
	TagFilters          []filter `json:"TagFilters"`
	ResourcesPerPage    *int32   `json:"ResourcesPerPage"`
	ResourceTypeFilters []string `json:"ResourceTypeFilters"`

	TagsPerPage               *int32   `json:"TagsPerPage"`
	IncludeComplianceDetails  bool     `json:"IncludeComplianceDetails"`
	ExcludeCompliantResources bool     `json:"ExcludeCompliantResources"`
	ResourceARNList           []string `json:"ResourceARNList"`
}

type tag struct {
	Key   string `json:"Key"`
	Value string `json:"Value"`
}

type mapping struct {
	ResourceARN string `json:"ResourceARN"`
	Tags        []tag  `json:"Tags"`
}

type response struct {
	PaginationToken        string    `json:"PaginationToken"`
	ResourceTagMappingList []mapping `json:"ResourceTagMappingList"`
}

// Serve answers one authenticated request: operation is what stands behind
// TargetPrefix in X-Amz-Target, body the request's whole body, p who signed it, in
// the region of the registry at. It writes one response.
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request, operation string, body []byte, p access.Principal, at ecr.RegistryID, requestID string) {
	if operation != "GetResources" {
		h.Refuse(w, r, ecr.Errorf(ecr.CodeUnknownOperation, "%.100s is not an operation that is served here: GetResources is", operation), requestID)
		return
	}
	var in request
	err := awsjson.Decode(body, &in)
	if err == nil {
		err = in.check()
	}
	var after ecr.RepositoryName
	if err == nil && in.PaginationToken != "" {
		after, err = nameOf(in.PaginationToken)
	}
	out := response{ResourceTagMappingList: []mapping{}}
	if err == nil && in.wantsRepositories() {
		limit := defaultPage
		if in.ResourcesPerPage != nil {
			limit = int(*in.ResourcesPerPage)
		}
		var list []registry.TaggedRepository
		var more bool
		list, more, err = h.cfg.Registry.As(p).TaggedRepositories(r.Context(), ecr.RegistryID{Account: p.Account, Region: at.Region}, in.fits, after, limit)
		for _, x := range list {
			m := mapping{ResourceARN: x.ARN()}
			for k, v := range x.Tags {
				m.Tags = append(m.Tags, tag{k, v})
			}
			slices.SortFunc(m.Tags, func(a, b tag) int { return strings.Compare(a.Key, b.Key) })
			out.ResourceTagMappingList = append(out.ResourceTagMappingList, m)
		}
		if more {
			out.PaginationToken = base64.RawURLEncoding.EncodeToString([]byte(list[len(list)-1].Name))
		}
	}
	if err != nil {
		h.Refuse(w, r, err, requestID)
		return
	}
	awsjson.WriteJSON(w, http.StatusOK, requestID, out)
}

// nameOf is the repository after which a page goes on.
func nameOf(token string) (ecr.RepositoryName, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err == nil {
		var name ecr.RepositoryName
		if name, err = ecr.ParseRepositoryName(string(b)); err == nil {
			return name, nil
		}
	}
	return "", ecr.InvalidParameter("PaginationToken", "must be a token that GetResources returned")
}

// check refuses what is out of bounds, and what is not served.
func (in *request) check() error {
	switch {
	case in.TagsPerPage != nil, in.IncludeComplianceDetails, in.ExcludeCompliantResources, len(in.ResourceARNList) > 0:
		return ecr.Errorf(ecr.CodeInvalidParameter, "TagsPerPage, IncludeComplianceDetails, ExcludeCompliantResources and ResourceARNList are not served here")
	case in.ResourcesPerPage != nil && (*in.ResourcesPerPage < 1 || *in.ResourcesPerPage > maxPage):
		return ecr.InvalidParameter("ResourcesPerPage", "Member must have value between 1 and %d", maxPage)
	case len(in.TagFilters) > maxFilters:
		return ecr.InvalidParameter("TagFilters", "Member must have length less than or equal to %d", maxFilters)
	}
	for _, f := range in.TagFilters {
		if f.Key == "" || len(f.Values) > maxValues {
			return ecr.InvalidParameter("TagFilters", "A filter has a Key and at most %d Values", maxValues)
		}
	}
	return nil
}

// wantsRepositories reports whether the resource types of the request include
// those that are here.
func (in *request) wantsRepositories() bool {
	return len(in.ResourceTypeFilters) == 0 || slices.Contains(in.ResourceTypeFilters, "ecr") || slices.Contains(in.ResourceTypeFilters, "ecr:repository")
}

// fits reports whether tags, of which there is one at least, fit every filter.
func (in *request) fits(tags map[string]string) bool {
	for _, f := range in.TagFilters {
		v, ok := tags[f.Key]
		if !ok || len(f.Values) > 0 && !slices.Contains(f.Values, v) {
			return false
		}
	}
	return len(tags) > 0
}

// errorNames are those of codes that the service calls otherwise than ECR does.
var errorNames = map[ecr.Code]string{
	ecr.CodeServer:      internalError,
	ecr.CodeUnavailable: internalError,
	ecr.CodeThrottling:  "ThrottledException",
}

const internalError = "InternalServiceException"

// Refuse answers with err and logs what the client is not told. The server
// calls it for requests that did not come as far as Serve.
func (h *Handler) Refuse(w http.ResponseWriter, r *http.Request, err error, requestID string) {
	status, name, message := http.StatusBadRequest, "", ""
	var known *ecr.Error
	if errors.As(err, &known) && slices.Contains(ecr.Codes(), known.Code) {
		name, message = string(known.Code), known.Message
		if n, ok := errorNames[known.Code]; ok {
			name = n
		}
	}
	if name == "" || known.Code == ecr.CodeServer {
		name = internalError
		message = "The server could not process this request. Its operator finds the reason in the log under request id " + requestID + "."
	}
	if name == internalError {
		status = http.StatusInternalServerError
	}
	if known == nil || known.Err != nil || name == internalError {
		level := slog.LevelInfo
		switch {
		case r.Context().Err() != nil: // the client has gone
			level = slog.LevelDebug
		case name == internalError:
			level = slog.LevelError
		}
		h.cfg.Log.Log(r.Context(), level, "tagging api error", "request_id", requestID, "error", err)
	}
	awsjson.WriteError(w, status, requestID, name, message)
}
