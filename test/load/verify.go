package main

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
)

// verify compares what the server has with what the clients know.
func (l *load) verify(ctx context.Context) error {
	life := l.server.current()
	images, tags := map[imageKey]bool{}, map[tagKey]string{}
	gone := 0
	for _, c := range l.clients {
		for k, there := range c.model.images {
			if there {
				images[k] = true
			} else {
				gone++
			}
		}
		for t, d := range c.model.tags {
			if d != "" {
				tags[t] = d
			}
		}
	}
	for _, repo := range repositories {
		if err := l.verifyLists(ctx, life, repo, images, tags); err != nil {
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
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(len(l.clients))
	for k := range images {
		g.Go(func() error {
			_, err := life.whole(ctx, k, once)
			return err
		})
	}
	for t, d := range tags {
		g.Go(func() error { return life.tagIs(ctx, t, d) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	fmt.Printf("intact: %d images with %d tags and %d blobs read and compared; %d deleted images are gone\n", len(images), len(tags), len(read), gone)
	if len(images) == 0 || len(tags) == 0 || gone == 0 || len(read) == 0 {
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
	for t := range listed {
		if tags[tagKey{repo, t}] == "" {
			return fmt.Errorf("tag %s of %s is there: deleted before, or never pushed", t, repo)
		}
	}
	return nil
}
