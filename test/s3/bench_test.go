package s3

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
)

// sizes are those of a config, a small layer, a layer and a large layer.
var sizes = []int{4 << 10, 1 * mib, 30 * mib, 100 * mib}

// BenchmarkPush compares a blob that is pushed at once, and as docker does with a
// second request for its end, with one PutObject of the SDK. Both are measured in
// turn; x-raw is how many times as long the store takes.
func BenchmarkPush(b *testing.B) {
	for _, size := range sizes {
		for _, requests := range []int{1, 2} {
			b.Run(fmt.Sprintf("%d-KiB/%d-requests", size>>10, requests), func(b *testing.B) {
				bucket := newBucket(b)
				s := open(b, config(bucket))
				body := content(1, size)
				digest := ecr.DigestOf(body)
				compare(b, size, func() {
					key := blob.NewKey()
					w := appendTo(b, s, key, blob.Progress{}, body)
					if requests == 2 {
						p, err := w.Suspend(b.Context())
						if err != nil {
							b.Fatal(err)
						}
						w = appendTo(b, s, key, p, nil)
					}
					if _, err := w.Commit(b.Context(), digest); err != nil {
						b.Fatal(err)
					}
				}, func() { rawPut(b, bucket, body) })
			})
		}
	}
}

// BenchmarkPull compares reading a blob with GetObject of the SDK.
func BenchmarkPull(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprintf("%d-KiB", size>>10), func(b *testing.B) {
			bucket := newBucket(b)
			s := open(b, config(bucket))
			body, key := content(1, size), blob.NewKey()
			if _, err := appendTo(b, s, key, blob.Progress{}, body).Commit(b.Context(), ecr.DigestOf(body)); err != nil {
				b.Fatal(err)
			}
			rawPut(b, bucket, body)
			compare(b, size, func() {
				f, err := s.Open(b.Context(), key)
				if err != nil {
					b.Fatal(err)
				}
				n, err := io.Copy(io.Discard, f)
				if err := errors.Join(err, f.Close()); err != nil || n != int64(size) {
					b.Fatal(n, err)
				}
			}, func() {
				out, err := client().GetObject(b.Context(), &awss3.GetObjectInput{Bucket: &bucket, Key: aws.String("raw")})
				if err != nil {
					b.Fatal(err)
				}
				n, err := io.Copy(io.Discard, out.Body)
				if err := errors.Join(err, out.Body.Close()); err != nil || n != int64(size) {
					b.Fatal(n, err)
				}
			})
		})
	}
}

func rawPut(b *testing.B, bucket string, body []byte) {
	_, err := client().PutObject(b.Context(), &awss3.PutObjectInput{Bucket: &bucket, Key: aws.String("raw"), Body: bytes.NewReader(body)})
	if err != nil {
		b.Fatal(err)
	}
}

// compare runs both in turn.
func compare(b *testing.B, size int, store, raw func()) {
	b.Helper()
	var took, took2 time.Duration
	b.SetBytes(int64(size))
	for b.Loop() {
		start := time.Now()
		store()
		took += time.Since(start)
		b.StopTimer()
		start = time.Now()
		raw()
		took2 += time.Since(start)
		b.StartTimer()
	}
	b.ReportMetric(took.Seconds()/took2.Seconds(), "x-raw")
}
