package s3

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/blob/blobtest"
	"github.com/kontor-registry/kontor/internal/store/blob/s3"
	"github.com/kontor-registry/kontor/internal/testkit/faults"
)

// medium creates a bucket for each test.
func medium(change func(*s3.Config)) func(t testing.TB) blobtest.Medium {
	return func(t testing.TB) blobtest.Medium {
		cfg := config(newBucket(t))
		if change != nil {
			change(&cfg)
		}
		return func(t testing.TB) blob.Store { return open(t, cfg) }
	}
}

func TestSuite(t *testing.T) {
	blobtest.RunWith(t, blobtest.Traits{Shared: true, Inline: true}, medium(nil))
}

// What is in the row by default is in objects here.
func TestSuiteWithTails(t *testing.T) {
	blobtest.RunWith(t, blobtest.Traits{Shared: true}, medium(func(c *s3.Config) { c.InlineBytes = -1 }))
}

// wantObjects checks what the bucket holds, except for the marker.
func wantObjects(t *testing.T, bucket string, want ...string) {
	t.Helper()
	if got := objects(t, bucket); !slices.Equal(got, want) || multiparts(t, bucket) > 0 {
		t.Errorf("the bucket holds %q and %d multipart uploads, want %q", got, multiparts(t, bucket), want)
	}
}

func commit(t *testing.T, w blob.Writer, b []byte) {
	t.Helper()
	if _, err := w.Commit(t.Context(), ecr.DigestOf(b)); err != nil {
		t.Fatal(err)
	}
}

func suspend(t *testing.T, w blob.Writer) blob.Progress {
	t.Helper()
	p, err := w.Suspend(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func wantContent(t *testing.T, s *s3.Store, key blob.Key, want []byte) {
	t.Helper()
	f, err := s.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("blob %s: %d bytes that are not the %d committed", key, len(got), len(want))
	}
}

const mib = 1 << 20

// Content of several parts, in one request and in many, with ends around the size
// of a part: it is right, it has the checksum, and nothing else is left.
func TestParts(t *testing.T) {
	for _, size := range []int{8*mib - 1, 8 * mib, 8*mib + 1, 17*mib + 5} {
		for _, chunk := range []int{size, 3*mib + 1, 8 * mib} {
			t.Run(fmt.Sprintf("%d by %d", size, chunk), func(t *testing.T) {
				bucket := newBucket(t)
				cfg := config(bucket)
				b, key := content(1, size), blob.NewKey()
				var p blob.Progress
				for int(p.Offset)+chunk < size {
					p = suspend(t, appendTo(t, open(t, cfg), key, p, b[p.Offset:int(p.Offset)+chunk]))
				}
				commit(t, appendTo(t, open(t, cfg), key, p, b[p.Offset:]), b)
				s := open(t, cfg)
				wantContent(t, s, key, b)
				name := "registry/blobs/" + string(key[:2]) + "/" + string(key)
				wantObjects(t, bucket, name)
				head, err := client().HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: &bucket, Key: &name, ChecksumMode: types.ChecksumModeEnabled})
				if err != nil {
					t.Fatal(err)
				}
				sum := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, crc64nvme(b)))
				if aws.ToString(head.ChecksumCRC64NVME) != sum || head.ChecksumType == types.ChecksumTypeComposite {
					t.Errorf("checksum %q (%s), want %q of the whole object", aws.ToString(head.ChecksumCRC64NVME), head.ChecksumType, sum)
				}
			})
		}
	}
}

func crc64nvme(b []byte) uint64 { return crc64.Checksum(b, crc64.MakeTable(0x9a6c9329ac4bc9b5)) }

// A layer that is pushed as docker pushes it, the content and then the end, and one
// pushed at once: the first needs the object of its end in addition.
func TestRequestsOfAPush(t *testing.T) {
	proxy := faults.Start(t, gateway.Addr)
	cfg := config(newBucket(t))
	cfg.Endpoint = proxy.URL
	s := open(t, cfg)
	for _, c := range []struct {
		name     string
		size     int
		chunked  bool
		requests int64
	}{
		{"config at once: PutObject", 5_000, false, 1},
		{"config, then its end: PutObject", 5_000, true, 1},
		{"layer at once: PutObject", 3 * mib, false, 1},
		{"layer, then its end: PutObject of the tail, GetObject, PutObject, DeleteObject", 3 * mib, true, 4},
		{"20 MiB at once: CreateMultipartUpload, marker, 3 parts, Complete, DeleteObject", 20 * mib, false, 7},
		{"20 MiB, then its end: the same and the tail, 3 requests more", 20 * mib, true, 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, key := content(1, c.size), blob.NewKey()
			before := proxy.Forwarded.Load()
			w := appendTo(t, s, key, blob.Progress{}, b)
			if c.chunked {
				w = appendTo(t, s, key, suspend(t, w), nil)
			}
			commit(t, w, b)
			if n := proxy.Forwarded.Load() - before; n != c.requests {
				t.Errorf("%d requests, want %d", n, c.requests)
			}
			before = proxy.Forwarded.Load()
			wantContent(t, s, key, b)
			if n := proxy.Forwarded.Load() - before; n != 1 {
				t.Errorf("%d requests to read it, want 1", n)
			}
		})
	}
}

