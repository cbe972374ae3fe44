// Package s3 keeps content in a bucket of Amazon S3 or of a store that speaks its
// protocol, for registries of one or many replicas:
//
//	PREFIX/kontor.json        which installation the prefix belongs to
//	PREFIX/blobs/ab/KEY       committed content; ab is the start of KEY
//	PREFIX/uploads/KEY/...    what an unfinished upload needs, see writer.go
//
// It guarantees what package blob asks for, as far as the store keeps what it
// acknowledged. It needs no order between replicas but that of the upload's row:
// what a writer stores is never written again, the state in the row says what
// belongs to the upload, and completing lists exactly that. It leaves out a lock
// against writers of other processes, which the database has.
//
// The reasons are in docs/design/0026-blobs-in-s3.md.
package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/url"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"github.com/kontor-registry/kontor/internal/store/blob"
)

// Config is what a store needs.
type Config struct {
	Bucket string // required
	// Region is required for Amazon S3; stores at an Endpoint take "us-east-1",
	// unless they were told another.
	Region string
	// Endpoint is the URL of the store; "" is Amazon S3 in Region.
	Endpoint string
	// PublicEndpoint is the URL by which clients reach the store, for Redirect.
	// "" is Endpoint.
	PublicEndpoint string
	// PathStyle puts the bucket into the path instead of the host name.
	PathStyle bool
	// Prefix is what the names of all objects begin with, "" or as "registry/eu".
	Prefix string

	// The credentials: keys, or files that hold them and are read when the store
	// is opened. Without any, those that the AWS SDK finds, as in the
	// environment, the shared files or the role of the machine.
	AccessKeyID, SecretAccessKey, SessionToken string
	AccessKeyIDFile, SecretAccessKeyFile       string

	// PayloadSigning says whether requests sign the bytes they send: "" where the
	// endpoint is plain HTTP, PayloadAlways or PayloadNever. A checksum is sent in
	// any case.
	PayloadSigning string
	// Redirect lets clients fetch blobs from the store itself, by URLs that are
	// valid for some minutes.
	Redirect bool

	// MemoryBytes bounds the buffers of all uploads together. 0 is 256 MiB; at
	// least 128 MiB.
	MemoryBytes int64
	// MemoryWait is how long an upload waits for a buffer. 0 is 10 seconds.
	MemoryWait time.Duration
	// InlineBytes is how many bytes at the end of an unfinished upload are kept in
	// its row and not in the store. 0 is 64 KiB, less than 0 is none.
	InlineBytes int
	// Attempts is how often a request is tried. 0 is 5.
	Attempts int
	// AnswerTimeout is how long to wait for an answer's beginning, and for each
	// piece of its body, before the request counts as failed. 0 is 30 seconds.
	AnswerTimeout time.Duration
	// MaxBackoff is the longest wait between two attempts. 0 is 5 seconds.
	MaxBackoff time.Duration
	// Log gets what an operator should know; nil drops it.
	Log *slog.Logger
}

// maxInline bounds Config.InlineBytes: each continuation of an upload writes the row.
const maxInline = 1 << 20

// PayloadAlways and PayloadNever are values of Config.PayloadSigning.
const (
	PayloadAlways = "always"
	PayloadNever  = "never"
)

// completeTimeout is how long completing a multipart upload may take: some
// stores copy the parts then.
const completeTimeout = 10 * time.Minute

// Store is a blob.Store in a bucket.
type Store struct {
	cfg    Config
	client *s3.Client
	slow   func(*s3.Options) // for requests that may take long to be answered
	prefix string            // "" or ends with "/"
	mem    *memory
	marker marker
	// checksums: the store keeps the CRC64NVME of an object and gives it back.
	checksums bool
	// unconditional: the store refuses requests with If-None-Match.
	unconditional atomic.Bool

	mu      sync.Mutex
	writing map[blob.Key]struct{} // guarded by mu; keys that have a writer here
}

