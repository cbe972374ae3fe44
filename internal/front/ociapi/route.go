package ociapi

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/lazyregexp"
)

// kind is what a path leads to.
type kind int

const (
	kindBase kind = iota
	kindCatalog
	kindTags
	kindManifest
	kindBlob
	kindStartUpload
	kindUpload
	kindReferrers
)

// route is a path taken apart. Its parts are as sent: unchecked.
type route struct {
	kind kind
	name string // of the repository
	ref  string // tag, digest or upload id
}

// uploadPattern bounds what may be looked up as an upload's id.
var uploadPattern = lazyregexp.New(`^[0-9a-zA-Z-]{1,64}$`)

// endpoints are the functions by kind and method. net/http drops the body of
// answers to HEAD.
var endpoints = map[kind]map[string]func(*exchange) error{
	kindBase:        {http.MethodGet: (*exchange).base, http.MethodHead: (*exchange).base},
	kindCatalog:     {http.MethodGet: (*exchange).listCatalog, http.MethodHead: (*exchange).listCatalog},
	kindTags:        {http.MethodGet: (*exchange).listTags, http.MethodHead: (*exchange).listTags},
	kindManifest:    {http.MethodGet: (*exchange).getManifest, http.MethodHead: (*exchange).headManifest, http.MethodPut: (*exchange).putManifest, http.MethodDelete: (*exchange).deleteManifest},
	kindBlob:        {http.MethodGet: (*exchange).getBlob, http.MethodHead: (*exchange).headBlob, http.MethodDelete: (*exchange).deleteBlob},
	kindStartUpload: {http.MethodPost: (*exchange).startUpload},
	kindUpload:      {http.MethodGet: (*exchange).uploadStatus, http.MethodPatch: (*exchange).patchUpload, http.MethodPut: (*exchange).putUpload, http.MethodDelete: (*exchange).cancelUpload},
	kindReferrers:   {http.MethodGet: (*exchange).listReferrers, http.MethodHead: (*exchange).listReferrers},
}

// onECR reports whether ECR has the method too: it deletes no blobs, but
// collects those that no image refers to.
func onECR(k kind, method string) bool { return k != kindBlob || method != http.MethodDelete }

// allowed is the Allow header of a kind.
func (x *exchange) allowed(k kind) string {
	methods := slices.Sorted(maps.Keys(endpoints[k]))
	return strings.Join(slices.DeleteFunc(methods, func(m string) bool { return x.ecrCompat() && !onECR(k, m) }), ", ")
}

// parsePath takes a path under /v2/ apart from the right, because repository
// names have slashes and may contain any of the words that routes use.
func parsePath(path string) (route, bool) {
	rest, ok := strings.CutPrefix(path, "/v2")
	switch {
	case !ok:
		return route{}, false
	case rest == "" || rest == "/":
		return route{kind: kindBase}, true
	case rest == "/_catalog":
		return route{kind: kindCatalog}, true
	case rest[0] != '/':
		return route{}, false
	}
	head, last, ok := cutLast(rest[1:])
	if !ok {
		return route{}, false
	}
	name, word, ok := cutLast(head)
	if !ok {
		return route{}, false
	}
	switch word {
	case "manifests":
		return route{kindManifest, name, last}, last != ""
	case "referrers":
		return route{kindReferrers, name, last}, last != ""
	case "tags":
		return route{kind: kindTags, name: name}, last == "list"
	case "blobs":
		if last == "uploads" {
			return route{kind: kindStartUpload, name: name}, true
		}
		return route{kindBlob, name, last}, last != ""
	case "uploads":
		name, ok := strings.CutSuffix(name, "/blobs")
		if last == "" {
			return route{kind: kindStartUpload, name: name}, ok
		}
		return route{kindUpload, name, last}, ok
	}
	return route{}, false
}

// cutLast cuts s at its last slash.
func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// isDigest tells a digest from a tag, which has no colon.
func isDigest(ref string) bool { return strings.Contains(ref, ":") }

// kindNames are for figures about requests.
var kindNames = map[kind]string{
	kindBase: "base", kindCatalog: "catalog", kindTags: "tags", kindManifest: "manifest", kindBlob: "blob",
	kindStartUpload: "upload", kindUpload: "upload", kindReferrers: "referrers",
}

// Kind is the method and what the path leads to, for example "GET blob";
// "other" for what nothing serves. There are some twenty.
func Kind(method, path string) string {
	rt, ok := parsePath(path)
	if !ok || endpoints[rt.kind][method] == nil {
		return "other"
	}
	return method + " " + kindNames[rt.kind]
}
