package s3

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/kontor-registry/kontor/internal/pgtest"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/blob/s3"
	"github.com/kontor-registry/kontor/test/cluster"
)

const (
	accessKey = cluster.AccessKey
	secretKey = cluster.SecretKey
)

// gateway is the server that all tests share. Each test has its own bucket.
var gateway cluster.Gateway

func TestMain(m *testing.M) {
	if os.Getenv("KONTOR_BIN") == "" {
		fmt.Fprintln(os.Stderr, "KONTOR_BIN is not set: run `go run ./test/all -only s3` in the root of the project")
		os.Exit(1)
	}
	code, err := cluster.Run(func(g cluster.Gateway) int {
		gateway = g
		return pgtest.Run(m.Run)
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// ended forgives that a process was killed.
func ended(err error) error { return cluster.Killed(err) }

var buckets atomic.Int64

// newBucket makes a bucket.
func newBucket(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("kontor-test-%d", buckets.Add(1))
	if _, err := client().CreateBucket(context.Background(), &awss3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatalf("making bucket %s: %v", name, err)
	}
	return name
}

// client is one that is not under test.
var client = sync.OnceValue(func() *awss3.Client {
	return clientOf(accessKey, secretKey)
})

func clientOf(id, secret string) *awss3.Client {
	return awss3.New(awss3.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://" + gateway.Addr), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(id, secret, ""),
	})
}

// config is that of a store in bucket.
func config(bucket string) s3.Config {
	return s3.Config{
		Bucket: bucket, Region: "us-east-1", Endpoint: "http://" + gateway.Addr, PathStyle: true, Prefix: "registry",
		AccessKeyID: accessKey, SecretAccessKey: secretKey, AnswerTimeout: time.Minute, MaxBackoff: 50 * time.Millisecond,
	}
}

func open(t testing.TB, cfg s3.Config) *s3.Store {
	t.Helper()
	s, err := s3.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// objects are the names of all objects in the bucket, without the marker.
func objects(t testing.TB, bucket string) []string {
	t.Helper()
	var names []string
	pages := awss3.NewListObjectsV2Paginator(client(), &awss3.ListObjectsV2Input{Bucket: &bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			if name := aws.ToString(o.Key); !strings.HasSuffix(name, "/kontor.json") && !strings.HasSuffix(name, "/database") {
				names = append(names, name)
			}
		}
	}
	return names
}

// multiparts is the number of multipart uploads under way.
func multiparts(t testing.TB, bucket string) int {
	t.Helper()
	out, err := client().ListMultipartUploads(context.Background(), &awss3.ListMultipartUploadsInput{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	return len(out.Uploads)
}

// content is size reproducible bytes, different for each seed.
func content(seed uint64, size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(b) // never fails
	return b
}

// appendTo continues an upload from p with b.
func appendTo(t testing.TB, s blob.Store, key blob.Key, p blob.Progress, b []byte) blob.Writer {
	t.Helper()
	w, err := s.Append(context.Background(), key, p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	return w
}

// replace puts other content in a blob's place, past the store.
func replace(t testing.TB, bucket string, key blob.Key, b []byte) {
	t.Helper()
	name := "registry/blobs/" + string(key[:2]) + "/" + string(key)
	if _, err := client().PutObject(context.Background(), &awss3.PutObjectInput{Bucket: &bucket, Key: &name, Body: bytes.NewReader(b)}); err != nil {
		t.Fatal(err)
	}
}
