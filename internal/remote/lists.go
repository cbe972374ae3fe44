package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
)

// Bounds of lists. ECR returns no more than 1000 a page.
const (
	pageSize     = 1000
	maxPages     = 10_000
	maxReferrers = 100_000 // of one subject
)

var firstPage = url.Values{"n": {strconv.Itoa(pageSize)}}

// Page is a part of a list.
type Page[T any] struct {
	Items []T
	More  bool // there is another page
}

// paged yields a list page by page. read reads an answer.
func paged[T any](ctx context.Context, r *Registry, c call, read func(*http.Response) ([]T, error)) iter.Seq2[Page[T], error] {
	return func(yield func(Page[T], error) bool) {
		for range maxPages {
			var (
				page Page[T]
				next *url.URL
			)
			err := r.send(ctx, c, func(resp *http.Response) (err error) {
				if page.Items, err = read(resp); err != nil {
					return err
				}
				if next, err = nextPage(resp); err != nil {
					return r.newError(c, ecr.CodeInvalidParameter, err)
				}
				page.More = next != nil
				return nil
			})
			if err != nil {
				yield(Page[T]{}, err)
				return
			}
			if !yield(page, nil) || next == nil {
				return
			}
			c.url = next
		}
		yield(Page[T]{}, r.newError(c, ecr.CodeInvalidParameter, fmt.Errorf("the list has more than %d pages", maxPages)))
	}
}

// nextPage is the address in a Link header (RFC 8288), nil for the last page.
func nextPage(resp *http.Response) (*url.URL, error) {
	link := resp.Header.Get("Link")
	if link == "" {
		return nil, nil
	}
	var address string
	if _, err := fmt.Sscanf(link, "<%s", &address); err != nil {
		return nil, fmt.Errorf("the registry gives the next page as %q", clip(link))
	}
	for i := range address {
		if address[i] == '>' {
			return follow(resp, address[:i])
		}
	}
	return nil, fmt.Errorf("the registry gives the next page as %q", clip(link))
}

// decode reads an answer in JSON.
func decode[T any](r *Registry, c call, resp *http.Response) (v T, err error) {
	body, err := readAll(resp)
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(body, &v); err != nil {
		return v, r.newError(c, ecr.CodeInvalidParameter, fmt.Errorf("the answer is not the JSON it should be: %w", err))
	}
	return v, nil
}

// Tags yields all tags, in pages of at most 1000, in the registry's order. It
// ends with an error: RepositoryNotFound, AccessDenied.
func (r *Repository) Tags(ctx context.Context) iter.Seq2[Page[ecr.Tag], error] {
	c := r.call(ListTags, http.MethodGet, "")
	c.path, c.query = string(r.name)+"/tags/list", firstPage
	return paged(ctx, r.registry, c, func(resp *http.Response) ([]ecr.Tag, error) {
		page, err := decode[struct{ Tags []ecr.Tag }](r.registry, c, resp)
		return page.Tags, err
	})
}

// Repositories yields the names of all repositories, as Tags does. Not every
// registry tells them.
func (r *Registry) Repositories(ctx context.Context) iter.Seq2[Page[ecr.RepositoryName], error] {
	c := call{action: ListRepositories, method: http.MethodGet, path: "_catalog", query: firstPage, expect: []int{http.StatusOK}}
	return paged(ctx, r, c, func(resp *http.Response) ([]ecr.RepositoryName, error) {
		page, err := decode[struct{ Repositories []ecr.RepositoryName }](r, c, resp)
		return page.Repositories, err
	})
}

// errNoReferrersAPI is for an answer that is no list of referrers.
var errNoReferrersAPI = errors.New("the registry has no referrers API")

// Referrers lists the manifests whose subject is d, which need not exist. ok is
// false when the registry has no referrers API; a denial is an error and never
// an empty list. Errors: RepositoryNotFound, AccessDenied.
func (r *Repository) Referrers(ctx context.Context, d ecr.Digest) (list []Descriptor, ok bool, err error) {
	c := r.call(ListReferrers, http.MethodGet, string(d))
	c.path = fmt.Sprintf("%s/referrers/%s", r.name, d)
	c.header = http.Header{"Accept": {manifest.MediaTypeOCIIndex}}
	pages := paged(ctx, r.registry, c, func(resp *http.Response) ([]Descriptor, error) {
		// Some registries answer every path with an HTML page.
		if mediaType(resp) != manifest.MediaTypeOCIIndex {
			return nil, r.registry.newError(c, ecr.CodeUnknownOperation, errNoReferrersAPI)
		}
		page, err := decode[struct{ Manifests []Descriptor }](r.registry, c, resp)
		return page.Manifests, err
	})
	seen := map[ecr.Digest]bool{}
	for page, err := range pages {
		switch {
		case ecr.CodeOf(err) == ecr.CodeUnknownOperation:
			return nil, false, nil
		case err != nil:
			return nil, false, err
		}
		for _, m := range page.Items {
			if _, err := ecr.ParseDigest(string(m.Digest)); err != nil {
				return nil, false, r.registry.newError(c, ecr.CodeInvalidParameter, fmt.Errorf("the list has the digest %q", clip(string(m.Digest))))
			}
			if !seen[m.Digest] {
				seen[m.Digest] = true
				list = append(list, m)
			}
		}
		if len(list) > maxReferrers {
			return nil, false, r.registry.newError(c, ecr.CodeInvalidParameter, fmt.Errorf("there are more than %d", maxReferrers))
		}
	}
	return list, true, nil
}
