package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
)

// lateConn is a connection whose write of a request's body returns only after
// the answer's header has been read.
type lateConn struct {
	net.Conn
	answered <-chan struct{}
}

func (c lateConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if strings.HasSuffix(string(p), "}") {
		<-c.answered
	}
	return n, err
}

// answeredTransport tells when a client has the header of its answer, and has
// had time to do with the request what it does then.
type answeredTransport struct {
	http.RoundTripper
	answered chan<- struct{}
}

func (a answeredTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := a.RoundTripper.RoundTrip(req)
	time.AfterFunc(20*time.Millisecond, func() { close(a.answered) })
	return resp, err
}

// An answer that begins before the client's write has returned, as it does on
// a busy machine, is read to its end.
func TestAnswerBeforeTheWriteReturned(t *testing.T) {
	const images = 2000
	answered := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ids := make([]string, images)
		for i := range ids {
			ids[i] = fmt.Sprintf(`{"imageTag":"t%d"}`, i)
		}
		body := `{"imageIds":[` + strings.Join(ids, ",") + `]}`
		_, _ = w.Write([]byte(body[:len(body)/2])) // the test reads what arrives
		_ = http.NewResponseController(w).Flush()
		<-answered
		select {
		case <-r.Context().Done():
		case <-time.After(100 * time.Millisecond): // not hung up
		}
		_, _ = w.Write([]byte(body[len(body)/2:]))
	}))
	t.Cleanup(srv.Close)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		return lateConn{conn, answered}, err
	}
	t.Cleanup(transport.CloseIdleConnections)
	api := newAPI(&http.Client{Transport: answeredTransport{transport, answered}}, srv.URL, "us-east-1", credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "secret", ""))
	out, err := api.ListImages(t.Context(), &ecr.ListImagesInput{RepositoryName: aws.String("load/a")})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.ImageIds) != images {
		t.Errorf("%d images, want %d", len(out.ImageIds), images)
	}
}
