package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Config is what a Log is made of.
type Config struct {
	// Dir is the folder of the files. It is created.
	Dir string
	// Mode defaults to Changes.
	Mode Mode
	// MaxBytes and MaxAge are when a file is followed by another. Default 64 MiB
	// and 24 hours.
	MaxBytes int64
	MaxAge   time.Duration
	// Keep is how long files are kept after their last record; KeepBytes is how
	// large all of them may become before the oldest goes. Default 90 days and
	// 8 GiB; below zero means no bound.
	Keep      time.Duration
	KeepBytes int64
	// Now is the clock of the records. Required.
	Now func() time.Time
	// Log receives what happens to the files, and how many reads were lost.
	// Required.
	Log *slog.Logger
}

// Log writes records. It is safe for concurrent use. One process at a time
// writes to a folder.
type Log struct {
	cfg  Config
	lost atomic.Int64

	syncing sync.Mutex // held while files are synced; taken before mu

	mu      sync.Mutex
	file    *os.File   // guarded by mu; nil after a failure and when closed
	size    int64      // guarded by mu
	begun   time.Time  // guarded by mu; of file
	retired []*os.File // guarded by mu; full ones, to be synced and closed
	open    *batch     // guarded by mu; what the next sync makes durable
	closed  bool       // guarded by mu
}

// batch is records that become durable together.
type batch struct {
	ended bool // guarded by Log.syncing
	err   error
}

// Open opens the log in cfg.Dir. An error names the folder.
func Open(cfg Config) (*Log, error) {
	if cfg.Mode == "" {
		cfg.Mode = Changes
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 64 << 20
	}
	if cfg.MaxAge == 0 {
		cfg.MaxAge = 24 * time.Hour
	}
	if cfg.Keep == 0 {
		cfg.Keep = 90 * 24 * time.Hour
	}
	if cfg.KeepBytes == 0 {
		cfg.KeepBytes = 8 << 30
	}
	l := &Log{cfg: cfg, open: &batch{}}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.turn(cfg.Now()); err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	return l, nil
}

// Change writes r, about a change that is allowed and not done yet. After the
// change, and before it is acknowledged, durable waits until r is on disk;
// others' records get there with it. Both errors mean that the change must not
// be acknowledged.
func (l *Log) Change(r Record) (durable func() error, err error) {
	b, full, err := l.write(r)
	if err != nil {
		return nil, err
	}
	if full {
		err = l.sync(b)
	}
	return func() error { return l.sync(b) }, err
}

// Denial writes r, about something that is denied.
func (l *Log) Denial(r Record) error {
	b, full, err := l.write(r)
	if full {
		err = errors.Join(err, l.sync(b))
	}
	return err
}

// Read writes r, about an allowed read, if the mode requires it. An error means that
// the read must be refused.
func (l *Log) Read(r Record) error {
	if l.cfg.Mode == Changes {
		return nil
	}
	err := l.Denial(r)
	if err != nil && l.cfg.Mode != Strict {
		l.lose(err)
		return nil
	}
	return err
}

// Attempt writes r, about what is refused in any case, such as a login. One
// that cannot be written is counted.
func (l *Log) Attempt(r Record) {
	if err := l.Denial(r); err != nil {
		l.lose(err)
	}
}

// lose counts a record, and says so from time to time.
func (l *Log) lose(err error) {
	if n := l.lost.Add(1); n&(n-1) == 0 {
		l.cfg.Log.Error("audit records of reads are lost", "lost", n, "error", err)
	}
}

// Lost returns how many records were lost since the log was opened.
func (l *Log) Lost() int64 { return l.lost.Load() }

// write appends a line. full tells the caller to sync, so that full files are
// closed.
func (l *Log) write(r Record) (b *batch, full bool, err error) {
	now := l.cfg.Now().UTC()
	r.Time = now
	line, err := json.Marshal(r.bounded())
	if err != nil {
		return nil, false, fmt.Errorf("audit log: %w", err)
	}
	line = append(line, '\n')
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, false, ErrClosed
	}
	if l.file == nil || l.size > 0 && (l.size+int64(len(line)) > l.cfg.MaxBytes || now.Sub(l.begun) >= l.cfg.MaxAge) {
		if err := l.turn(now); err != nil {
			return nil, false, fmt.Errorf("audit log: %w", err)
		}
	}
	if _, err := l.file.WriteAt(line, l.size); err != nil {
		// Half a line must not stay. Where that fails, too, the next record
		// begins another file.
		if terr := l.file.Truncate(l.size); terr != nil {
			err = errors.Join(err, terr)
			l.retire()
		}
		return nil, false, fmt.Errorf("audit log: %w", err)
	}
	l.size += int64(len(line))
	return l.open, len(l.retired) > 0, nil
}

// retire ends the file in use. The caller holds mu.
func (l *Log) retire() {
	if l.file != nil {
		l.retired = append(l.retired, l.file)
		l.file = nil
	}
}

// turn begins another file and removes old ones. The caller holds mu.
func (l *Log) turn(now time.Time) error {
	f, err := create(l.cfg.Dir, now)
	if err != nil {
		return err
	}
	l.retire()
	l.file, l.size, l.begun = f, 0, now
	if err := l.clean(now, filepath.Base(f.Name())); err != nil {
		l.cfg.Log.Warn("old audit files not removed", "error", err)
	}
	return nil
}

// sync makes the records of b durable, with all that came since.
func (l *Log) sync(b *batch) error {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	if b.ended {
		return b.err
	}
	l.mu.Lock()
	// b is the open batch: batches end under l.syncing.
	l.open = &batch{}
	retired, f := l.retired, l.file
	l.retired = nil
	l.mu.Unlock()
	b.ended = true
	for _, old := range retired {
		b.err = errors.Join(b.err, old.Sync(), old.Close())
	}
	if f != nil {
		if err := f.Sync(); err != nil {
			b.err = errors.Join(b.err, err)
			// What a failed sync left is not known, nor does trying again
			// tell: the records to come go to another file.
			l.mu.Lock()
			if l.file == f {
				l.retire()
			}
			l.mu.Unlock()
		}
	}
	if b.err != nil {
		b.err = fmt.Errorf("audit log: %w", b.err)
	}
	return b.err
}

// Close makes everything durable and closes the files.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	l.retire()
	b := l.open
	l.mu.Unlock()
	err := l.sync(b)
	if n := l.lost.Load(); n > 0 {
		l.cfg.Log.Error("audit records of reads were lost", "lost", n)
	}
	return err
}
