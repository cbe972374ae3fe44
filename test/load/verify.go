package main

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
)

// expected is what the clients together know.
type expected struct {
	images map[imageKey]bool
	tags   map[tagKey]string
	blobs  map[imageKey]bool // that must be there, with or without an image
	gone   int               // images
}

func (l *load) expected() expected {
	e := expected{images: map[imageKey]bool{}, tags: map[tagKey]string{}, blobs: map[imageKey]bool{}}
	for _, c := range l.clients {
		for k, there := range c.model.images {
			if there {
				e.images[k] = true
			} else {
				e.gone++
			}
		}
		for t, d := range c.model.tags {
			if d != "" {
				e.tags[t] = d
			}
		}
		for b, there := range c.model.blobs {
			if there {
				e.blobs[b] = true
			}
		}
	}
	return e
}

// verify compares what the server has with what the clients know.
func (l *load) verify(ctx context.Context, e expected) error {
	life := l.server.current()
	for _, repo := range repositories {
		if err := l.verifyLists(ctx, life, repo, e.images, e.tags); err != nil {
			return err
		}
	}
	var (
		mu   sync.Mutex
		read = map[imageKey]bool{} // blobs; guarded by mu
	)
	once := func(b imageKey) bool {
		mu.Lock()
		defer mu.Unlock()
		was := read[b]
		read[b] = true
		return !was
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(len(l.clients))
	for k := range e.images {
		g.Go(func() error {
			_, err := life.whole(gctx, k, once)
			return err
		})
	}
	for t, d := range e.tags {
		g.Go(func() error { return life.tagIs(gctx, t, d) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	ofImages := len(read)
	g, gctx = errgroup.WithContext(ctx)
	g.SetLimit(len(l.clients))
	for b := range e.blobs {
		if !once(b) {
			continue
		}
		g.Go(func() error {
			_, err := life.blob(gctx, b)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	fmt.Printf("intact: %d images with %d tags and %d blobs, and %d blobs without an image, read and compared; %d deleted images are gone\n",
		len(e.images), len(e.tags), ofImages, len(read)-ofImages, e.gone)
	if len(e.images) == 0 || len(e.tags) == 0 || e.gone == 0 || ofImages == 0 {
		return fmt.Errorf("the clients did too little to show anything")
	}
	return nil
}

// verifyLists wants the lists of repo to hold exactly what the clients know.
func (l *load) verifyLists(ctx context.Context, life *life, repo string, images map[imageKey]bool, tags map[tagKey]string) error {
	gotImages, gotTags, err := life.digests(ctx, repo)
	if err != nil {
		return err
	}
	listed, err := life.tags(ctx, repo)
	if err != nil {
		return err
	}
	for k := range images {
		if k.repo == repo && !gotImages[k.digest] {
			return fmt.Errorf("image %s of %s was acknowledged and is gone", k.digest, repo)
		}
	}
	for d := range gotImages {
		if !images[imageKey{repo, d}] {
			return fmt.Errorf("image %s of %s is there: deleted before, or never pushed", d, repo)
		}
	}
	for t, d := range tags {
		if t.repo == repo && (gotTags[t.tag] != d || !listed[t.tag]) {
			return fmt.Errorf("tag %s of %s is %q, in the list of tags: %v; want %s", t.tag, repo, gotTags[t.tag], listed[t.tag], d)
		}
	}
	for t := range gotTags {
		listed[t] = true
	}
	for t := range listed {
		if tags[tagKey{repo, t}] == "" {
			return fmt.Errorf("tag %s of %s is there: deleted before, or never pushed", t, repo)
		}
	}
	return nil
}
