package ociapi

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/upstream"
)

// reads reports whether a method only reads.
func reads(method string) bool { return method == http.MethodGet || method == http.MethodHead }

// mirrored makes the request one for the repository that caches the repository name
// of the registry ns. So mirrors are asked: containerd's hosts.md, "ns". It is looked
// up among the rules that there are. Errors: RepositoryNotFound.
func (x *exchange) mirrored(ns, name string) error {
	local, err := x.puller.Mirrored(x.r.Context(), x.at, ns, name)
	x.repo.Name = local
	return err
}

// upstreamContext is the request's, with what it says of the caches that it came
// through.
func (x *exchange) upstreamContext() context.Context {
	return upstream.WithVia(x.r.Context(), x.r.Header.Values("Via"))
}

func (x *exchange) pullManifest(pull bool) (registry.Manifest, error) {
	m, a, err := x.puller.Manifest(x.upstreamContext(), x.repo, x.imageID(), pull)
	if err == nil {
		x.tellCache(a)
	}
	return m, err
}

func (x *exchange) openBlob() (registry.BlobInfo, io.ReadSeekCloser, error) {
	if x.puller == nil {
		return x.caller.OpenBlob(x.r.Context(), x.repo, x.digest)
	}
	b, a, err := x.puller.OpenBlob(x.upstreamContext(), x.repo, x.digest)
	if err == nil {
		x.tellCache(a)
	}
	return b.Info, b.Content, err
}

func (x *exchange) statBlob() (registry.BlobInfo, error) {
	if x.puller == nil {
		return x.caller.StatBlob(x.r.Context(), x.repo, x.digest)
	}
	return x.puller.StatBlob(x.upstreamContext(), x.repo, x.digest)
}

// pullReferrers fetches what is to be listed. Its answer is for those only who get the
// list: it tells what is here.
func (x *exchange) pullReferrers() (upstream.Answer, error) {
	a, err := x.puller.Referrers(x.upstreamContext(), x.repo, x.digest)
	if ecr.CodeOf(err) == ecr.CodeImageNotFound || ecr.CodeOf(err) == ecr.CodeRepositoryNotFound {
		return upstream.Answer{}, nil // the list that follows says so, to those who may know
	}
	return a, err
}

// maxDetail bounds what is told of an upstream's failure.
const maxDetail = 200

// tellCache says where the answer came from (RFC 9211).
func (x *exchange) tellCache(a upstream.Answer) {
	var status string
	switch a.How {
	case upstream.Hit:
		status = "hit"
	case upstream.Compared:
		status = "hit; detail=compared"
	case upstream.Miss:
		status = "fwd=uri-miss; stored"
	case upstream.Stale:
		why := strings.Map(func(r rune) rune {
			if r < ' ' || r > '~' || r == '"' || r == '\\' {
				return '.'
			}
			return r
		}, a.Why)
		status = "hit; fwd=stale; detail=" + strconv.Quote(why[:min(len(why), maxDetail)])
	default:
		return
	}
	x.w.Header().Set("Cache-Status", "kontor; "+status)
}
