package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
)

var testAbout = about{version: "v1.2.3", revision: "0123456789abcdef", created: time.Unix(1_700_000_000, 0).UTC()}

// standIns are small binaries for the platforms.
func standIns(names ...string) []binary {
	var made []binary
	for _, name := range names {
		p, err := parsePlatform(name)
		if err != nil {
			panic(err)
		}
		info := &debug.BuildInfo{GoVersion: "go1.26.0", Deps: []*debug.Module{
			{Path: "example.org/Both", Version: "v1.0.0", Sum: "h1:aaaa="},
			{Path: "example.org/only-" + p.os + "/" + p.arch, Version: "v2.0.0+incompatible"},
			{Path: "example.org/replaced", Version: "v0.1.0", Replace: &debug.Module{Path: "example.org/instead", Version: "v0.2.0"}},
		}}
		made = append(made, binary{p, bytes.Repeat([]byte(name), 10_000), info})
	}
	return made
}

func allStandIns() []binary {
	return standIns("linux/amd64", "darwin/arm64", "linux/arm64", "windows/amd64")
}

// tree is all files of a folder.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		files[filepath.ToSlash(name)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// The same binaries give the same bytes, wherever and whenever.
func TestReproducible(t *testing.T) {
	for name, write := range map[string]func(dir string) error{
		"image": func(dir string) error { _, err := writeImage(dir, testAbout, allStandIns()); return err },
		"dist":  func(dir string) error { return writeDist(dir, testAbout, allStandIns()) },
	} {
		t.Run(name, func(t *testing.T) {
			first, second := t.TempDir(), filepath.Join(t.TempDir(), "another", "place")
			if err := write(first); err != nil {
				t.Fatal(err)
			}
			time.Sleep(1100 * time.Millisecond) // another second of the clock
			t.Setenv("TZ", "Asia/Kolkata")
			if err := write(second); err != nil {
				t.Fatal(err)
			}
			a, b := tree(t, first), tree(t, second)
			if len(a) < 6 || !maps.Equal(a, b) {
				t.Errorf("%d files %q and %d files %q differ", len(a), slices.Sorted(maps.Keys(a)), len(b), slices.Sorted(maps.Keys(b)))
			}
			if err := write(first); err == nil {
				t.Error("writing over an earlier release is no error")
			}
		})
	}
}

// walker reads a layout as a client does, and notes what it has seen.
type walker struct {
	dir  string
	seen map[string]string // digest to media type
}

// get reads what d describes, and holds it against d.
func (w *walker) get(d ociDescriptor, mediaTypes ...string) ([]byte, error) {
	hex, ok := strings.CutPrefix(d.Digest, "sha256:")
	if !ok || len(hex) != 64 {
		return nil, fmt.Errorf("digest %q", d.Digest)
	}
	if !slices.Contains(mediaTypes, d.MediaType) {
		return nil, fmt.Errorf("%s has media type %q, want one of %q", d.Digest, d.MediaType, mediaTypes)
	}
	b, err := os.ReadFile(filepath.Join(w.dir, "blobs", "sha256", hex))
	if err != nil {
		return nil, err
	}
	if string(ecr.DigestOf(b)) != d.Digest || int64(len(b)) != d.Size {
		return nil, fmt.Errorf("%s of %d bytes is %s of %d bytes", d.Digest, d.Size, string(ecr.DigestOf(b)), len(b))
	}
	w.seen[d.Digest] = d.MediaType
	return b, nil
}

// decode is get and strict JSON decoding.
func (w *walker) decode(d ociDescriptor, mediaType string, v any) error {
	b, err := w.get(d, mediaType)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	return dec.Decode(v)
}

// found is what walk found in a layout.
type found struct {
	image, referrer ociDescriptor
	platforms       map[string]ociImage
	files           map[string]map[string]string // by platform: path to "mode uid content"
	sbom            spdxDocument
}

