package faults

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/check"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// inspect looks at the stores of a registry whose servers have stopped: no row is without
// its object, and after collection no object without a row. That both would be found is
// shown in the end, by taking an object away and by leaving one.
func (w *world) inspect(m meta.Store, b blob.Store) {
	t := w.t
	t.Helper()
	k := testkit.OpenOn(t, testkit.Settings{Compat: registry.CompatOCI, Blobs: b, OneProcess: len(w.nodes) == 1, Clock: time.Now}, m)
	var wrong []string
	var known map[blob.Key]bool
	left := 0
	// An upload is kept for as long as a server that was killed may have it.
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Second) {
		if _, err := k.Jobs.ExpireUploads(t.Context(), time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		k.Collect()
		swept, err := k.Jobs.SweepOrphans(t.Context(), time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		left += swept.Count
		if wrong, known = w.unmatched(k); len(wrong) == 0 || time.Now().After(deadline) {
			break
		}
	}
	t.Logf("%d files that no row knew were left by faults, and collected", left)
	for _, text := range wrong {
		t.Error(text)
		w.report.lost++
	}
	if t.Failed() {
		return
	}
	// One object goes, and comes back.
	var gone blob.Key
	var content []byte
	for gone = range known {
		if strings.HasPrefix(string(gone), "db-") {
			continue // the database has its content
		}
		f, err := b.Open(t.Context(), gone)
		if err != nil {
			t.Fatal(err)
		}
		content, err = io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		break
	}
	if content == nil {
		t.Fatal("there is no object: nothing was shown")
	}
	if err := b.Delete(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	if wrong, _ := w.unmatched(k); len(wrong) == 0 {
		t.Errorf("object %s is missing, of %d bytes, and nothing says so", gone, len(content))
	}
	key := blob.NewKey()
	surplus := bytes.Repeat([]byte("left"), 20_000) // more than the database takes
	f, err := b.Append(t.Context(), key, blob.Progress{})
	if err == nil {
		_, err = f.Write(surplus)
	}
	if err == nil {
		_, err = f.Commit(t.Context(), ecr.DigestOf(surplus))
	}
	if err != nil {
		t.Fatal(err)
	}
	found := false
	wrong, _ = w.unmatched(k)
	for _, text := range wrong {
		found = found || text == leftover(key)
	}
	if !found {
		t.Errorf("object %s was left, and nothing says so: %q", key, wrong)
	}
}

func leftover(key blob.Key) string { return fmt.Sprintf("no row knows the object %s", key) }

// unmatched compares rows and objects, and reads all content. known are the objects that
// have rows.
func (w *world) unmatched(k *testkit.World) (wrong []string, known map[blob.Key]bool) {
	t := w.t
	t.Helper()
	rows := map[blob.Key]meta.Blob{}
	for after := blob.Key(""); ; {
		var page []meta.Blob
		err := k.Meta.View(t.Context(), func(ctx context.Context, r meta.Reader) (err error) {
			page, err = r.ListBlobs(ctx, after, 1000)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, b := range page {
			rows[b.Key], after = b, b.Key
		}
	}
	known = map[blob.Key]bool{}
	for info, err := range k.Blobs.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if row, ok := rows[info.Key]; !ok || info.Upload {
			wrong = append(wrong, leftover(info.Key))
		} else if row.SizeBytes != info.SizeBytes {
			wrong = append(wrong, fmt.Sprintf("object %s of blob %s has %d bytes, not %d", info.Key, row.Digest, info.SizeBytes, row.SizeBytes))
		} else {
			known[info.Key] = true
		}
	}
	r, err := check.Run(t.Context(), check.Config{Meta: k.Meta, Blobs: k.Blobs})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range r.Damaged {
		wrong = append(wrong, fmt.Sprintf("%s %s: %s", d.Kind, d.Digest, d.Problem))
	}
	return wrong, known
}