// What another writer of the same upload has stored in its place is refused, and
// never becomes part of the content.
func TestZombieWriter(t *testing.T) {
	bucket := newBucket(t)
	b, key := content(1, 20*mib), blob.NewKey()
	p := suspend(t, appendTo(t, open(t, config(bucket)), key, blob.Progress{}, b[:9*mib]))

	// Two processes have the upload. The zombie stores its part 2 after ours.
	mine := appendTo(t, open(t, config(bucket)), key, p, b[9*mib:])
	after := suspend(t, mine)
	zombie := appendTo(t, open(t, config(bucket)), key, p, content(2, 11*mib))
	suspend(t, zombie)

	w := appendTo(t, open(t, config(bucket)), key, after, nil)
	if d, err := w.Commit(t.Context(), ecr.DigestOf(b)); err == nil {
		t.Errorf("committed as %s with a part of another writer", d)
	}
	s := open(t, config(bucket))
	if _, err := s.Open(t.Context(), key); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("opening it: %v, want ErrNotFound", err)
	}
	if err := s.Discard(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	wantObjects(t, bucket)
}

// Two processes complete one upload: both are told that it is done, when the
// content is the same, and the second is refused otherwise.
func TestCommittedTwice(t *testing.T) {
	for _, size := range []int{1000, 10 * mib} {
		for _, same := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d bytes, the same %v", size, same), func(t *testing.T) {
				cfg := config(newBucket(t))
				b, key := content(1, size), blob.NewKey()
				other := b
				if !same {
					other = content(2, size)
				}
				first := appendTo(t, open(t, cfg), key, blob.Progress{}, b)
				second := appendTo(t, open(t, cfg), key, blob.Progress{}, other)
				commit(t, first, b)
				_, err := second.Commit(t.Context(), ecr.DigestOf(other))
				if same && err != nil || !same && !errors.Is(err, blob.ErrNotFound) {
					t.Errorf("the second: %v", err)
				}
				wantContent(t, open(t, cfg), key, b)
			})
		}
	}
}

// A process is killed in the middle of an upload: the sweep finds what it left.
func TestKilled(t *testing.T) {
	bucket := newBucket(t)
	keys := []blob.Key{blob.NewKey(), blob.NewKey()}
	s := open(t, config(bucket))
	suspend(t, appendTo(t, s, keys[0], blob.Progress{}, content(1, 9*mib)))
	appendTo(t, s, keys[1], blob.Progress{}, content(1, 17*mib)) // is never ended
	if n := multiparts(t, bucket); n != 2 {
		t.Fatalf("%d multipart uploads, want 2", n)
	}
	s = open(t, config(bucket))
	var found []blob.Key
	for i, err := range s.List(t.Context()) {
		if err != nil || !i.Upload {
			t.Fatalf("List: %+v, %v", i, err)
		}
		found = append(found, i.Key)
		if err := s.Discard(t.Context(), i.Key); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(found)
	slices.Sort(keys)
	if !slices.Equal(found, keys) {
		t.Errorf("found uploads %q, want %q", found, keys)
	}
	wantObjects(t, bucket)
}

// Far more uploads than there is memory for: none waits for one that waits.
func TestLittleMemory(t *testing.T) {
	cfg := config(newBucket(t))
	cfg.MemoryBytes, cfg.MemoryWait = 128*mib, 5*time.Minute
	s := open(t, cfg)
	var g errgroup.Group
	for i := range 24 {
		g.Go(func() error {
			b, key := content(uint64(i), 9*mib), blob.NewKey()
			w, err := s.Append(t.Context(), key, blob.Progress{})
			if err != nil {
				return err
			}
			if _, err := w.Write(b); err != nil {
				return errors.Join(err, w.Abort())
			}
			_, err = w.Commit(t.Context(), ecr.DigestOf(b))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

// A store that has no more memory says so, as an error that passes.
func TestNoMemoryLeft(t *testing.T) {
	cfg := config(newBucket(t))
	cfg.MemoryBytes, cfg.MemoryWait = 128*mib, time.Millisecond
	s := open(t, cfg)
	var err error
	for range 20 {
		var w blob.Writer
		if w, err = s.Append(t.Context(), blob.NewKey(), blob.Progress{}); err != nil {
			break
		}
		if _, err = w.Write(content(1, mib)); err != nil {
			break
		}
	}
	if !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}