var (
	_ blob.Store      = (*Store)(nil)
	_ blob.Verifier   = (*Store)(nil)
	_ blob.Redirector = (*Store)(nil)
	_ blob.Installed  = (*Store)(nil)
)

// Open opens the store, and makes its marker where the prefix is empty.
// blob.ErrUnavailable where it does not answer.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	s, err := newStore(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("opening the blob store: %w", err)
	}
	if err := s.open(ctx); err != nil {
		return nil, fmt.Errorf("opening the blob store in s3://%s/%s: %w", cfg.Bucket, s.prefix, err)
	}
	return s, nil
}

func newStore(ctx context.Context, cfg Config) (*Store, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s := &Store{cfg: cfg, writing: map[blob.Key]struct{}{}}
	if p := strings.Trim(cfg.Prefix, "/"); p != "" {
		s.prefix = p + "/"
	}
	s.mem = newMemory(cfg.MemoryBytes, int64(cfg.InlineBytes), cfg.MemoryWait)
	var err error
	s.client, s.slow, err = newClient(ctx, &s.cfg)
	return s, err
}

// Check says what is wrong with c, without connecting to the store.
func (c Config) Check() error { return c.check() }

// check completes c, and says what is wrong with it.
func (c *Config) check() error {
	switch {
	case c.Bucket == "":
		return errors.New("no bucket given")
	case c.Region == "" && c.Endpoint == "":
		return errors.New("no region given, in which the bucket is")
	case c.PayloadSigning != "" && c.PayloadSigning != PayloadAlways && c.PayloadSigning != PayloadNever:
		return fmt.Errorf("unknown payload signing %q: use %q, %q or nothing", c.PayloadSigning, PayloadAlways, PayloadNever)
	}
	for _, e := range []struct{ what, url string }{{"endpoint", c.Endpoint}, {"public endpoint", c.PublicEndpoint}} {
		if e.url == "" {
			continue
		}
		// Errors do not show it: it may have a password.
		u, err := url.Parse(e.url)
		switch {
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
			return fmt.Errorf("the %s is not a URL that begins with http:// or https://", e.what)
		case u.User != nil:
			return fmt.Errorf("the %s has a user or a password in it: give access_key_id and secret_access_key instead", e.what)
		}
	}
	if p := strings.Trim(c.Prefix, "/"); p != "" && (path.Clean(p) != p || strings.HasPrefix(p, ".")) {
		return fmt.Errorf("the prefix %q has empty or dotted parts", c.Prefix)
	}
	if c.Region == "" {
		c.Region = "us-east-1"
	}
	if c.MemoryBytes == 0 {
		c.MemoryBytes = 256 << 20
	}
	if c.MemoryBytes < LeastMemory {
		return fmt.Errorf("%d bytes for buffers of uploads are too few: at least %d", c.MemoryBytes, LeastMemory)
	}
	switch {
	case c.InlineBytes == 0:
		c.InlineBytes = 64 << 10
	case c.InlineBytes < 0:
		c.InlineBytes = 0
	case c.InlineBytes > maxInline:
		return fmt.Errorf("%d bytes of an upload in its row are too many: at most %d", c.InlineBytes, maxInline)
	}
	if c.MemoryWait == 0 {
		c.MemoryWait = 10 * time.Second
	}
	if c.Attempts == 0 {
		c.Attempts = 5
	}
	if c.AnswerTimeout == 0 {
		c.AnswerTimeout = 30 * time.Second
	}
	if c.MaxBackoff == 0 {
		c.MaxBackoff = 5 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

func (s *Store) blob(key blob.Key) string {
	return s.prefix + "blobs/" + string(key[:2]) + "/" + string(key)
}

// upload is what the names of an upload's objects begin with.
func (s *Store) upload(key blob.Key) string { return s.prefix + "uploads/" + string(key) + "/" }

// isKey reports whether s is a key. Nothing else ever becomes part of a path.
func isKey(s string) bool { return blob.Key(s).Valid() }

// check is the beginning of every operation.
func check(ctx context.Context, key blob.Key) error {
	if !isKey(string(key)) {
		return fmt.Errorf("%w: key %q is not 32 lower-case hex digits", blob.ErrNotFound, key)
	}
	return ctx.Err()
}

// lock makes the caller the only writer of key in this process until unlock.
// ErrBusy.
func (s *Store) lock(key blob.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.writing[key]; ok {
		return fmt.Errorf("%w: %s", blob.ErrBusy, key)
	}
	s.writing[key] = struct{}{}
	return nil
}

func (s *Store) unlock(key blob.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.writing, key)
}

// Verified implements blob.Verifier.
func (s *Store) Verified() bool { return s.checksums }

// Discard removes an unfinished upload: the multipart uploads that its markers
// name, and its objects.
func (s *Store) Discard(ctx context.Context, key blob.Key) error {
	if err := check(ctx, key); err != nil {
		return err
	}
	if err := s.lock(key); err != nil {
		return err
	}
	defer s.unlock(key)
	if err := s.discard(ctx, key); err != nil {
		return fmt.Errorf("discarding upload %s: %w", key, err)
	}
	return nil
}

// discard is Discard for the holder of the lock.
func (s *Store) discard(ctx context.Context, key blob.Key) error {
	var g errgroup.Group
	g.SetLimit(parallelRemovals)
	listed := s.list(ctx, s.upload(key), func(o object) error {
		g.Go(func() error { return s.removeUploadObject(ctx, key, o.name) })
		return nil
	})
	return errors.Join(listed, g.Wait())
}

const parallelRemovals = 8

// removeUploadObject removes one object of an upload. Of a marker the multipart
// upload goes first, so that it can be found again when that fails.
func (s *Store) removeUploadObject(ctx context.Context, key blob.Key, name string) error {
	if strings.HasPrefix(path.Base(name), multipartMarker) {
		id, err := s.getSmall(ctx, name)
		if errors.Is(err, blob.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.abort(ctx, key, string(id)); err != nil {
			return err
		}
	}
	return s.remove(ctx, name)
}

// abort aborts a multipart upload; that there is none is fine.
func (s *Store) abort(ctx context.Context, key blob.Key, id string) error {
	_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
		Bucket: &s.cfg.Bucket, Key: aws.String(s.blob(key)), UploadId: &id,
	})
	if err != nil && code(err) != "NoSuchUpload" {
		return s.failed("s3:AbortMultipartUpload", s.blob(key), err)
	}
	return nil
}

