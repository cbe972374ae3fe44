// Package crashfs is a filesystem in memory for tests of package disk: it
// shows what a loss of power may leave, at any moment, on every filesystem
// that keeps POSIX's word and no more.
//
// Its model: a file's bytes and size survive from the file's Sync on, a
// folder's entries from the folder's SyncDir on. Of what was not synced, any
// part may be there after a crash, in any order: a rename may have happened in
// one folder and not in the other, a file may have its size without its bytes.
// (POSIX.1-2024, fsync: "the data for the open file descriptor ... is
// transferred to the storage device"; nothing is said of the folder it is in,
// and fsync(2) of Linux says that an explicit fsync of the folder is needed.)
// A sync that fails loses for good what it should have kept.
//
// It leaves out permissions, symbolic links, times and whatever else disk does not use.
package crashfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kontor-registry/kontor/internal/store/blob/disk"
)

// Disk is a medium, with the memory of all that happened to it. It is safe for
// concurrent use.
type Disk struct {
	mu      sync.Mutex
	initial *state // guarded by mu; not changed
	now     *state // guarded by mu
	log     []op   // guarded by mu; made now from initial
}

// New returns an empty disk.
func New() *Disk { return &Disk{initial: newState(), now: newState()} }

// Len is the number of operations so far.
func (d *Disk) Len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.log)
}

// Crash is a disk after a loss of power.
type Crash struct {
	At      int // operations that had been run
	Variant Variant
	state   *state
}

// Disk is a new copy of what the crash left.
func (c Crash) Disk() *Disk {
	whole := Variant{Entries: None, Bytes: None} // nothing is unsynced
	return &Disk{initial: c.state, now: c.state.crash(whole)}
}

// String is for messages.
func (c Crash) String() string {
	return fmt.Sprintf("crash after operation %d, %s", c.At, c.Variant.Name)
}

// Crashes yields every crash from operation from on, in each of the variants,
// in the order of time. Operations are those of the log when it is called.
func (d *Disk) Crashes(from int, variants []Variant) iter.Seq[Crash] {
	return d.crashes(from, variants, func() bool { return true })
}

// Sample yields those of all crashes for which take, asked about each in turn, is true.
func (d *Disk) Sample(variants []Variant, take func() bool) iter.Seq[Crash] {
	return d.crashes(0, variants, take)
}

func (d *Disk) crashes(from int, variants []Variant, take func() bool) iter.Seq[Crash] {
	d.mu.Lock()
	log := slices.Clone(d.log)
	s := d.initial.crash(Variant{})
	d.mu.Unlock()
	return func(yield func(Crash) bool) {
		for at := 0; ; at++ {
			if at >= from {
				for _, v := range variants {
					if take() && !yield(Crash{At: at, Variant: v, state: s.crash(v)}) {
						return
					}
				}
			}
			if at == len(log) {
				return
			}
			s.apply(log[at])
		}
	}
}

// Call is one call of a process, for the hooks of FS.
type Call struct {
	Name string // the method: "OpenFile", "WriteAt", "Sync", ...
	Path string
	// Site says where in package disk the call comes from: functions outermost
	// first, and the line. Two syncs of the same site serve the same purpose.
	Site string
}

// FS is a process's view of a disk. The hooks must be set before the first
// use, and be safe for concurrent use.
type FS struct {
	Disk *Disk
	// Fail decides whether a call fails, and how; nothing else happens then.
	Fail func(Call) error
	// Ignore decides whether a Sync or SyncDir does nothing, unnoticed.
	Ignore func(Call) bool
}

var _ disk.FS = (*FS)(nil)

// ErrKilled is what Fail returns for a process that is no more: unlike a sync
// that failed, its syncs lose nothing; they only do not happen.
var ErrKilled = errors.New("the process was killed")

const prefix = "github.com/kontor-registry/kontor/internal/store/blob/disk."

// site is the path through package disk that led here.
func site() string {
	var pc [32]uintptr
	frames := runtime.CallersFrames(pc[:runtime.Callers(3, pc[:])])
	var parts []string
	line := 0
	for {
		f, more := frames.Next()
		if name, ok := strings.CutPrefix(f.Function, prefix); ok {
			if len(parts) == 0 {
				line = f.Line
			}
			if len(parts) == 0 || parts[len(parts)-1] != name { // recursion
				parts = append(parts, name)
			}
		}
		if !more {
			break
		}
	}
	slices.Reverse(parts)
	return fmt.Sprintf("%s:%d", strings.Join(parts, " > "), line)
}

// begin asks the hooks and takes the disk's lock; the caller unlocks it, also
// after an error.
func (f *FS) begin(name, p string) (ignore bool, err error) {
	c := Call{Name: name, Path: p}
	if f.Fail != nil || f.Ignore != nil {
		c.Site = site()
	}
	if f.Fail != nil {
		err = f.Fail(c)
	}
	if f.Ignore != nil && (name == "Sync" || name == "SyncDir") {
		ignore = f.Ignore(c)
	}
	f.Disk.mu.Lock()
	return ignore, err
}

