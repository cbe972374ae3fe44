package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// errDone: a scenario has used up what it prepared.
var errDone = errors.New("nothing left")

// work does one operation and returns how many units it was. n counts the
// operations of a target over all rounds, from 0.
type work func(ctx context.Context, worker int, n int64) (units float64, err error)

// scenario is something that clients do.
type scenario struct {
	name, unit string
	title      string
	clients    int
	// disk says that a server which keeps blobs in memory has no part in it.
	disk bool
	// start says that what is measured is the start of a server.
	start bool
	// prepare fills a server, and returns what is measured.
	prepare func(ctx context.Context, o options, c *client) (work, error)
}

const (
	small        = 4 << 10
	mountTargets = 32 // repositories
)

var scenarios = []scenario{
	{name: "push-small", title: "small images pushed (3 layers of 4 KiB), 32 clients", unit: "images", clients: 32, prepare: pushSmall},
	{name: "push-small-1", title: "small images pushed, 1 client", unit: "images", clients: 1, prepare: pushSmall},
	{name: "pull-small", title: "small images pulled, 32 clients", unit: "images", clients: 32, prepare: pullSmall},
	{name: "head-tag", title: "HEAD of a manifest by tag, 32 clients", unit: "requests", clients: 32, prepare: headTag},
	{name: "push-large-4", title: "large blobs pushed, 4 clients", unit: "MiB", clients: 4, disk: true, prepare: pushLarge},
	{name: "push-large-1", title: "large blobs pushed, 1 client", unit: "MiB", clients: 1, disk: true, prepare: pushLarge},
	{name: "pull-large-4", title: "large blobs pulled, 4 clients", unit: "MiB", clients: 4, prepare: pullLarge},
	{name: "pull-large-1", title: "large blobs pulled, 1 client", unit: "MiB", clients: 1, prepare: pullLarge},
	{name: "mount", title: "blobs mounted from another repository, 1 client", unit: "blobs", clients: 1, prepare: mount},
	{name: "tags-head", title: "HEAD by tag of an image with many tags, 1 client", unit: "requests", clients: 1, prepare: manyTags(headOneTag)},
	{name: "tags-put", title: "one more tag for an image with many tags, 1 client", unit: "tags", clients: 1, prepare: manyTags(putOneTag)},
	{name: "tags-page", title: "page of 100 among many tags, 1 client", unit: "pages", clients: 1, prepare: manyTags(pageOfTags)},
	{name: "delete", title: "images deleted, 16 clients", unit: "images", clients: 16, prepare: deleteImages},
	{name: "start", title: "first answer after the start, with 200 images", unit: "starts", clients: 1, start: true, prepare: fill(200)},
}

func scenarioNames() []string {
	var names []string
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	return names
}

func chooseScenarios(o options) ([]scenario, error) {
	if o.scenarios == "" {
		return scenarios, nil
	}
	var chosen []scenario
	for name := range strings.SplitSeq(o.scenarios, ",") {
		i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("-scenarios: %q is unknown; there are %s", name, strings.Join(scenarioNames(), ", "))
		}
		chosen = append(chosen, scenarios[i])
	}
	return chosen, nil
}

func pushSmall(_ context.Context, _ options, c *client) (work, error) {
	of := newBlobs(small)
	return func(ctx context.Context, _ int, n int64) (float64, error) {
		return 1, c.pushImage(ctx, "bench/a", fmt.Sprintf("t%d", n), newImage(of))
	}, nil
}

func pullSmall(ctx context.Context, _ options, c *client) (work, error) {
	images, err := push(ctx, c, 64)
	return func(ctx context.Context, _ int, n int64) (float64, error) {
		i := int(n) % len(images)
		return 1, c.pullImage(ctx, "bench/a", fmt.Sprintf("t%d", i), images[i])
	}, err
}

func headTag(ctx context.Context, _ options, c *client) (work, error) {
	images, err := push(ctx, c, 64)
	return func(ctx context.Context, _ int, n int64) (float64, error) {
		_, err := c.do(ctx, http.MethodHead, fmt.Sprintf("/v2/bench/a/manifests/t%d", int(n)%len(images)), "", nil, 0, http.StatusOK)
		return 1, err
	}, err
}

func pushLarge(_ context.Context, o options, c *client) (work, error) {
	of := newBlobs(o.large)
	return func(ctx context.Context, _ int, _ int64) (float64, error) {
		return float64(o.large) / (1 << 20), c.pushBlob(ctx, "bench/a", of.next())
	}, nil
}

