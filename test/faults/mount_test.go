package faults

import (
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/kontor-registry/kontor/internal/store/blob/crashfs"
	"github.com/kontor-registry/kontor/internal/store/blob/disk"
)

// mount makes a filesystem in memory, of which every operation is remembered, one of the
// operating system, so that the whole server works on it, its database included. It takes
// root, and /dev/fuse.
func mount(t *testing.T, medium *crashfs.FS, dir string, uncached bool) (unmount func()) {
	t.Helper()
	root := &entry{fs: medium, uncached: uncached}
	server, err := fs.Mount(dir, root, &fs.Options{MountOptions: fuse.MountOptions{
		DirectMountStrict: true, FsName: "kontor-test", Name: "crashfs", DisableXAttrs: true, MaxWrite: 128 << 10,
	}})
	if err != nil {
		t.Fatalf("mounting a filesystem of FUSE: %v", err)
	}
	done := false
	unmount = func() {
		if done {
			return
		}
		done = true
		if err := server.Unmount(); err != nil {
			t.Errorf("unmounting: %v", err)
		}
		server.Wait()
	}
	t.Cleanup(unmount)
	return unmount
}

// entry is a file or a folder.
type entry struct {
	fs.Inode
	fs       *crashfs.FS
	uncached bool // each reading of a file reaches the filesystem
}

var (
	_ fs.NodeLookuper       = (*entry)(nil)
	_ fs.NodeGetattrer      = (*entry)(nil)
	_ fs.NodeSetattrer      = (*entry)(nil)
	_ fs.NodeOpener         = (*entry)(nil)
	_ fs.NodeCreater        = (*entry)(nil)
	_ fs.NodeMkdirer        = (*entry)(nil)
	_ fs.NodeUnlinker       = (*entry)(nil)
	_ fs.NodeRmdirer        = (*entry)(nil)
	_ fs.NodeRenamer        = (*entry)(nil)
	_ fs.NodeLinker         = (*entry)(nil)
	_ fs.NodeOpendirHandler = (*entry)(nil)
	_ fs.NodeStatfser       = (*entry)(nil)
)

// path is its name on the medium.
func (e *entry) path() string { return "/" + e.Path(nil) }

func errno(err error) syscall.Errno {
	var no syscall.Errno
	switch {
	case err == nil:
		return 0
	case errors.As(err, &no):
		return no
	case errors.Is(err, iofs.ErrNotExist):
		return syscall.ENOENT
	case errors.Is(err, iofs.ErrExist):
		return syscall.EEXIST
	}
	return syscall.EIO
}

func attributes(info iofs.FileInfo, out *fuse.Attr) {
	out.Mode = uint32(info.Mode().Perm()) | syscall.S_IFREG
	if info.IsDir() {
		out.Mode = uint32(info.Mode().Perm()) | syscall.S_IFDIR
	}
	out.Size = uint64(info.Size())
	out.Blocks = (out.Size + 511) / 512
}

func (e *entry) child(ctx context.Context, info iofs.FileInfo) *fs.Inode {
	mode := uint32(syscall.S_IFREG)
	if info.IsDir() {
		mode = syscall.S_IFDIR
	}
	return e.NewInode(ctx, &entry{fs: e.fs, uncached: e.uncached}, fs.StableAttr{Mode: mode})
}

// Lookup is of fs.NodeLookuper.
func (e *entry) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	info, err := e.fs.Stat(path.Join(e.path(), name))
	if err != nil {
		return nil, errno(err)
	}
	attributes(info, &out.Attr)
	if old := e.GetChild(name); old != nil {
		return old, 0
	}
	return e.child(ctx, info), 0
}

// Getattr is of fs.NodeGetattrer.
func (e *entry) Getattr(_ context.Context, h fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	if h, ok := h.(*handle); ok { // it may have no name any longer
		size, err := h.file.Seek(0, io.SeekEnd)
		out.Mode, out.Size, out.Blocks = 0o600|syscall.S_IFREG, uint64(size), (uint64(size)+511)/512
		return errno(err)
	}
	info, err := e.fs.Stat(e.path())
	if err == nil {
		attributes(info, &out.Attr)
	}
	return errno(err)
}

// Setattr is of fs.NodeSetattrer. Only sizes are kept.
func (e *entry) Setattr(ctx context.Context, h fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok {
		if err := e.fs.Truncate(e.path(), int64(size)); err != nil {
			return errno(err)
		}
	}
	return e.Getattr(ctx, h, out)
}

// Open is of fs.NodeOpener.
func (e *entry) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	f, err := e.fs.OpenFile(e.path(), os.O_RDWR, 0)
	if err == nil && flags&syscall.O_TRUNC != 0 {
		err = e.fs.Truncate(e.path(), 0)
	}
	if err != nil {
		return nil, 0, errno(err)
	}
	return &handle{file: f}, e.flags(), 0
}

// flags: the shared memory of SQLite is mapped, which takes the page cache.
func (e *entry) flags() uint32 {
	if e.uncached && !strings.HasSuffix(e.path(), "-shm") {
		return fuse.FOPEN_DIRECT_IO
	}
	return fuse.FOPEN_KEEP_CACHE
}

