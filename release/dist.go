package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// file is an entry of an archive or of an image layer.
type file struct {
	name     string // with slashes; a folder's ends in one
	data     []byte
	mode     int64
	uid, gid int
}

// writeTar is a gzipped tar of files, all of the time at; plain is what it
// unpacks to. Neither holds anything of this machine.
func writeTar(files []file, at time.Time) (gzipped, plain []byte, err error) {
	var buf bytes.Buffer
	t := tar.NewWriter(&buf)
	for _, f := range files {
		h := &tar.Header{
			Typeflag: tar.TypeReg, Name: f.name, Size: int64(len(f.data)), Mode: f.mode,
			Uid: f.uid, Gid: f.gid, ModTime: at, Format: tar.FormatUSTAR,
		}
		if strings.HasSuffix(f.name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := t.WriteHeader(h); err != nil {
			return nil, nil, err
		}
		if _, err := t.Write(f.data); err != nil {
			return nil, nil, err
		}
	}
	if err := t.Close(); err != nil {
		return nil, nil, err
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped) // its header has neither name nor time
	if _, err := z.Write(buf.Bytes()); err != nil {
		return nil, nil, err
	}
	if err := z.Close(); err != nil {
		return nil, nil, err
	}
	return zipped.Bytes(), buf.Bytes(), nil
}

// writeZip is a zip of files, all of the time at.
func writeZip(files []file, at time.Time) ([]byte, error) {
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for _, f := range files {
		h := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: at}
		h.SetMode(fs.FileMode(f.mode))
		w, err := z.CreateHeader(h)
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// documents go into each archive, those of them that are there.
var documents = []string{"LICENSE", "README.md"}

// writeDist writes an archive for each binary, the SBOM, and the checksums of
// them all.
func writeDist(dir string, a about, made []binary) error {
	if err := emptyDir(dir); err != nil {
		return err
	}
	var docs []file
	for _, name := range documents {
		data, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		docs = append(docs, file{name: name, data: data, mode: 0o644})
	}
	sums := map[string][sha256.Size]byte{}
	write := func(name string, data []byte) error {
		sums[name] = sha256.Sum256(data)
		return os.WriteFile(filepath.Join(dir, name), data, 0o644)
	}
	for _, b := range made {
		base := fmt.Sprintf("kontor_%s_%s_%s", a.version, b.platform.os, b.platform.arch)
		var files []file
		for _, f := range append([]file{{name: b.platform.exe(), data: b.data, mode: 0o755}}, docs...) {
			f.name = base + "/" + f.name
			files = append(files, f)
		}
		name := base + ".tar.gz"
		data, _, err := writeTar(files, a.created)
		if b.platform.os == "windows" {
			name = base + ".zip"
			data, err = writeZip(files, a.created)
		}
		if err != nil {
			return err
		}
		if err := write(name, data); err != nil {
			return err
		}
	}
	bill, err := sbom(a, made)
	if err != nil {
		return err
	}
	if err := write(sbomName(a), bill); err != nil {
		return err
	}
	var lines []string
	for name, sum := range sums {
		lines = append(lines, fmt.Sprintf("%x  %s\n", sum, name))
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[64:], b[64:]) })
	return os.WriteFile(filepath.Join(dir, "SHA256SUMS"), []byte(strings.Join(lines, "")), 0o644)
}
