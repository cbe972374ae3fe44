package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
)

// imageKey names an image of a repository.
type imageKey struct{ repo, digest string }

// tagKey names a tag of a repository.
type tagKey struct{ repo, tag string }

// model is what one client knows about its images. Other clients never change them.
type model struct {
	images   map[imageKey]bool // true: must be there; false: was deleted
	tags     map[tagKey]string // digests; "" for a deleted tag
	children map[imageKey][]string
	parents  map[imageKey]int // how many indexes of the repository list it
	// blobs that were acknowledged, by repository and digest. true: must be
	// there; false: may be hidden, with the last image that had it.
	blobs  map[imageKey]bool
	layers map[imageKey][]string // the blobs of images that are there
	uses   map[imageKey]int      // how often these have a blob
}

func newModel() model {
	return model{
		images: map[imageKey]bool{}, tags: map[tagKey]string{},
		children: map[imageKey][]string{}, parents: map[imageKey]int{},
		blobs: map[imageKey]bool{}, layers: map[imageKey][]string{}, uses: map[imageKey]int{},
	}
}

// change is what one request does, as a whole or not at all.
type change struct {
	images   map[imageKey]bool
	tags     map[tagKey]string
	children []string // of the one image that is pushed
	blobs    []string // of the same
}

func pushed(k imageKey, tag string, children ...string) change {
	ch := change{images: map[imageKey]bool{k: true}, tags: map[tagKey]string{}, children: children}
	if tag != "" {
		ch.tags[tagKey{k.repo, tag}] = k.digest
	}
	return ch
}

// untagged takes a tag away.
func untagged(t tagKey) change { return change{tags: map[tagKey]string{t: ""}} }

// deleted is the image with all of its tags going.
func (m model) deleted(k imageKey) change {
	ch := change{images: map[imageKey]bool{k: false}, tags: map[tagKey]string{}}
	for _, t := range m.tagsOf(k) {
		ch.tags[t] = ""
	}
	return ch
}

// tagsOf are the tags of an image, always in the same order.
func (m model) tagsOf(k imageKey) []tagKey {
	var all []tagKey
	for t, d := range m.tags {
		if t.repo == k.repo && d == k.digest {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b tagKey) int { return cmpString(a.tag, b.tag) })
	return all
}

// live are the images that must be there, in no order but always the same one.
func (m model) live(want func(imageKey) bool) []imageKey {
	var all []imageKey
	for k, there := range m.images {
		if there && want(k) {
			all = append(all, k)
		}
	}
	slices.SortFunc(all, func(a, b imageKey) int {
		if a.repo != b.repo {
			return cmpString(a.repo, b.repo)
		}
		return cmpString(a.digest, b.digest)
	})
	return all
}

func cmpString(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (m model) apply(ch change) {
	for k, there := range ch.images {
		was := m.images[k]
		m.images[k] = there
		switch {
		case there && !was:
			m.children[k] = ch.children
			for _, c := range ch.children {
				m.parents[imageKey{k.repo, c}]++
			}
			m.layers[k] = ch.blobs
			for _, d := range ch.blobs {
				m.uses[imageKey{k.repo, d}]++
				m.blobs[imageKey{k.repo, d}] = true
			}
		case !there && was:
			for _, c := range m.children[k] {
				m.parents[imageKey{k.repo, c}]--
			}
			delete(m.children, k)
			for _, d := range m.layers[k] {
				b := imageKey{k.repo, d}
				if m.uses[b]--; m.uses[b] == 0 {
					m.blobs[b] = false
				}
			}
			delete(m.layers, k)
		}
	}
	maps.Copy(m.tags, ch.tags)
}

// settle looks whether a change whose answer never came has happened, and
// complains when it did in part.
func (c *client) settle(ctx context.Context, l *life, ch change) error {
	before, after := true, true
	for k, want := range ch.images {
		a, err := l.do(ctx, http.MethodHead, "/v2/"+k.repo+"/manifests/"+k.digest, nil, nil, http.StatusOK, http.StatusNotFound)
		if err != nil {
			return err
		}
		there := a.status == http.StatusOK
		before = before && there == c.model.images[k]
		after = after && there == want
	}
	for t, want := range ch.tags {
		a, err := l.do(ctx, http.MethodHead, "/v2/"+t.repo+"/manifests/"+t.tag, nil, nil, http.StatusOK, http.StatusNotFound)
		if err != nil {
			return err
		}
		d := a.header.Get("Docker-Content-Digest")
		before = before && d == c.model.tags[t]
		after = after && d == want
	}
	switch {
	case after:
		c.model.apply(ch)
	case !before:
		return fmt.Errorf("a request that was killed happened in part: %+v", ch)
	}
	return nil
}
