package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// Filter selects records; its zero fields select all. Texts match whole, with
// * and ? as wildcards; actions in any letter case.
type Filter struct {
	Principal string // ARN, unique id or access key
	Action    string
	Resource  string // ARN, or the name of a repository
	RequestID string
	Decision  Decision
	// Since is inclusive, Until exclusive; zero times are open ends.
	Since, Until time.Time
}

// Matches reports whether r is selected.
func (f Filter) Matches(r Record) bool {
	_, repository, _ := strings.Cut(r.Resource, ":repository/")
	switch {
	case f.Decision != "" && r.Decision != f.Decision,
		f.RequestID != "" && r.RequestID != f.RequestID,
		!f.Since.IsZero() && r.Time.Before(f.Since),
		!f.Until.IsZero() && !r.Time.Before(f.Until),
		f.Action != "" && !like(strings.ToLower(f.Action), strings.ToLower(r.Action)),
		f.Resource != "" && !like(f.Resource, r.Resource) && (repository == "" || !like(f.Resource, repository)),
		f.Principal != "" && !like(f.Principal, r.Principal) && !like(f.Principal, r.PrincipalID) && !like(f.Principal, r.AccessKey):
		return false
	}
	return true
}

// like compares with wildcards, which here reach over slashes as well.
func like(pattern, s string) bool {
	const slash = "\x00"
	escape := strings.NewReplacer("/", slash, `\`, `\\`, "[", `\[`)
	ok, err := path.Match(escape.Replace(pattern), strings.ReplaceAll(s, "/", slash))
	return err == nil && ok
}

// Unreadable is a line that is no record, as a crash may leave one.
type Unreadable struct {
	File string
	Line int // from 1
	Err  error
}

// Error names the place.
func (e *Unreadable) Error() string {
	return fmt.Sprintf("%s:%d is not an audit record: %v", e.File, e.Line, e.Err)
}

// Unwrap returns why.
func (e *Unreadable) Unwrap() error { return e.Err }

// Query reads the records of a folder that f selects, oldest first, also while
// they are written. An *Unreadable does not end it, any other error does. A
// folder that is not there has no records.
func Query(dir string, f Filter) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		names, err := files(dir)
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil {
			yield(Record{}, err)
			return
		}
		for i, name := range names {
			if t, _ := begun(name); !f.Until.IsZero() && !t.Before(f.Until) {
				return
			}
			if i+1 < len(names) {
				// Records are older than the next file.
				if t, _ := begun(names[i+1]); t.Add(time.Second).Before(f.Since) {
					continue
				}
			}
			if !queryFile(filepath.Join(dir, name), f, yield) {
				return
			}
		}
	}
}

func queryFile(name string, f Filter, yield func(Record, error) bool) bool {
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return true // removed since, because of its age
	}
	if err != nil {
		return yield(Record{}, err) && false
	}
	defer func() { _ = file.Close() }() // only read
	lines := bufio.NewReaderSize(file, 64<<10)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return yield(Record{}, err) && false
		}
		end := err != nil
		if end && len(line) == 0 {
			return true
		}
		r, err := ParseRecord(bytes.TrimSuffix(line, []byte("\n")))
		switch {
		case err != nil && !yield(Record{}, &Unreadable{File: name, Line: n, Err: err}):
			return false
		case err == nil && f.Matches(r) && !yield(r, nil):
			return false
		}
	}
}

// ParseRecord reads a line. A record without a time or a decision is none.
func ParseRecord(line []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(line, &r); err != nil {
		return Record{}, err
	}
	if r.Time.IsZero() || r.Decision == "" {
		return Record{}, errors.New("it has no time or no decision")
	}
	return r, nil
}
