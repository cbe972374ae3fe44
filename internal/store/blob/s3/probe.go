package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/store/blob"
)

// Probe tries what a Store does with objects below PREFIX/probe/, which it removes
// again, and says what the store can do. The marker is neither read nor made. An
// error is one of cfg; what the store cannot do is in the report.
func Probe(ctx context.Context, cfg Config) (report.Storage, error) {
	s, err := newStore(ctx, cfg)
	if err != nil {
		return report.Storage{}, err
	}
	if _, err := s.client.Options().Credentials.Retrieve(ctx); err != nil {
		return report.Storage{}, fmt.Errorf("no credentials for the store are found: give an access key id and a secret access key, or set the environment as for the AWS CLI: %w", err)
	}
	p := &prober{s: s, ctx: ctx, name: s.prefix + "probe/" + string(blob.NewKey())}
	p.run()
	p.out.Bucket, p.out.Prefix = cfg.Bucket, s.prefix
	return p.out, ctx.Err()
}

// prober is a probe under way.
type prober struct {
	s    *Store
	ctx  context.Context // of Probe, which is over when it returns
	name string
	out  report.Storage
}

// probeBody is the content of small objects.
var probeBody = []byte("written by kontor admin storage probe, can be deleted\n")

// run runs the checks. Without the right to write there is nothing else to see.
func (p *prober) run() {
	if !p.write() {
		return
	}
	p.read()
	p.list()
	p.conditional()
	p.multipart()
	p.latency()
	p.remove()
}

func (p *prober) add(name string, status report.StorageStatus, format string, args ...any) {
	p.out.Checks = append(p.out.Checks, report.StorageCheck{Name: name, Status: status, Detail: fmt.Sprintf(format, args...)})
}

// failed adds a check that failed with err, and reports whether there was one.
func (p *prober) failed(name, right, object string, err error) bool {
	if err = p.s.failed(right, object, err); err == nil {
		return false
	}
	p.add(name, report.StorageFailed, "%v", err)
	return true
}

// write stores a small object with its checksum.
func (p *prober) write() bool {
	in := &s3.PutObjectInput{
		Bucket: &p.s.cfg.Bucket, Key: &p.name, Body: bytes.NewReader(probeBody), ChecksumCRC64NVME: aws.String(encodeCRC(crcOf(probeBody))),
	}
	sent := time.Now()
	out, err := p.s.client.PutObject(p.ctx, in)
	if p.failed("write", "s3:PutObject", p.name, err) {
		return false
	}
	p.add("write", report.StorageOK, "PutObject")
	if at, ok := awsmiddleware.GetServerTime(out.ResultMetadata); ok {
		// The store's clock tells seconds.
		skew := at.Sub(sent).Truncate(time.Second)
		p.out.ClockSkewMillis = skew.Milliseconds()
		if skew.Abs() > time.Minute {
			p.add("clock", report.StorageNotice, "the clocks differ by %v: set this machine's, as stores refuse requests that are 15 minutes off", skew.Abs())
		} else {
			p.add("clock", report.StorageOK, "differs by less than a minute")
		}
	}
	if v := aws.ToString(out.VersionId); v != "" && v != "null" {
		p.add("versioning", report.StorageNotice, "the bucket keeps old versions: what Kontor deletes stays and costs, until a lifecycle rule with NoncurrentVersionExpiration removes it")
	} else {
		p.add("versioning", report.StorageOK, "off")
	}
	return true
}