// do applies o and remembers it. The caller holds mu.
func (d *Disk) do(o op) {
	d.now.apply(o)
	d.log = append(d.log, o)
}

// find is the node at p. The caller holds mu.
func (d *Disk) find(p string) (int, error) {
	at := 0
	for part := range strings.SplitSeq(strings.Trim(filepath.ToSlash(p), "/"), "/") {
		if part == "" {
			continue
		}
		next, ok := d.now.nodes[at].entries[part]
		if !ok {
			return 0, fs.ErrNotExist
		}
		at = next
	}
	return at, nil
}

// parent is the folder that holds p, and p's name in it.
func (d *Disk) parent(p string) (int, string, error) {
	p = filepath.ToSlash(p)
	dir, err := d.find(path.Dir(p))
	if err == nil && !d.now.nodes[dir].folder {
		err = errors.New("not a directory")
	}
	return dir, path.Base(p), err
}

func pathError(name, p string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: name, Path: p, Err: err}
}

// Mkdir is os.Mkdir.
func (f *FS) Mkdir(p string, _ fs.FileMode) error {
	_, err := f.begin("Mkdir", p)
	defer f.Disk.mu.Unlock()
	return pathError("mkdir", p, f.mkdir(p, err))
}

func (f *FS) mkdir(p string, err error) error {
	if err != nil {
		return err
	}
	dir, name, err := f.Disk.parent(p)
	if err != nil {
		return err
	}
	if _, ok := f.Disk.now.nodes[dir].entries[name]; ok {
		return fs.ErrExist
	}
	f.Disk.do(op{kind: opMkdir, node: dir, name: name})
	return nil
}

// Rename is os.Rename for files.
func (f *FS) Rename(from, to string) error {
	_, err := f.begin("Rename", from)
	defer f.Disk.mu.Unlock()
	return pathError("rename", from, f.rename(from, to, err))
}

func (f *FS) rename(from, to string, err error) error {
	if err != nil {
		return err
	}
	if _, err := f.Disk.find(from); err != nil {
		return err
	}
	dir, name, err := f.Disk.parent(from)
	if err != nil {
		return err
	}
	toDir, toName, err := f.Disk.parent(to)
	if err != nil {
		return err
	}
	f.Disk.do(op{kind: opRename, node: dir, name: name, to: toDir, dest: toName})
	return nil
}

// Link is os.Link.
func (f *FS) Link(from, to string) error {
	_, err := f.begin("Link", from)
	defer f.Disk.mu.Unlock()
	return pathError("link", from, f.link(from, to, err))
}

func (f *FS) link(from, to string, err error) error {
	if err != nil {
		return err
	}
	id, err := f.Disk.find(from)
	if err != nil {
		return err
	}
	dir, name, err := f.Disk.parent(to)
	if err != nil {
		return err
	}
	if _, ok := f.Disk.now.nodes[dir].entries[name]; ok {
		return fs.ErrExist
	}
	f.Disk.do(op{kind: opLink, node: dir, name: name, to: id})
	return nil
}

// Remove is os.Remove for files.
func (f *FS) Remove(p string) error {
	_, err := f.begin("Remove", p)
	defer f.Disk.mu.Unlock()
	if err == nil {
		_, err = f.Disk.find(p)
	}
	if err != nil {
		return pathError("remove", p, err)
	}
	dir, name, err := f.Disk.parent(p)
	if err != nil {
		return pathError("remove", p, err)
	}
	f.Disk.do(op{kind: opRemove, node: dir, name: name})
	return nil
}

// Truncate is os.Truncate.
func (f *FS) Truncate(p string, size int64) error {
	_, err := f.begin("Truncate", p)
	defer f.Disk.mu.Unlock()
	id := 0
	if err == nil {
		id, err = f.Disk.find(p)
	}
	if err != nil {
		return pathError("truncate", p, err)
	}
	f.Disk.do(op{kind: opTruncate, node: id, off: size})
	return nil
}

// SyncDir makes the folder's entries survive a crash.
func (f *FS) SyncDir(p string) error {
	ignore, err := f.begin("SyncDir", p)
	defer f.Disk.mu.Unlock()
	id, findErr := f.Disk.find(p)
	if findErr != nil {
		return pathError("sync", p, findErr)
	}
	return pathError("sync", p, f.sync(id, ignore, err))
}

func (f *FS) sync(id int, ignore bool, err error) error {
	switch {
	case errors.Is(err, ErrKilled):
	case err != nil:
		f.Disk.do(op{kind: opLoseSync, node: id})
	case !ignore:
		f.Disk.do(op{kind: opSync, node: id})
	}
	return err
}

