package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// serveLimit serves the bare protocol at the address: from memory when the folder
// is "-", and otherwise with blobs in files of the folder, each written, hashed and
// synced before it is acknowledged. It knows no users, keeps manifests in memory,
// and is what Kontor could reach at most.
func serveLimit(address, folder string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	b := &bare{folder: folder, blobs: map[string][]byte{}, uploads: map[string]*upload{}, manifests: map[string]map[string]manifest{}}
	server := &http.Server{Handler: b, ReadHeaderTimeout: time.Minute}
	return server.Serve(l)
}

type bare struct {
	folder string

	mu        sync.RWMutex
	blobs     map[string][]byte // by digest; of files the value is nil
	uploads   map[string]*upload
	manifests map[string]map[string]manifest // by repository, then digest or tag
}

type manifest struct {
	mediaType, digest string
	body              []byte
}

type upload struct {
	hash hash.Hash
	file *os.File // nil in memory
	body []byte
}

// ServeHTTP answers /v2/NAME/KIND/REFERENCE.
func (b *bare) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/v2/")
	if path == "" {
		return
	}
	for _, kind := range []struct {
		part   string
		handle func(w http.ResponseWriter, r *http.Request, repository, reference string) error
	}{{"/blobs/uploads/", b.upload}, {"/blobs/", b.blob}, {"/manifests/", b.manifest}, {"/tags/list", b.tags}} {
		if repository, reference, ok := strings.Cut(path, kind.part); ok {
			if err := kind.handle(w, r, repository, reference); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
			return
		}
	}
	http.NotFound(w, r)
}

func (b *bare) upload(w http.ResponseWriter, r *http.Request, repository, id string) error {
	if r.Method == http.MethodPost {
		if d := r.URL.Query().Get("mount"); d != "" && b.has(d) {
			w.WriteHeader(http.StatusCreated)
			return nil
		}
		id = rand.Text()
		u := &upload{hash: sha256.New()}
		if b.folder != "-" {
			f, err := os.Create(filepath.Join(b.folder, id))
			if err != nil {
				return err
			}
			u.file = f
		}
		b.mu.Lock()
		b.uploads[id] = u
		b.mu.Unlock()
		w.Header().Set("Location", "/v2/"+repository+"/blobs/uploads/"+id)
		w.WriteHeader(http.StatusAccepted)
		return nil
	}
	b.mu.RLock()
	u := b.uploads[id]
	b.mu.RUnlock()
	if u == nil {
		http.NotFound(w, r)
		return nil
	}
	if err := u.receive(r.Body); err != nil {
		return err
	}
	if r.Method == http.MethodPatch {
		w.Header().Set("Location", r.URL.Path)
		w.WriteHeader(http.StatusAccepted)
		return nil
	}
	d := "sha256:" + hex.EncodeToString(u.hash.Sum(nil))
	if d != r.URL.Query().Get("digest") {
		http.Error(w, "DIGEST_INVALID", http.StatusBadRequest)
		return nil
	}
	if u.file != nil {
		err := errors.Join(u.file.Sync(), u.file.Close())
		if err = errors.Join(err, os.Rename(u.file.Name(), b.file(d)), syncFolder(b.folder)); err != nil {
			return err
		}
	}
	b.mu.Lock()
	b.blobs[d] = u.body
	delete(b.uploads, id)
	b.mu.Unlock()
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (u *upload) receive(body io.Reader) error {
	if u.file == nil {
		b, err := io.ReadAll(body)
		u.body = append(u.body, b...)
		_, _ = u.hash.Write(b) // a hash takes everything
		return err
	}
	_, err := io.CopyBuffer(io.MultiWriter(u.hash, u.file), struct{ io.Reader }{body}, make([]byte, 256<<10))
	return err
}

func syncFolder(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (b *bare) file(d string) string {
	return filepath.Join(b.folder, strings.TrimPrefix(d, "sha256:"))
}

func (b *bare) has(d string) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	_, ok := b.blobs[d]
	return ok
}

func (b *bare) blob(w http.ResponseWriter, r *http.Request, _, d string) error {
	b.mu.RLock()
	body, ok := b.blobs[d]
	b.mu.RUnlock()
	if !ok {
		http.NotFound(w, r)
		return nil
	}
	w.Header().Set("Docker-Content-Digest", d)
	w.Header().Set("Content-Type", "application/octet-stream")
	if b.folder == "-" {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, err := w.Write(body)
		return err
	}
	f, err := os.Open(b.file(d))
	if err != nil {
		return err
	}
	http.ServeContent(w, r, "", time.Time{}, f) // sends with sendfile
	return f.Close()
}

func (b *bare) manifest(w http.ResponseWriter, r *http.Request, repository, reference string) error {
	switch r.Method {
	case http.MethodPut:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		m := manifest{r.Header.Get("Content-Type"), fmt.Sprintf("sha256:%x", sha256.Sum256(body)), body}
		if b.folder != "-" {
			if err := b.write(m); err != nil {
				return err
			}
		}
		b.mu.Lock()
		if b.manifests[repository] == nil {
			b.manifests[repository] = map[string]manifest{}
		}
		b.manifests[repository][reference], b.manifests[repository][m.digest] = m, m
		b.mu.Unlock()
		w.Header().Set("Docker-Content-Digest", m.digest)
		w.WriteHeader(http.StatusCreated)
	case http.MethodDelete:
		b.mu.Lock()
		delete(b.manifests[repository], reference)
		b.mu.Unlock()
		w.WriteHeader(http.StatusAccepted)
	default:
		b.mu.RLock()
		m, ok := b.manifests[repository][reference]
		b.mu.RUnlock()
		if !ok {
			http.NotFound(w, r)
			return nil
		}
		w.Header().Set("Docker-Content-Digest", m.digest)
		w.Header().Set("Content-Type", m.mediaType)
		w.Header().Set("Content-Length", strconv.Itoa(len(m.body)))
		if r.Method == http.MethodHead {
			return nil
		}
		_, err := w.Write(m.body)
		return err
	}
	return nil
}

// write keeps a manifest in a file, which counts once it is synced.
func (b *bare) write(m manifest) error {
	temporary := filepath.Join(b.folder, rand.Text())
	f, err := os.Create(temporary)
	if err != nil {
		return err
	}
	_, err = f.Write(m.body)
	err = errors.Join(err, f.Sync(), f.Close())
	return errors.Join(err, os.Rename(temporary, b.file(m.digest)), syncFolder(b.folder))
}

func (b *bare) tags(w http.ResponseWriter, r *http.Request, repository, _ string) error {
	n, err := strconv.Atoi(r.URL.Query().Get("n"))
	if err != nil {
		return err
	}
	b.mu.RLock()
	var tags []string
	for t := range b.manifests[repository] {
		if !strings.Contains(t, ":") {
			tags = append(tags, t)
		}
	}
	b.mu.RUnlock()
	slices.Sort(tags)
	return json.NewEncoder(w).Encode(map[string]any{"name": repository, "tags": tags[:min(n, len(tags))]})
}
