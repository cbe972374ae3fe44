// Package s3 tests the blob store in S3 against a real server of its protocol,
// versitygw, also through a proxy that loses answers, stalls and cuts. It is a
// separate module, because the server has many dependencies.
// `go run ./test/all -only s3` builds the server and calls this.
package s3