// walk follows every descriptor from index.json on. The error says what is not
// as the specification or our promise has it.
func walk(dir string) (found, error) {
	f := found{platforms: map[string]ociImage{}, files: map[string]map[string]string{}}
	w := &walker{dir, map[string]string{}}
	var version struct{ ImageLayoutVersion string }
	var top ociIndex
	for name, v := range map[string]any{"oci-layout": &version, "index.json": &top} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return f, err
		}
		if err := json.Unmarshal(b, v); err != nil {
			return f, err
		}
	}
	if version.ImageLayoutVersion != "1.0.0" || top.SchemaVersion != 2 || top.MediaType != typeIndex || len(top.Manifests) != 2 {
		return f, fmt.Errorf("layout %+v, index %+v", version, top)
	}
	f.image, f.referrer = top.Manifests[0], top.Manifests[1]
	if name := f.image.Annotations[annotationRefName]; name == "" || f.referrer.Annotations[annotationRefName] != name+".sbom" {
		return f, fmt.Errorf("names in %+v", top)
	}
	var index ociIndex
	if err := w.decode(f.image, typeIndex, &index); err != nil {
		return f, err
	}
	if index.SchemaVersion != 2 || index.MediaType != typeIndex {
		return f, fmt.Errorf("index %+v", index)
	}
	for _, d := range index.Manifests {
		if err := w.platform(d, &f); err != nil {
			return f, fmt.Errorf("platform %+v: %w", d.Platform, err)
		}
	}
	if err := w.referrer(&f); err != nil {
		return f, fmt.Errorf("referrer: %w", err)
	}
	entries, err := os.ReadDir(filepath.Join(dir, "blobs", "sha256"))
	if err == nil && len(entries) != len(w.seen) {
		err = fmt.Errorf("%d blobs, but %d are referred to", len(entries), len(w.seen))
	}
	return f, err
}

func (w *walker) platform(d ociDescriptor, f *found) error {
	var m ociManifest
	var image ociImage
	if err := w.decode(d, typeManifest, &m); err != nil {
		return err
	}
	if err := w.decode(m.Config, typeConfig, &image); err != nil {
		return err
	}
	if m.SchemaVersion != 2 || m.MediaType != typeManifest || m.Subject != nil || m.ArtifactType != "" {
		return fmt.Errorf("manifest %+v", m)
	}
	if d.Platform == nil || *d.Platform != (ociPlatform{image.Architecture, image.OS}) {
		return fmt.Errorf("config is for %s/%s", image.OS, image.Architecture)
	}
	if image.RootFS.Type != "layers" || len(image.RootFS.DiffIDs) != len(m.Layers) || len(image.History) != len(m.Layers) {
		return fmt.Errorf("%d layers, but %+v", len(m.Layers), image.RootFS)
	}
	files := map[string]string{}
	for i, layer := range m.Layers {
		b, err := w.get(layer, typeLayer)
		if err != nil {
			return err
		}
		if err := unpack(b, image.RootFS.DiffIDs[i], files); err != nil {
			return fmt.Errorf("layer %d: %w", i, err)
		}
	}
	name := image.OS + "/" + image.Architecture
	f.platforms[name], f.files[name] = image, files
	return nil
}

// unpack reads a gzipped tar, whose plain digest is diffID, into files.
func unpack(b []byte, diffID string, files map[string]string) error {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return err
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		return err
	}
	if diffID != "" && string(ecr.DigestOf(plain)) != diffID {
		return fmt.Errorf("diff id %s is %s", diffID, string(ecr.DigestOf(plain)))
	}
	for r := tar.NewReader(bytes.NewReader(plain)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if _, twice := files[h.Name]; twice || !h.ModTime.Equal(testAbout.created) || h.Uname != "" || h.Gname != "" {
			return fmt.Errorf("entry %+v", h)
		}
		files[h.Name] = fmt.Sprintf("%o %d:%d %s", h.Mode, h.Uid, h.Gid, data)
	}
}

