package deploy_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
)

// silent is a listener that accepts and says nothing.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var all []net.Conn
		for {
			c, err := l.Accept()
			if err != nil {
				for _, c := range all {
					_ = c.Close()
				}
				return
			}
			all = append(all, c)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return l.Addr().String()
}

// pace answers the AWS APIs as one account with no repositories, in pieces with a
// pause between them; after so many pieces of a list it says no more.
type pace struct {
	pause  time.Duration
	pieces int // of the answer to DescribeRepositories; 0 for all
	over   chan struct{}
}

func (p pace) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := `<GetCallerIdentityResponse><GetCallerIdentityResult><Account>111111111111</Account><Arn>arn:aws:iam::111111111111:user/u</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>`
	list := strings.HasSuffix(r.Header.Get("X-Amz-Target"), "DescribeRepositories")
	if list {
		answer = `{"repositories":  []}`
	}
	for i, c := range []byte(answer) {
		if list && p.pieces > 0 && i == p.pieces {
			<-p.over
			return
		}
		_, _ = w.Write([]byte{c})
		if list {
			_ = http.NewResponseController(w).Flush()
			time.Sleep(p.pause)
		}
	}
}

func TestSilence(t *testing.T) {
	t.Parallel() // it waits
	const limit = 2 * time.Second
	to := func(url string) deploy.ConnectConfig {
		return deploy.ConnectConfig{
			Target:      state.Target{Name: "prod", Registry: kecr.RegistryID{Account: "111111111111", Region: "us-east-2"}, Endpoint: url},
			AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "x", Silence: limit,
		}
	}
	serve := func(t *testing.T, p pace) *httptest.Server {
		t.Helper()
		p.over = make(chan struct{})
		s := httptest.NewServer(p)
		t.Cleanup(func() {
			close(p.over)
			s.Close()
		})
		return s
	}
	list := func(t *testing.T, url string) error {
		t.Helper()
		conn, err := deploy.Connect(t.Context(), to(url))
		if err != nil {
			t.Fatal(err)
		}
		_, err = deploy.Observe(t.Context(), conn.API, conn.Target, deploy.Scope{All: true})
		return err
	}
	t.Run("from the beginning", func(t *testing.T) {
		host := silent(t)
		_, err := deploy.Connect(t.Context(), to("http://"+host))
		contains(t, err, "registry prod: asking who the caller is", host+" has said nothing for 2s", "endpoint:")
		var s *deploy.SilentError
		if !errors.As(err, &s) || s.Host != host {
			t.Errorf("%v is no SilentError of %s", err, host)
		}
	})
	t.Run("in the middle of an answer", func(t *testing.T) {
		s := serve(t, pace{pieces: 5})
		contains(t, list(t, s.URL), strings.TrimPrefix(s.URL, "http://")+" has said nothing for 2s")
	})
	t.Run("an answer that takes longer than the limit, piece by piece", func(t *testing.T) {
		s := serve(t, pace{pause: limit / 10}) // 21 pieces
		if err := list(t, s.URL); err != nil {
			t.Error(err)
		}
	})
}
