package audit

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Place is where a record is in a folder: the name of its file, and where in it the
// record begins, in bytes. The zero Place is after the newest record.
type Place struct {
	File   string
	Offset int64
}

// Look is what Newest found.
type Look struct {
	Records []Record // newest first
	// Next is the place to go on before; zero when that was all.
	Next Place
	// Unreadable counts lines that are no records, as a crash may leave them.
	Unreadable int
}

// lookBlock is how much of a file is read at once.
const lookBlock = 64 << 10

// Newest returns at most limit records of the log that f and keep accept, newest first,
// before the place before. It reads no more than most bytes, and a block, so that it may return
// fewer and a place to go on before. Each record has a place that stays; a file that was
// removed since is passed over.
func (l *Log) Newest(f Filter, keep func(Record) bool, before Place, limit int, most int64) (Look, error) {
	return newest(l.cfg.Dir, func(r Record) bool { return f.Matches(r) && keep(r) }, f.Since, before, limit, most)
}

func newest(dir string, keep func(Record) bool, since time.Time, before Place, limit int, most int64) (look Look, err error) {
	names, err := files(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return look, nil
	}
	if err != nil {
		return look, err
	}
	slices.Reverse(names)
	if before.File != "" {
		// Names descend now.
		at, _ := slices.BinarySearchFunc(names, before.File, func(name, want string) int { return cmp.Compare(want, name) })
		names = names[at:]
	}
	for _, name := range names {
		end := int64(-1)
		if name == before.File {
			end = before.Offset
		}
		look.Next = Place{}
		full, err := newestOf(dir, name, end, keep, since, limit, &most, &look)
		if err != nil || full {
			return look, err
		}
	}
	return look, nil
}

// maxLine is more bytes than a line of the log has. Longer ones cannot be read.
const maxLine = 1 << 20

// newestOf reads the lines of one file, the last one that ends at end first, or with -1
// from its end. full reports that there is no need to go on.
func newestOf(dir, name string, end int64, keep func(Record) bool, since time.Time, limit int, most *int64, look *Look) (full bool, err error) {
	file, err := os.Open(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // removed since, because of its age
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = file.Close() }() // only read
	info, err := file.Stat()
	if err != nil {
		return false, err
	}
	if end < 0 || end > info.Size() {
		end = info.Size()
	}
	var text []byte            // of the file from start on, up to a line that is done
	start, skips := end, false // skips: a line that is too long
	for {
		for cut := bytes.LastIndexByte(bytes.TrimSuffix(text, []byte("\n")), '\n'); cut >= 0 || start == 0 && len(text) > 0; cut = bytes.LastIndexByte(bytes.TrimSuffix(text, []byte("\n")), '\n') {
			line := text[cut+1:]
			text = text[:cut+1]
			whole := bytes.HasSuffix(line, []byte("\n"))
			r, err := ParseRecord(bytes.TrimSuffix(line, []byte("\n")))
			switch {
			case err != nil && whole:
				look.Unreadable++
			case err == nil && r.Time.Add(time.Second).Before(since): // the clock may have been set
				return true, nil
			case err == nil && keep(r):
				look.Records = append(look.Records, r)
				if len(look.Records) == limit {
					look.Next = Place{name, start + int64(len(text))}
					return true, nil
				}
			}
		}
		if start == 0 {
			return false, nil
		}
		if place := start + int64(len(text)); *most <= 0 && place < end { // at least one line is done
			look.Next = Place{name, place}
			return true, nil
		}
		n := min(lookBlock, start)
		block := make([]byte, n, n+int64(len(text)))
		if _, err := file.ReadAt(block, start-n); err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		start -= n
		*most -= n
		if skips {
			cut := bytes.LastIndexByte(block, '\n')
			block, skips = block[:cut+1], cut < 0
		}
		text = append(block, text...)
		if len(text) > maxLine && bytes.IndexByte(text[:len(text)-1], '\n') < 0 {
			look.Unreadable++
			text, skips = nil, true
		}
	}
}