// Stat is os.Stat; all files are as old as each other.
func (f *FS) Stat(p string) (fs.FileInfo, error) {
	_, err := f.begin("Stat", p)
	defer f.Disk.mu.Unlock()
	id := 0
	if err == nil {
		id, err = f.Disk.find(p)
	}
	if err != nil {
		return nil, pathError("stat", p, err)
	}
	return f.Disk.info(filepath.Base(p), id), nil
}

// ReadDir is os.ReadDir.
func (f *FS) ReadDir(p string) ([]fs.DirEntry, error) {
	_, err := f.begin("ReadDir", p)
	defer f.Disk.mu.Unlock()
	id := 0
	if err == nil {
		id, err = f.Disk.find(p)
	}
	if err != nil {
		return nil, pathError("open", p, err)
	}
	var list []fs.DirEntry
	for name, id := range f.Disk.now.nodes[id].entries {
		list = append(list, fs.FileInfoToDirEntry(f.Disk.info(name, id)))
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, nil
}

func (d *Disk) info(name string, id int) fs.FileInfo {
	n := d.now.nodes[id]
	return info{name: name, size: int64(len(n.data)), folder: n.folder}
}

type info struct {
	name   string
	size   int64
	folder bool
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) ModTime() time.Time { return time.Unix(0, 0) }
func (i info) IsDir() bool        { return i.folder }
func (i info) Sys() any           { return nil }

func (i info) Mode() fs.FileMode {
	if i.folder {
		return fs.ModeDir | 0o700
	}
	return 0o600
}

// OpenFile is os.OpenFile for files, with the flags O_RDONLY, O_RDWR and
// O_CREATE.
func (f *FS) OpenFile(p string, flag int, _ fs.FileMode) (disk.File, error) {
	_, err := f.begin("OpenFile", p)
	defer f.Disk.mu.Unlock()
	if err != nil {
		return nil, pathError("open", p, err)
	}
	id, err := f.Disk.find(p)
	if errors.Is(err, fs.ErrNotExist) && flag&os.O_CREATE != 0 {
		dir, name, err := f.Disk.parent(p)
		if err != nil {
			return nil, pathError("open", p, err)
		}
		f.Disk.do(op{kind: opCreate, node: dir, name: name})
		id = len(f.Disk.now.nodes) - 1
	} else if err != nil {
		return nil, pathError("open", p, err)
	}
	return &file{fs: f, path: p, id: id, writable: flag&os.O_RDWR != 0}, nil
}

// file is an open file, by its node: it stays what it is when its name goes.
type file struct {
	fs       *FS
	path     string
	id       int
	writable bool

	pos    int64 // owned by the one goroutine that reads and seeks
	closed bool  // guarded by fs.Disk.mu
}

// begin is FS.begin for an open file.
func (h *file) begin(name string) (ignore bool, err error) {
	ignore, err = h.fs.begin(name, h.path)
	if h.closed {
		err = fs.ErrClosed
	}
	return ignore, pathError(name, h.path, err)
}

func (h *file) node() *node { return h.fs.Disk.now.nodes[h.id] }

func (h *file) WriteAt(b []byte, off int64) (int, error) {
	_, err := h.begin("WriteAt")
	defer h.fs.Disk.mu.Unlock()
	if err == nil && !h.writable {
		err = pathError("write", h.path, fs.ErrPermission)
	}
	if err != nil {
		return 0, err
	}
	if len(b) > 0 {
		h.fs.Disk.do(op{kind: opWrite, node: h.id, off: off, data: slices.Clone(b)})
	}
	return len(b), nil
}

func (h *file) ReadAt(b []byte, off int64) (int, error) {
	_, err := h.begin("ReadAt")
	defer h.fs.Disk.mu.Unlock()
	if err != nil {
		return 0, err
	}
	data := h.node().data
	if off >= int64(len(data)) {
		if len(b) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	n := copy(b, data[off:])
	if n < len(b) {
		err = io.EOF
	}
	return n, err
}

func (h *file) Read(b []byte) (int, error) {
	n, err := h.ReadAt(b, h.pos)
	h.pos += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func (h *file) Seek(off int64, whence int) (int64, error) {
	_, err := h.begin("Seek")
	defer h.fs.Disk.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		off += h.pos
	case io.SeekEnd:
		off += int64(len(h.node().data))
	}
	if err == nil && off < 0 {
		err = pathError("seek", h.path, fs.ErrInvalid)
	}
	if err != nil {
		return 0, err
	}
	h.pos = off
	return off, nil
}

func (h *file) Sync() error {
	ignore, err := h.begin("Sync")
	defer h.fs.Disk.mu.Unlock()
	return h.fs.sync(h.id, ignore, err)
}

// Close closes the file, also when it reports an error.
func (h *file) Close() error {
	_, err := h.begin("Close")
	defer h.fs.Disk.mu.Unlock()
	h.closed = true
	return err
}