// remove removes an object; that there is none is fine.
func (s *Store) remove(ctx context.Context, name string) error {
	_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.cfg.Bucket, Key: &name})
	if err := s.failed("s3:DeleteObject", name, err); err != nil && !errors.Is(err, blob.ErrNotFound) {
		return err
	}
	return nil
}

// Delete removes committed content.
func (s *Store) Delete(ctx context.Context, key blob.Key) error {
	if err := check(ctx, key); err != nil {
		return err
	}
	if err := s.remove(ctx, s.blob(key)); err != nil {
		return fmt.Errorf("deleting blob %s: %w", key, err)
	}
	return nil
}

// object is an entry of a listing.
type object struct {
	name     string
	size     int64
	modified time.Time
}

// list calls each with the objects whose names begin with prefix, in byte order.
func (s *Store) list(ctx context.Context, prefix string, each func(object) error) error {
	pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: &s.cfg.Bucket, Prefix: &prefix})
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !pages.HasMorePages() {
			return nil
		}
		page, err := pages.NextPage(ctx)
		if err != nil {
			return s.failed("s3:ListBucket", prefix, err)
		}
		for _, o := range page.Contents {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := each(object{name: aws.ToString(o.Key), size: aws.ToInt64(o.Size), modified: aws.ToTime(o.LastModified).UTC()}); err != nil {
				return err
			}
		}
	}
}

// errStopped ends a listing whose consumer has enough.
var errStopped = errors.New("listing stopped")