// read reads the object back, and sees whether the store checks checksums.
func (p *prober) read() {
	f, err := p.s.openObject(p.ctx, p.name)
	if err != nil {
		p.add("read", report.StorageFailed, "%v", err)
		return
	}
	got, err := io.ReadAll(f)
	sum := f.sum
	if err := errors.Join(err, f.Close()); err != nil || !bytes.Equal(got, probeBody) {
		p.add("read", report.StorageFailed, "what was written is not what is read: %d bytes, %v", len(got), err)
		return
	}
	part := make([]byte, 5)
	if _, err := f.ReadAt(part, 8); err != nil || !bytes.Equal(part, probeBody[8:13]) {
		p.add("read", report.StorageFailed, "a range of an object is not what was written there: %v", err)
		return
	}
	p.add("read", report.StorageOK, "GetObject, ranges")
	wrong := probeBody[1:]
	_, err = p.s.client.PutObject(p.ctx, &s3.PutObjectInput{
		Bucket: &p.s.cfg.Bucket, Key: aws.String(p.name + "-wrong"), Body: bytes.NewReader(wrong), ChecksumCRC64NVME: aws.String(encodeCRC(crcOf(probeBody))),
	})
	switch {
	case sum == "":
		p.add("checksums", report.StorageNotice, "the store keeps no CRC64NVME: Kontor reads each blob whole before it serves it, once a day")
	case err == nil:
		p.add("checksums", report.StorageNotice, "the store keeps a CRC64NVME that it does not compare with the content")
	default:
		p.add("checksums", report.StorageOK, "CRC64NVME is compared and kept")
	}
}

func (p *prober) list() {
	found := false
	err := p.s.list(p.ctx, p.name, func(object) error { found = true; return nil })
	switch {
	case p.failed("list", "s3:ListBucket", p.name, err):
	case !found:
		p.add("list", report.StorageFailed, "an object that was written is not listed")
	default:
		p.add("list", report.StorageOK, "ListObjectsV2")
	}
}

// conditional writes the object once more on the condition that it is not there.
func (p *prober) conditional() {
	_, err := p.s.client.PutObject(p.ctx, &s3.PutObjectInput{
		Bucket: &p.s.cfg.Bucket, Key: &p.name, Body: bytes.NewReader(probeBody), IfNoneMatch: aws.String("*"),
	})
	switch {
	case exists(err):
		p.add("conditional writes", report.StorageOK, "If-None-Match")
	case err == nil:
		p.add("conditional writes", report.StorageNotice, "the store ignores If-None-Match, so that nothing but Kontor's database keeps two installations from one prefix")
	case status(err) == http.StatusNotImplemented:
		p.add("conditional writes", report.StorageNotice, "the store does not know If-None-Match; Kontor does without")
	default:
		p.failed("conditional writes", "s3:PutObject", p.name, err)
	}
}