func pullLarge(ctx context.Context, o options, c *client) (work, error) {
	b := newBlobs(o.large).next()
	err := c.pushBlob(ctx, "bench/a", b)
	return func(ctx context.Context, _ int, _ int64) (float64, error) {
		_, err := c.do(ctx, http.MethodGet, "/v2/bench/a/blobs/"+b.digest, "", nil, 0, http.StatusOK)
		return float64(o.large) / (1 << 20), err
	}, err
}

func mount(ctx context.Context, o options, c *client) (work, error) {
	of := newBlobs(small)
	var there []blob
	for range (o.prepared + mountTargets - 1) / mountTargets {
		there = append(there, of.next())
	}
	err := parallel(len(there), func(i int) error { return c.pushBlob(ctx, "bench/a", there[i]) })
	return func(ctx context.Context, _ int, n int64) (float64, error) {
		if int(n) >= mountTargets*len(there) {
			return 0, errDone
		}
		_, err := c.do(ctx, http.MethodPost, fmt.Sprintf("/v2/bench/mount-%02d/blobs/uploads/?mount=%s&from=bench/a", int(n)/len(there), there[int(n)%len(there)].digest), "", nil, 0, http.StatusCreated)
		return 1, err
	}, err
}

// manyTags prepares one image with many tags.
func manyTags(then func(c *client, i image, tags int) work) func(context.Context, options, *client) (work, error) {
	return func(ctx context.Context, o options, c *client) (work, error) {
		images, err := push(ctx, c, 1)
		if err != nil {
			return nil, err
		}
		err = parallel(o.tags, func(i int) error {
			return c.pushManifest(ctx, "bench/a", fmt.Sprintf("v%06d", i), images[0].body)
		})
		return then(c, images[0], o.tags), err
	}
}

func headOneTag(c *client, _ image, tags int) work {
	return func(ctx context.Context, _ int, n int64) (float64, error) {
		_, err := c.do(ctx, http.MethodHead, fmt.Sprintf("/v2/bench/a/manifests/v%06d", int(n)%tags), "", nil, 0, http.StatusOK)
		return 1, err
	}
}

func putOneTag(c *client, i image, _ int) work {
	return func(ctx context.Context, _ int, n int64) (float64, error) {
		return 1, c.pushManifest(ctx, "bench/a", fmt.Sprintf("more-%d", n), i.body)
	}
}

func pageOfTags(c *client, _ image, _ int) work {
	return func(ctx context.Context, _ int, _ int64) (float64, error) {
		_, err := c.do(ctx, http.MethodGet, "/v2/bench/a/tags/list?n=100", "", nil, 0, http.StatusOK)
		return 1, err
	}
}

func deleteImages(ctx context.Context, o options, c *client) (work, error) {
	first, err := push(ctx, c, 1)
	if err != nil {
		return nil, err
	}
	images := make([]image, o.prepared)
	err = parallel(o.prepared, func(i int) error {
		images[i] = imageOf(first[0].config, first[0].layers...)
		return c.pushManifest(ctx, "bench/a", images[i].digest, images[i].body)
	})
	return func(ctx context.Context, _ int, n int64) (float64, error) {
		if int(n) >= o.prepared {
			return 0, errDone
		}
		_, err := c.do(ctx, http.MethodDelete, "/v2/bench/a/manifests/"+images[n].digest, "", nil, 0, http.StatusAccepted)
		return 1, err
	}, err
}

func fill(n int) func(context.Context, options, *client) (work, error) {
	return func(ctx context.Context, _ options, c *client) (work, error) {
		_, err := push(ctx, c, n)
		return nil, err
	}
}

// push pushes n small images with the tags t0, t1 and so on.
func push(ctx context.Context, c *client, n int) ([]image, error) {
	of := newBlobs(small)
	images := make([]image, n)
	for i := range images {
		images[i] = newImage(of)
	}
	return images, parallel(n, func(i int) error { return c.pushImage(ctx, "bench/a", fmt.Sprintf("t%d", i), images[i]) })
}

// parallel does n things, 16 at a time, until one fails.
func parallel(n int, do func(i int) error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, min(n, 16))
	for w := range errs {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if errs[w] = do(i); errs[w] != nil {
					next.Store(int64(n))
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