// List yields all committed content, and after it the uploads that have objects;
// after an error it yields nothing more. An upload whose bytes are all in its row
// has none. Of the others the size leaves out what multipart uploads hold.
func (s *Store) List(ctx context.Context) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		err := s.list(ctx, s.prefix+"blobs/", func(o object) error {
			key := blob.Key(path.Base(o.name))
			if !isKey(string(key)) || o.name != s.blob(key) {
				return nil
			}
			if !yield(blob.Info{Key: key, SizeBytes: o.size, ModTime: o.modified}, nil) {
				return errStopped
			}
			return nil
		})
		if err == nil {
			err = s.listUploads(ctx, func(i blob.Info) bool { return yield(i, nil) })
		}
		if err != nil && !errors.Is(err, errStopped) {
			yield(blob.Info{}, fmt.Errorf("listing the blobs: %w", err))
		}
	}
}

// listUploads puts the objects of each upload together: they follow each other.
func (s *Store) listUploads(ctx context.Context, yield func(blob.Info) bool) error {
	var at blob.Info
	err := s.list(ctx, s.prefix+"uploads/", func(o object) error {
		key, name, ok := strings.Cut(strings.TrimPrefix(o.name, s.prefix+"uploads/"), "/")
		if !ok || !isKey(key) {
			return nil
		}
		if at.Key != "" && at.Key != blob.Key(key) {
			if !yield(at) {
				return errStopped
			}
			at = blob.Info{}
		}
		at.Key, at.Upload = blob.Key(key), true
		if !strings.HasPrefix(name, multipartMarker) {
			at.SizeBytes += o.size
		}
		if o.modified.After(at.ModTime) {
			at.ModTime = o.modified
		}
		return nil
	})
	if err == nil && at.Key != "" && !yield(at) {
		return errStopped
	}
	return err
}

// getSmall reads an object that Kontor wrote, of at most one part. ErrNotFound.
func (s *Store) getSmall(ctx context.Context, name string) ([]byte, error) {
	f, err := s.openObject(ctx, name)
	if err != nil {
		return nil, err
	}
	if f.size > maxPart {
		return nil, errors.Join(fmt.Errorf("object %s has %d bytes, which Kontor did not write", name, f.size), f.Close())
	}
	b := make([]byte, f.size)
	_, err = io.ReadFull(f, b)
	return b, errors.Join(err, f.Close())
}

// Redirect implements blob.Redirector. The URL is signed for GET alone: stores
// refuse HEAD with it.
func (s *Store) Redirect(ctx context.Context, key blob.Key) (string, error) {
	if !s.cfg.Redirect {
		return "", nil
	}
	if err := check(ctx, key); err != nil {
		return "", err
	}
	valid, err := s.redirectFor(ctx)
	if err != nil {
		return "", err
	}
	signed, err := s3.NewPresignClient(s.client, s3.WithPresignExpires(valid), s3.WithPresignClientFromClientOptions(func(o *s3.Options) {
		if s.cfg.PublicEndpoint != "" {
			o.BaseEndpoint = &s.cfg.PublicEndpoint
		}
	})).PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &s.cfg.Bucket, Key: aws.String(s.blob(key))})
	if err != nil {
		return "", fmt.Errorf("signing a URL of blob %s: %w", key, err)
	}
	return signed.URL, nil
}

// redirectMax is how long a URL is valid, where the credentials are valid as long.
const redirectMax = 5 * time.Minute

// redirectFor is how long a URL made now is valid. A URL is never valid longer
// than the credentials that signed it.
func (s *Store) redirectFor(ctx context.Context) (time.Duration, error) {
	c, err := s.client.Options().Credentials.Retrieve(ctx)
	if err != nil {
		return 0, s.failed("", "", err)
	}
	if !c.CanExpire {
		return redirectMax, nil
	}
	left := time.Until(c.Expires).Truncate(time.Second)
	if left < time.Second {
		return 0, fmt.Errorf("%w: the credentials of the store have expired", blob.ErrUnavailable)
	}
	return min(redirectMax, left), nil
}