func (w *walker) referrer(f *found) error {
	var m ociManifest
	if err := w.decode(f.referrer, typeManifest, &m); err != nil {
		return err
	}
	if m.Subject == nil || m.Subject.Digest != f.image.Digest || m.Subject.Size != f.image.Size || m.Subject.MediaType != typeIndex {
		return fmt.Errorf("subject %+v is not the index", m.Subject)
	}
	if m.MediaType != typeManifest || m.ArtifactType != sbomType || f.referrer.ArtifactType != sbomType || len(m.Layers) != 1 {
		return fmt.Errorf("manifest %+v", m)
	}
	config, err := w.get(m.Config, typeEmpty)
	if err != nil || string(config) != "{}" {
		return fmt.Errorf("config %q, %w", config, err)
	}
	return w.decode(m.Layers[0], sbomType, &f.sbom)
}

func TestImage(t *testing.T) {
	dir := t.TempDir()
	digest, err := writeImage(dir, testAbout, allStandIns())
	if err != nil {
		t.Fatal(err)
	}
	f, err := walk(dir)
	if err != nil {
		t.Fatal(err)
	}
	if f.image.Digest != digest {
		t.Errorf("the index is %s, but %s was returned", f.image.Digest, digest)
	}
	if a, b := f.image.Annotations[annotationRefName], f.referrer.Annotations[annotationRefName]; a != "v1.2.3" || b != "v1.2.3.sbom" {
		t.Errorf("names %q and %q", a, b)
	}
	if got := slices.Sorted(maps.Keys(f.platforms)); !slices.Equal(got, []string{"linux/amd64", "linux/arm64"}) {
		t.Errorf("platforms %q", got)
	}
	for name, image := range f.platforms {
		files := f.files[name]
		if got, want := files["kontor"], "755 0:0 "+strings.Repeat(name, 10_000); got != want {
			t.Errorf("%s: kontor is %.60q, want %.60q", name, got, want)
		}
		if files["data/"] != "700 65532:65532 " || files["tmp/"] != "1777 0:0 " || !strings.Contains(files["etc/passwd"], "\nnonroot:x:65532:65532:") {
			t.Errorf("%s: files %q", name, slices.Sorted(maps.Keys(files)))
		}
		c := image.Config
		if !slices.Equal(c.Entrypoint, []string{"/kontor"}) || len(c.Cmd) == 0 || c.User != "65532:65532" {
			t.Errorf("%s: config %+v", name, c)
		}
		if image.Created != "2023-11-14T22:13:20Z" || c.Labels["org.opencontainers.image.version"] != "v1.2.3" ||
			c.Labels["org.opencontainers.image.revision"] != testAbout.revision {
			t.Errorf("%s: created %s, labels %v", name, image.Created, c.Labels)
		}
	}
	for _, p := range f.sbom.Packages {
		if strings.Contains(p.Name, "windows") || strings.Contains(p.Name, "darwin") {
			t.Errorf("the image's SBOM lists %s", p.Name)
		}
	}
}

// The walk is worth something only if it sees what is wrong.
func TestWalkSeesDamage(t *testing.T) {
	whole := t.TempDir()
	if _, err := writeImage(whole, testAbout, standIns("linux/amd64")); err != nil {
		t.Fatal(err)
	}
	files := tree(t, whole)
	damaged := func(name string, content string, remove bool) error {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.FromSlash(name))
		err := os.WriteFile(path, []byte(content), 0o600)
		if remove {
			err = os.Remove(path)
		}
		if err != nil {
			t.Fatal(err)
		}
		_, err = walk(dir)
		return err
	}
	for name, content := range files {
		changed := []byte(content)
		changed[len(changed)/2] ^= 1
		if damaged(name, string(changed), false) == nil {
			t.Errorf("a bit changed in %s is not seen", name)
		}
		if damaged(name, "", true) == nil {
			t.Errorf("that %s is gone is not seen", name)
		}
	}
	if damaged("blobs/sha256/"+strings.Repeat("0", 64), "left over", false) == nil {
		t.Error("a blob that nothing refers to is not seen")
	}
}

func TestImageNeedsLinux(t *testing.T) {
	if _, err := writeImage(t.TempDir(), testAbout, standIns("darwin/arm64")); err == nil {
		t.Error("an image without a platform is no error")
	}
}
