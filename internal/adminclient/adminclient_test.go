package adminclient_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/kontor-registry/kontor/internal/adminclient"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/wire/admin"
	"github.com/kontor-registry/kontor/kontortest"
)

func client(url string, c kontortest.Credentials) *adminclient.Client {
	return adminclient.New(adminclient.Config{
		Endpoint: url, Region: "us-east-1", Now: time.Now,
		Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, ""),
	})
}

// TestClient calls a registry: pages are put together, and a refusal is an error
// of the registry's with its code and its words alone.
func TestClient(t *testing.T) {
	reg := kontortest.Start(t)
	for _, name := range []string{"bb", "aa", "cc"} {
		reg.CreateRepository(t, name)
	}
	c := client(reg.URL, reg.Admin)
	names, err := c.Repositories(t.Context())
	if err != nil || !slices.Equal(names, []string{"aa", "bb", "cc"}) {
		t.Errorf("%v, %v", names, err)
	}
	report := admin.ReportLeasesRequest{Collector: "hosts", TTLSeconds: 3600}
	for _, name := range names {
		report.Leases = append(report.Leases, admin.Lease{RepositoryName: name, ImageTag: "v1", User: "a host"})
	}
	if err := c.Call(t.Context(), "ReportLeases", report, &admin.ReportLeasesResponse{}); err != nil {
		t.Fatal(err)
	}
	all, err := c.Leases(t.Context(), "")
	if err != nil || len(all.Leases) != 3 || len(all.Collectors) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
	in, pages := admin.ListLeasesRequest{MaxResults: 1}, 0
	err = adminclient.Pages(t.Context(), c, "ListLeases", &in, &in.NextToken, func(out *admin.ListLeasesResponse) (string, error) {
		pages++
		return out.NextToken, nil
	})
	if err != nil || pages != 3 {
		t.Errorf("%d pages of one lease, %v", pages, err)
	}
	_, err = client(reg.URL, reg.Pusher).Leases(t.Context(), "")
	var refused *ecr.Error
	if ecr.CodeOf(err) != ecr.CodeAccessDenied || !errors.As(err, &refused) || err.Error() != refused.Message {
		t.Errorf("%v", err)
	}
}

// TestElsewhere: a call that the server has no time for is made again, and other
// failures are not; what is not a Kontor registry is said to be none.
func TestElsewhere(t *testing.T) {
	throttled := func(w http.ResponseWriter) {
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"__type": "ThrottlingException", "message": "Rate exceeded"})
	}
	for name, tt := range map[string]struct {
		answer func(w http.ResponseWriter, try int)
		tries  int
		check  func(error) bool
	}{
		"busy once": {func(w http.ResponseWriter, try int) {
			if try == 1 {
				throttled(w)
				return
			}
			_, _ = io.WriteString(w, "{}")
		}, 2, func(err error) bool { return err == nil }},
		"web server":    {func(w http.ResponseWriter, _ int) { http.Error(w, "<html>", http.StatusNotFound) }, 1, func(err error) bool { return errors.Is(err, adminclient.ErrNoKontor) }},
		"other answers": {func(w http.ResponseWriter, _ int) { _, _ = io.WriteString(w, "<html>") }, 1, func(err error) bool { return errors.Is(err, adminclient.ErrNoKontor) }},
		"other server of ECR": {func(w http.ResponseWriter, _ int) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"__type": "UnknownOperationException", "message": "no such operation"}`)
		}, 1, func(err error) bool {
			return ecr.CodeOf(err) == ecr.CodeUnknownOperation && err.Error() == "no such operation: is this a Kontor registry of this version?"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			tries := 0
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				tries++
				tt.answer(w, tries)
			}))
			defer srv.Close()
			_, err := client(srv.URL, kontortest.Credentials{AccessKeyID: "AKIAEXAMPLE", SecretAccessKey: "secret"}).Leases(t.Context(), "")
			if !tt.check(err) || tries != tt.tries {
				t.Errorf("%v after %d tries, want %d", err, tries, tt.tries)
			}
		})
	}
}

// TestGivesUp: the end of the context ends the waiting between tries, and
// credentials that cannot be had are said to be missing.
func TestGivesUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_ = json.NewEncoder(w).Encode(map[string]string{"__type": "ThrottlingException", "message": "Rate exceeded"})
		cancel()
	}))
	defer srv.Close()
	if _, err := client(srv.URL, kontortest.Credentials{AccessKeyID: "AKIAEXAMPLE", SecretAccessKey: "secret"}).Leases(ctx, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	over := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-over }))
	defer silent.Close()
	defer close(over)
	impatient := adminclient.New(adminclient.Config{
		Endpoint: silent.URL, Region: "us-east-1", Now: time.Now, Patience: 10 * time.Millisecond,
		Credentials: credentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "secret", ""),
	})
	if _, err := impatient.Leases(t.Context(), ""); err == nil || err.Error() != silent.URL+" has not answered for 10ms" {
		t.Errorf("a server that says nothing: %v", err)
	}
	none := adminclient.New(adminclient.Config{Endpoint: srv.URL, Region: "us-east-1", Now: time.Now,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, errors.New("none") })})
	if _, err := none.Leases(t.Context(), ""); err == nil || !strings.HasPrefix(err.Error(), "no AWS credentials for ") {
		t.Errorf("%v", err)
	}
}
