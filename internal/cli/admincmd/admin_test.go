package admincmd_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/cli/clitest"
	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/check"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

func TestAdminCheck(t *testing.T) {
	s := clitest.New(t)
	s.Want(s.Run("admin", "check", "--data", "registry"), 1, "no registry was served from here yet")
	s.Want(s.Run("admin", "chekc"), 2, `unknown command "chekc" for "kontor admin"`)
	d, err := datadir.Open(t.Context(), "registry")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	const content = "a layer"
	key := blob.NewKey()
	w, err := d.Blobs.Append(t.Context(), key, blob.Progress{})
	if err == nil {
		_, err = w.Write([]byte(content))
	}
	if err == nil {
		_, err = w.Commit(t.Context(), ecr.DigestOf([]byte(content)))
	}
	if err == nil {
		err = d.Meta.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
			_, err := tx.AddBlob(ctx, meta.Blob{Digest: ecr.DigestOf([]byte(content)), Key: key, SizeBytes: int64(len(content)), CreatedAt: time.Now()})
			return err
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	// The folder is open as it is next to a running server.
	s.Want(s.Run("admin", "check", "--data", "registry"), 0, "Read 1 blob (7 bytes), 0 images and 0 tags in 0 repositories.\nEverything is whole.\n")

	damaged := 0
	err = filepath.WalkDir("registry/blobs/blobs", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		damaged++
		return os.WriteFile(path, []byte("a LAYER"), 0o600)
	})
	if err != nil || damaged != 1 {
		t.Fatal(damaged, err)
	}
	problem := "its content is " + string(ecr.DigestOf([]byte("a LAYER")))
	s.Want(s.Run("admin", "check", "--data", "registry"), 1, "blob "+string(ecr.DigestOf([]byte(content)))+" (file "+string(key)+"): "+problem+"\n", "Damaged: 1.\n")
	r := s.Want(s.Run("admin", "check", "--data", "registry", "--json"), 1)
	var report check.Report
	if err := json.NewDecoder(strings.NewReader(r.Out)).Decode(&report); err != nil || len(report.Damaged) != 1 || report.Damaged[0].Problem != problem {
		t.Errorf("%v: %s", err, r.Out)
	}
}