// multipart uploads two parts as a large blob is uploaded, and aborts another.
func (p *prober) multipart() {
	const check = "multipart"
	name := p.name + "-parts"
	content := bytes.Repeat([]byte{'k'}, basePart+1000)
	create := func(sums bool) (*s3.CreateMultipartUploadOutput, error) {
		in := &s3.CreateMultipartUploadInput{Bucket: &p.s.cfg.Bucket, Key: &name}
		if sums {
			in.ChecksumAlgorithm, in.ChecksumType = types.ChecksumAlgorithmCrc64nvme, types.ChecksumTypeFullObject
		}
		return p.s.client.CreateMultipartUpload(p.ctx, in)
	}
	aborted, err := create(false)
	if p.failed(check, "s3:PutObject", name, err) {
		return
	}
	_, err = p.s.client.AbortMultipartUpload(p.ctx, &s3.AbortMultipartUploadInput{Bucket: &p.s.cfg.Bucket, Key: &name, UploadId: aborted.UploadId})
	if p.failed(check, "s3:AbortMultipartUpload", name, err) {
		return
	}
	sums := slices.ContainsFunc(p.out.Checks, func(c report.StorageCheck) bool { return c.Name == "checksums" && c.Status == report.StorageOK })
	up, err := create(sums)
	if p.failed(check, "s3:PutObject", name, err) {
		return
	}
	completed := false
	defer func() {
		if !completed {
			// The checks have said what is wrong; the bucket's rule removes what stays.
			_, _ = p.s.client.AbortMultipartUpload(context.WithoutCancel(p.ctx), &s3.AbortMultipartUploadInput{Bucket: &p.s.cfg.Bucket, Key: &name, UploadId: up.UploadId})
		}
	}()
	var parts []types.CompletedPart
	for i, b := range [][]byte{content[:basePart], content[basePart:]} {
		n := aws.Int32(int32(i + 1)) // 1 and 2
		in := &s3.UploadPartInput{Bucket: &p.s.cfg.Bucket, Key: &name, UploadId: up.UploadId, PartNumber: n, Body: bytes.NewReader(b)}
		done := types.CompletedPart{PartNumber: n}
		if sums {
			in.ChecksumCRC64NVME = aws.String(encodeCRC(crcOf(b)))
			done.ChecksumCRC64NVME = in.ChecksumCRC64NVME
		}
		out, err := p.s.client.UploadPart(p.ctx, in)
		if p.failed(check, "s3:PutObject", name, err) {
			return
		}
		done.ETag = out.ETag
		parts = append(parts, done)
	}
	complete := func(list []types.CompletedPart) error {
		in := &s3.CompleteMultipartUploadInput{
			Bucket: &p.s.cfg.Bucket, Key: &name, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: list},
		}
		if sums {
			in.ChecksumCRC64NVME, in.ChecksumType = aws.String(encodeCRC(crcOf(content))), types.ChecksumTypeFullObject
		}
		_, err := p.s.client.CompleteMultipartUpload(p.ctx, in, p.s.slow)
		return err
	}
	// As after another process has written over a part.
	other := slices.Clone(parts)
	other[0].ETag = aws.String(`"` + strings.Repeat("0", 32) + `"`)
	if complete(other) == nil {
		completed = true
		p.add(check, report.StorageFailed, "the store completes an upload with a part that was not listed: blobs could be wrong")
		return
	}
	if p.failed(check, "s3:PutObject", name, complete(parts)) {
		return
	}
	completed = true
	head, err := p.s.client.HeadObject(p.ctx, &s3.HeadObjectInput{Bucket: &p.s.cfg.Bucket, Key: &name}, withChecksum)
	switch {
	case p.failed(check, "s3:GetObject", name, err):
	case aws.ToInt64(head.ContentLength) != int64(len(content)):
		p.add(check, report.StorageFailed, "an object of two parts has %d bytes, want %d", aws.ToInt64(head.ContentLength), len(content))
	case sums && fullChecksum(head.ChecksumCRC64NVME, head.ChecksumType) != encodeCRC(crcOf(content)):
		p.add(check, report.StorageNotice, "an object of parts has no checksum of its whole")
	default:
		p.add(check, report.StorageOK, "parts of 8 MiB, aborting")
	}
}

// latency writes and reads a small object several times.
func (p *prober) latency() {
	const times = 7
	var writes, reads []time.Duration
	for range times {
		start := time.Now()
		if _, err := p.s.client.PutObject(p.ctx, &s3.PutObjectInput{Bucket: &p.s.cfg.Bucket, Key: &p.name, Body: bytes.NewReader(probeBody)}); err != nil {
			return
		}
		written := time.Now()
		if _, err := p.s.getSmall(p.ctx, p.name); err != nil {
			return
		}
		writes, reads = append(writes, written.Sub(start)), append(reads, time.Since(written))
	}
	slices.Sort(writes)
	slices.Sort(reads)
	p.out.WriteMillis = writes[times/2].Seconds() * 1000
	p.out.ReadMillis = reads[times/2].Seconds() * 1000
}

func (p *prober) remove() {
	var err error
	for _, name := range []string{p.name, p.name + "-parts", p.name + "-wrong"} {
		err = errors.Join(err, p.s.remove(p.ctx, name))
	}
	if err != nil {
		p.add("delete", report.StorageFailed, "%v", err)
		return
	}
	p.add("delete", report.StorageOK, "DeleteObject")
}