// Create is of fs.NodeCreater.
func (e *entry) Create(ctx context.Context, name string, _ uint32, _ uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	at := path.Join(e.path(), name)
	f, err := e.fs.OpenFile(at, os.O_RDWR|os.O_CREATE, 0)
	if err != nil {
		return nil, nil, 0, errno(err)
	}
	out.Mode = 0o600 | syscall.S_IFREG
	n := &entry{fs: e.fs, uncached: e.uncached}
	flags := uint32(fuse.FOPEN_KEEP_CACHE)
	if e.uncached && !strings.HasSuffix(name, "-shm") {
		flags = fuse.FOPEN_DIRECT_IO
	}
	return e.NewInode(ctx, n, fs.StableAttr{Mode: syscall.S_IFREG}), &handle{file: f}, flags, 0
}

// Mkdir is of fs.NodeMkdirer.
func (e *entry) Mkdir(ctx context.Context, name string, _ uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	at := path.Join(e.path(), name)
	err := e.fs.Mkdir(at, 0o700)
	if err != nil {
		return nil, errno(err)
	}
	info, err := e.fs.Stat(at)
	if err != nil {
		return nil, errno(err)
	}
	attributes(info, &out.Attr)
	return e.child(ctx, info), 0
}

// Unlink is of fs.NodeUnlinker.
func (e *entry) Unlink(_ context.Context, name string) syscall.Errno {
	return errno(e.fs.Remove(path.Join(e.path(), name)))
}

// Link is of fs.NodeLinker.
func (e *entry) Link(_ context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	at := path.Join(e.path(), name)
	if err := e.fs.Link("/"+target.EmbeddedInode().Path(nil), at); err != nil {
		return nil, errno(err)
	}
	info, err := e.fs.Stat(at)
	if err != nil {
		return nil, errno(err)
	}
	attributes(info, &out.Attr)
	return target.EmbeddedInode(), 0
}

// Rmdir is of fs.NodeRmdirer.
func (e *entry) Rmdir(ctx context.Context, name string) syscall.Errno { return e.Unlink(ctx, name) }

// Rename is of fs.NodeRenamer.
func (e *entry) Rename(_ context.Context, name string, to fs.InodeEmbedder, newName string, _ uint32) syscall.Errno {
	return errno(e.fs.Rename(path.Join(e.path(), name), path.Join("/"+to.EmbeddedInode().Path(nil), newName)))
}

// Statfs is of fs.NodeStatfser.
func (e *entry) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	out.Bsize, out.Blocks, out.Bfree, out.Bavail, out.NameLen = 4096, 1<<20, 1<<19, 1<<19, 255
	return 0
}

// OpendirHandle is of fs.NodeOpendirHandler.
func (e *entry) OpendirHandle(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	list, err := e.fs.ReadDir(e.path())
	if err != nil {
		return nil, 0, errno(err)
	}
	var entries []fuse.DirEntry
	for _, d := range list {
		mode := uint32(syscall.S_IFREG)
		if d.IsDir() {
			mode = syscall.S_IFDIR
		}
		entries = append(entries, fuse.DirEntry{Name: d.Name(), Mode: mode})
	}
	return &folder{entry: e, list: entries}, 0, 0
}

// folder is an open folder.
type folder struct {
	entry *entry
	list  []fuse.DirEntry
	at    int
}

// Readdirent is of fs.FileReaddirenter.
func (f *folder) Readdirent(context.Context) (*fuse.DirEntry, syscall.Errno) {
	if f.at == len(f.list) {
		return nil, 0
	}
	f.at++
	d := f.list[f.at-1]
	d.Off = uint64(f.at)
	return &d, 0
}

// Seekdir is of fs.FileSeekdirer.
func (f *folder) Seekdir(_ context.Context, off uint64) syscall.Errno {
	f.at = int(off)
	return 0
}

// Fsyncdir is of fs.FileFsyncdirer.
func (f *folder) Fsyncdir(context.Context, uint32) syscall.Errno {
	return errno(f.entry.fs.SyncDir(f.entry.path()))
}

// handle is an open file.
type handle struct{ file disk.File }

// Read is of fs.FileReader.
func (h *handle) Read(_ context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n, err := h.file.ReadAt(dest, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return fuse.ReadResultData(dest[:n]), errno(err)
}

// Write is of fs.FileWriter.
func (h *handle) Write(_ context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	n, err := h.file.WriteAt(data, off)
	return uint32(n), errno(err)
}

// Fsync is of fs.FileFsyncer.
func (h *handle) Fsync(context.Context, uint32) syscall.Errno { return errno(h.file.Sync()) }

// Flush is of fs.FileFlusher: closing a file writes nothing.
func (h *handle) Flush(context.Context) syscall.Errno { return 0 }

// Release is of fs.FileReleaser.
func (h *handle) Release(context.Context) syscall.Errno { return errno(h.file.Close()) }
