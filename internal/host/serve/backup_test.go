package serve

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/store/backup"
	"github.com/kontor-registry/kontor/internal/store/check"
	"github.com/kontor-registry/kontor/internal/testkit/push"
)

// whole fails unless a data folder is.
func whole(t *testing.T, folder string) check.Report {
	t.Helper()
	d, err := datadir.OpenReader(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	r, err := check.Run(t.Context(), check.Config{Meta: d.Meta, Blobs: d.Blobs})
	if err := errors.Join(err, d.Close()); err != nil || len(r.Damaged) > 0 {
		t.Fatalf("%v, %+v", err, r)
	}
	return r
}

// files are the names of all blobs below a folder.
func files(t *testing.T, folder string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(folder, "blobs/blobs"), func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			names = append(names, e.Name())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// A folder is saved while its server takes pushes, twice, and the second time only
// what is new is copied. The machine is lost, and a server on the backup has what the
// first one had when it was saved.
func TestBackupAndRestore(t *testing.T) {
	for _, links := range []bool{false, true} {
		t.Run(fmt.Sprintf("links %v", links), func(t *testing.T) {
			dir := folder(t)
			s := serving(t, dir, "data: DIR/data\n"+movedTo)
			c := client(s, "111111111111")
			draw := rand.New(rand.NewPCG(1, 2))
			fill(t, c, draw, "aa")
			cfg := backup.Config{Folder: filepath.Join(dir, "data"), To: filepath.Join(dir, "backup"), HardLinks: links, MasterKey: filepath.Join(dir, "master.key")}
			first, err := backup.Run(t.Context(), cfg)
			if n := int64(len(files(t, cfg.To))); err != nil || first.Copied != n || n == 0 || first.Blobs <= n || !first.MasterKey { // the others are in the database
				t.Fatalf("%v, %+v", err, first)
			}
			// Pushes go on while it is saved again.
			if _, err := c.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("busy")}); err != nil {
				t.Fatal(err)
			}
			fill(t, c, draw, "bb")
			want := everything(t, c)
			var second backup.Report
			saved := make(chan struct{})
			go func() {
				defer close(saved)
				second, err = backup.Run(t.Context(), cfg)
			}()
			for i, on := 0, true; on; i++ {
				push.To(t, c, "busy").Image(fmt.Sprint("busy ", i), "", fmt.Sprint("v", i))
				select {
				case <-saved:
					on = false
				default:
				}
			}
			if err != nil || second.Copied == 0 || second.Copied >= second.Blobs {
				t.Fatalf("%v, %+v", err, second)
			}
			if r := whole(t, cfg.To); r.Blobs != second.Blobs {
				t.Errorf("%+v, want %+v", r, second)
			}
			end(t, s)
			if err := os.RemoveAll(cfg.Folder); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(cfg.To, cfg.Folder); err != nil {
				t.Fatal(err)
			}
			s = serving(t, dir, "data: DIR/data\n"+movedTo)
			have := map[string]bool{}
			for _, line := range everything(t, client(s, "111111111111")) {
				have[line] = true
			}
			for _, line := range want {
				if !have[line] {
					t.Errorf("the backup has not %q", line)
				}
			}
			end(t, s)
		})
	}
}

// A backup has no blob that the registry has no longer, and is left as it was when the
// next one fails.
func TestBackupAgain(t *testing.T) {
	dir := folder(t)
	s := serving(t, dir, "data: DIR/data\n"+movedTo)
	fill(t, client(s, "111111111111"), rand.New(rand.NewPCG(3, 4)), "aa")
	end(t, s)
	cfg := backup.Config{Folder: filepath.Join(dir, "data"), To: filepath.Join(dir, "backup"), MasterKey: filepath.Join(dir, "master.key")}
	if _, err := backup.Run(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	before := files(t, cfg.To)
	// What a run leaves that is killed: an old blob, half a new one, half a database.
	for name, text := range map[string]string{
		"blobs/blobs/00/" + strings.Repeat("0", 32): "old", "blobs/uploads/" + strings.Repeat("1", 32): "half", "kontor.db.new": "half",
	} {
		write(t, filepath.Join(cfg.To, name), text)
	}
	r, err := backup.Run(t.Context(), cfg)
	if err != nil || r.Copied != 0 || r.Removed != 1 {
		t.Errorf("%v, %+v", err, r)
	}
	if got := files(t, cfg.To); !reflect.DeepEqual(got, before) {
		t.Errorf("%q, want %q", got, before)
	}
	// A blob is damaged where it comes from, and the backup does not have it.
	name := filepath.Join("blobs/blobs", before[0][:2], before[0])
	write(t, filepath.Join(cfg.Folder, name), "damaged")
	if err := os.Remove(filepath.Join(cfg.To, name)); err != nil {
		t.Fatal(err)
	}
	database, err := os.ReadFile(filepath.Join(cfg.To, "kontor.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "is damaged: see kontor admin check") {
		t.Errorf("%v", err)
	}
	if again, err := os.ReadFile(filepath.Join(cfg.To, "kontor.db")); err != nil || string(again) != string(database) {
		t.Errorf("%v: the database of the backup is another", err)
	}
	// Another registry is not saved in the same folder, and nothing among other files.
	s = serving(t, dir, "data: DIR/other\n"+movedTo)
	end(t, s)
	if _, err := backup.Run(t.Context(), backup.Config{Folder: filepath.Join(dir, "other"), To: cfg.To}); !errors.Is(err, backup.ErrOther) {
		t.Errorf("%v", err)
	}
	if _, err := backup.Run(t.Context(), backup.Config{Folder: filepath.Join(dir, "other"), To: dir}); !errors.Is(err, backup.ErrOther) {
		t.Errorf("%v", err)
	}
	// Nor is a data folder overwritten: the one that is saved, or one that served.
	first := filepath.Join(dir, "data")
	if err := os.Symlink(first, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{first, filepath.Join(dir, "link"), filepath.Join(dir, "other")} {
		if _, err := backup.Run(t.Context(), backup.Config{Folder: first, To: to}); !errors.Is(err, backup.ErrOther) {
			t.Errorf("%s: %v", to, err)
		}
	}
	// A backup that a server was started on is a data folder.
	if err := os.Rename(first, filepath.Join(dir, "lost")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(cfg.To, first); err != nil {
		t.Fatal(err)
	}
	s = serving(t, dir, "data: DIR/data\n"+movedTo)
	end(t, s)
	if _, err := backup.Run(t.Context(), backup.Config{Folder: filepath.Join(dir, "lost"), To: first}); !errors.Is(err, backup.ErrOther) {
		t.Errorf("%v", err)
	}
}
