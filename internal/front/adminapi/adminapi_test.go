package adminapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events/delivery"
	"github.com/kontor-registry/kontor/internal/inspect"
	"github.com/kontor-registry/kontor/internal/jobs"
	"github.com/kontor-registry/kontor/internal/replication"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/scanning"
	"github.com/kontor-registry/kontor/internal/signing"
	"github.com/kontor-registry/kontor/internal/signing/managed"
	"github.com/kontor-registry/kontor/internal/testkit"
	"github.com/kontor-registry/kontor/internal/upstream"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

var home = ecr.RegistryID{Account: "000000000000", Region: "us-east-1"}

// server is a handler over real stores, whose clock the tests move.
type server struct {
	h             *Handler
	admin, pusher access.Principal
	clock         *retention.TestClock
}

func newServer(t testing.TB) *server {
	t.Helper()
	ctx := context.Background()
	fatal := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	key, err := identity.CreateMasterKey(filepath.Join(t.TempDir(), "master.key"))
	fatal(err)
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := &server{clock: retention.NewTestClock(func() time.Time { return start })}
	stores := testkit.Open(t, testkit.Settings{Clock: s.clock.Now, TestClock: s.clock, RecycleTime: 7 * testkit.Day})
	users := identity.New(identity.Config{Meta: stores.Meta, Key: key, Now: func() time.Time { return start }})
	fatal(users.EnsureAccount(ctx, home.Account))
	for name, p := range map[string]*access.Principal{identity.Administrator: &s.admin, identity.Pusher: &s.pusher} {
		c, err := users.Credentials(ctx, home.Account, name)
		fatal(err)
		*p, _, err = users.Lookup(ctx, c.AccessKeyID)
		fatal(err)
	}
	identities := iam.New(iam.Config{Gate: stores.Gate, Identity: users, Now: func() time.Time { return start }, Partition: "aws"})
	s.h = New(Config{
		Signing:   stores.Signing,
		Managed:   stores.Managed,
		Inspect:   inspect.New(inspect.Config{Gate: stores.Gate, Retention: stores.Retention, Now: s.clock.Now}),
		Retention: stores.Retention, Jobs: stores.Jobs, Upstreams: stores.Upstreams, Scanning: stores.Scans, Events: stores.Events, Replication: stores.Replication, IAM: func(ecr.Region) *iam.Service { return identities }, MachineTokens: func(ecr.RegistryID) bool { return true }, Console: true,
		Log: slog.New(slog.DiscardHandler),
	})
	stores.Repo("app", ecr.Mutable)
	return s
}

func (s *server) as(p access.Principal, operation, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.h.Serve(w, httptest.NewRequest(http.MethodPost, "/", nil), operation, []byte(body), p, home, "request-1")
	return w
}

func (s *server) do(operation, body string) *httptest.ResponseRecorder {
	return s.as(s.admin, operation, body)
}

func ok[Out any](t *testing.T, s *server, operation, body string) Out {
	t.Helper()
	w := s.do(operation, body)
	var out Out
	if w.Code != http.StatusOK {
		t.Fatalf("%s %s: %d %s", operation, body, w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

const aDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestErrors(t *testing.T) {
	s := newServer(t)
	tests := []struct {
		name, operation, body string
		status                int
		kind, message         string
	}{
		{"unknown operation", "DeleteEverything", `{}`, 404, "UnknownOperationException", "DeleteEverything is not an operation of Kontor_V20261101"},
		{"not JSON", "ListJournal", `{`, 400, "SerializationException", "The request body is not valid JSON"},
		{"wrong type", "ListJournal", `{"maxResults":"1"}`, 400, "SerializationException", "STRING_VALUE can not be converted to an Integer: 'maxResults'"},
		{"wrong time", "ListJournal", `{"since":"yesterday"}`, 400, "SerializationException", "'since'"},
		{"wrong account", "ListJournal", `{"registryId":"1"}`, 400, "InvalidParameterException", "'registryId'"},
		{"wrong repository", "RestoreImage", `{"repositoryName":"A","imageDigest":"` + aDigest + `"}`, 400, "InvalidParameterException", "'repositoryName'"},
		{"no repository", "DescribeUsage", `{}`, 400, "InvalidParameterException", "'repositoryName'"},
		{"no such repository", "DescribeUsage", `{"repositoryName":"none"}`, 400, "RepositoryNotFoundException", "The repository with name 'none' does not exist"},
		{"no such repository of images", "EstimateFreedBytes", `{"repositoryName":"none","imageSets":[]}`, 400, "RepositoryNotFoundException", ""},
		{"wrong digest of a set", "EstimateFreedBytes", `{"repositoryName":"app","imageSets":[{"imageDigests":["x"]}]}`, 400, "InvalidParameterException", "'imageSets'"},
		{"wrong digest", "PurgeImage", `{"repositoryName":"app","imageDigest":"x","reason":"y"}`, 400, "InvalidParameterException", "'imageDigest'"},
		{"no reason", "PurgeImage", `{"repositoryName":"app","imageDigest":"` + aDigest + `"}`, 400, "InvalidParameterException", "'reason'"},
		{"long reason", "PurgeImage", `{"repositoryName":"app","imageDigest":"` + aDigest + `","reason":"` + strings.Repeat("x", 1025) + `"}`, 400, "InvalidParameterException", "equal to 1024"},
		{"not in the bin", "RestoreImage", `{"repositoryName":"app","imageDigest":"` + aDigest + `"}`, 400, "ImageNotFoundException", "is not in the recycle bin"},
		{"wrong operation of the journal", "ListJournal", `{"operation":"x"}`, 400, "InvalidParameterException", "enum value set: [delete-image, "},
		{"page too small", "ListJournal", `{"maxResults":-1}`, 400, "InvalidParameterException", "greater than or equal to 1"},
		{"page too large", "ListRecycleBin", `{"maxResults":1001}`, 400, "InvalidParameterException", "less than or equal to 1000"},
		{"no such repository of indexes", "ListIndexManifests", `{"repositoryName":"none"}`, 400, "RepositoryNotFoundException", ""},
		{"wrong token of indexes", "ListIndexManifests", `{"repositoryName":"app","nextToken":"AAAA"}`, 400, "InvalidParameterException", "'nextToken'"},
		{"wrong token", "ListLeases", `{"nextToken":"AAAA"}`, 400, "InvalidParameterException", "'nextToken'"},
		{"no policy", "RunLifecycle", `{"repositoryName":"app"}`, 400, "LifecyclePolicyNotFoundException", ""},
		{"clock moved too far", "MoveClock", `{"moveSeconds":9223372036854775807}`, 400, "InvalidParameterException", "'moveSeconds'"},
		{"no collector", "ReportLeases", `{"ttlSeconds":3600}`, 400, "InvalidParameterException", "'collector'"},
		{"time to live that overflows", "ReportLeases", `{"collector":"c","ttlSeconds":9223372036854775807}`, 400, "InvalidParameterException", "'ttlSeconds'"},
		{"lease on nothing", "ReportLeases", `{"collector":"c","ttlSeconds":3600,"leases":[{"repositoryName":"app","user":"x"}]}`, 400, "InvalidParameterException", "imageDigest or imageTag"},
		{"no token's name", "CreateUserToken", `{"userName":"pusher"}`, 400, "ValidationException", "'tokenName'"},
		{"no such user of a token", "CreateUserToken", `{"userName":"none","tokenName":"x"}`, 400, "NoSuchEntity", "none cannot be found"},
		{"no user to list", "ListUserTokens", `{}`, 400, "ValidationException", "'userName'"},
		{"no such token", "DeleteUserToken", `{"userName":"pusher","tokenName":"x"}`, 400, "NoSuchEntity", "no token with the name x"},
		{"image of no repository", "ListPullActivity", `{"imageTag":"v1"}`, 400, "InvalidParameterException", "'repositoryName'"},
		{"activity of no such repository", "ListPullActivity", `{"repositoryName":"none"}`, 400, "RepositoryNotFoundException", "'none'"},
		{"decision of the log", "ListAuditRecords", `{"decision":"maybe"}`, 400, "InvalidParameterException", "[allowed, denied]"},
		{"no log", "ListAuditRecords", `{}`, 400, "InvalidParameterException", "audit off"},
		{"wrong token of activity", "ListPullActivity", `{"nextToken":"AAAA"}`, 400, "InvalidParameterException", "'nextToken'"},
		{"no destination", "StartBackfill", `{"destination":"a/b/c"}`, 400, "InvalidParameterException", "want ACCOUNT/REGION"},
		{"no rule for options", "PutReplicationOptions", `{"replicationDestination":"eu-west-1","options":{"deletions":true}}`, 400, "InvalidParameterException", "no rule of the registry"},
		{"no such backfill", "DescribeBackfill", `{"replicationBackfillId":"x"}`, 400, "ReplicationBackfillNotFoundException", "'x'"},
		{"wrong token of replications", "ListReplications", `{"nextToken":"x"}`, 400, "InvalidParameterException", "'nextToken'"},
		{"nobody to forget", "ForgetLeases", `{"collector":"c"}`, 400, "InvalidParameterException", "'collector'"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := s.do(tt.operation, tt.body)
			var got struct {
				Type    string `json:"__type"`
				Message string `json:"message"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if w.Code != tt.status || got.Type != tt.kind || !strings.Contains(got.Message, tt.message) {
				t.Errorf("%d %s: %s\nwant %d %s: %s", w.Code, got.Type, got.Message, tt.status, tt.kind, tt.message)
			}
			if w.Header().Get("Content-Type") != "application/x-amz-json-1.1" || w.Header().Get("x-amzn-RequestId") != "request-1" {
				t.Errorf("headers %v", w.Header())
			}
		})
	}
}

// Every operation asks for a right of its own, which who may push and pull
// does not have.
func TestEveryOperationAsks(t *testing.T) {
	s := newServer(t)
	body := `{"repositoryName":"app","imageDigest":"` + aDigest + `","reason":"x","collector":"c","ttlSeconds":3600,"leases":[],"replicationDestination":"eu-west-1","userName":"pusher","tokenName":"flux","deliveryId":7}`
	actions := map[string]bool{}
	// Those on rules and signatures ask for what the ECR API's operations ask for.
	also := map[string]string{
		"ListUpstreams": "ecr:DescribePullThroughCacheRules", "CreateUpstream": "ecr:CreatePullThroughCacheRule",
		"DeleteUpstream": "ecr:DeletePullThroughCacheRule", "ValidateUpstream": "ecr:ValidatePullThroughCacheRule",
		"ListImageSignatures": "ecr:DescribeImageSigningStatus",
		"DescribeReplication": "ecr:DescribeImageReplicationStatus", "StartBackfill": "ecr:StartReplicationBackfill", "StopBackfill": "ecr:StopReplicationBackfill",
		"DescribeBackfill": "ecr:DescribeReplicationBackfillResults", "ListBackfills": "ecr:ListReplicationBackfills",
	}
	for _, op := range slices.Concat(retention.Operations(), jobs.Operations(), upstream.Operations(), inspect.Operations(), replication.Operations(), scanning.Operations(), delivery.Operations(), signing.Operations(), managed.Operations()) {
		for _, a := range op.Actions {
			actions[string(a)] = true
		}
	}
	for _, a := range iam.TokenActions() {
		actions[string(a)] = true
	}
	for operation := range served {
		if operation == "CreateConsoleLink" {
			continue // a login, which gives no rights but the caller's: see the tests of the server
		}
		w := s.as(s.pusher, operation, body)
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "AccessDeniedException") {
			t.Errorf("%s by the pusher: %d %s", operation, w.Code, w.Body)
		}
		want := "kontor:" + operation
		if also[operation] != "" {
			want = also[operation]
		}
		if !actions[want] || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s does not ask for %s: %s", operation, want, w.Body)
		}
	}
	for a := range actions {
		if name, own := strings.CutPrefix(a, "kontor:"); own && served[name] == nil {
			t.Errorf("the action %s has no operation here", a)
		}
	}
}

// Each code has its status, and nobody else's words reach a client.
func TestEncodeError(t *testing.T) {
	for _, code := range ecr.Codes() {
		status, kind, message := encodeError(fmt.Errorf("wrapped: %w", ecr.Errorf(code, "words")), "r")
		want := http.StatusBadRequest
		switch code {
		case ecr.CodeServer:
			want = http.StatusInternalServerError
		case ecr.CodeUnknownOperation:
			want = http.StatusNotFound
		case ecr.CodeUnavailable:
			want = http.StatusServiceUnavailable
		}
		if status != want || kind != code || message != "words" {
			t.Errorf("%s: %d %s %q", code, status, kind, message)
		}
	}
	for _, err := range []error{errors.New("secret"), ecr.Errorf("NoSuchCode", "secret")} {
		if status, kind, message := encodeError(err, "r-7"); status != 500 || kind != ecr.CodeServer || strings.Contains(message, "secret") || !strings.Contains(message, "r-7") {
			t.Errorf("%v: %d %s %q", err, status, kind, message)
		}
	}
}

func TestLeases(t *testing.T) {
	s := newServer(t)
	report := func(collector string, n int) {
		t.Helper()
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`{"repositoryName":"app","imageTag":"v%03d","user":"Pod %s"}`, i, collector))
		}
		out := ok[admin.ReportLeasesResponse](t, s, "ReportLeases", `{"collector":"`+collector+`","ttlSeconds":3600,"leases":[`+strings.Join(list, ",")+`]}`)
		if out.Leases != n || out.Collector.Name != collector || out.Collector.ExpectedAt.Sub(out.Collector.ReportedAt) != time.Hour || out.Collector.Silent {
			t.Errorf("%+v", out)
		}
	}
	walk := func(size int) []string {
		t.Helper()
		var all []string
		for token := ""; ; {
			body, err := json.Marshal(admin.ListLeasesRequest{MaxResults: int32(size), NextToken: token})
			if err != nil {
				t.Fatal(err)
			}
			out := ok[admin.ListLeasesResponse](t, s, "ListLeases", string(body))
			if len(out.Leases) > size {
				t.Errorf("a page of %d", len(out.Leases))
			}
			for _, l := range out.Leases {
				all = append(all, l.ImageTag+" "+l.Collector)
			}
			if token = out.NextToken; token == "" {
				return all
			}
		}
	}
	report("one", 7)
	report("two", 3)
	whole := walk(1000)
	if len(whole) != 10 || !slices.IsSorted(whole) {
		t.Errorf("%q", whole)
	}
	for _, size := range []int{1, 2, 3, 9, 10} {
		if diff := cmp.Diff(whole, walk(size)); diff != "" {
			t.Errorf("pages of %d (-want +got):\n%s", size, diff)
		}
	}
	s.clock.Advance(2 * time.Hour)
	if out := ok[admin.ListLeasesResponse](t, s, "ListLeases", `{}`); !out.Collectors[0].Silent || len(out.Leases) != 10 {
		t.Errorf("after the time: %+v", out)
	}
	report("one", 1) // replaces
	if out := ok[admin.ForgetLeasesResponse](t, s, "ForgetLeases", `{"collector":"two"}`); out.Leases != 3 {
		t.Errorf("%+v", out)
	}
	if diff := cmp.Diff([]string{"v000 one"}, walk(10)); diff != "" {
		t.Errorf("at the end (-want +got):\n%s", diff)
	}
}

func TestClock(t *testing.T) {
	s := newServer(t)
	now := func() time.Time {
		return ok[admin.ListIndexManifestsResponse](t, s, "ListIndexManifests", `{"repositoryName":"app"}`).Now
	}
	if got := now(); !got.Equal(s.clock.Now()) {
		t.Errorf("it is %v for who looks at images, and %v", got, s.clock.Now())
	}
	defer func() {
		if got := now(); !got.Equal(s.clock.Now()) {
			t.Errorf("it is %v for who looks at images, and %v", got, s.clock.Now())
		}
	}()
	before := ok[admin.MoveClockResponse](t, s, "MoveClock", `{}`).Now
	if after := ok[admin.MoveClockResponse](t, s, "MoveClock", `{"moveSeconds":86400}`).Now; after.Sub(before) != 24*time.Hour {
		t.Errorf("from %v to %v", before, after)
	}
}

// A token is good for its own listing only.
func TestTokens(t *testing.T) {
	key := rapid.StringN(1, 50, 300)
	rapid.Check(t, func(t *rapid.T) {
		type parameters struct{ Operation, Name string }
		a := parameters{rapid.String().Draw(t, "operation"), rapid.String().Draw(t, "name")}
		b := parameters{rapid.String().Draw(t, "other operation"), rapid.String().Draw(t, "other name")}
		l, err := newListing(a.Operation, home, a.Name, 0, "")
		if err != nil {
			t.Fatal(err)
		}
		want := key.Draw(t, "key")
		token := l.token(want)
		if l, err = newListing(a.Operation, home, a.Name, 0, token); err != nil || l.after != want {
			t.Fatalf("back came %q, %v", l.after, err)
		}
		if _, err := newListing(b.Operation, home, b.Name, 0, token); (err == nil) != (a == b) {
			t.Fatalf("a token of %v for %v: %v", a, b, err)
		}
	})
}

// Whatever is sent, the answer is JSON in the protocol's form, and never a
// server error.
func FuzzServe(f *testing.F) {
	s := newServer(f)
	names := make([]string, 0, len(served))
	for name := range served {
		names = append(names, name)
	}
	slices.Sort(names)
	for i := range names {
		f.Add(i, `{"repositoryName":"app","imageDigest":"`+aDigest+`","reason":"x","collector":"c","ttlSeconds":3600,"leases":[{"repositoryName":"app","imageTag":"v1","user":"x"}]}`)
		f.Add(i, `{"nextToken":"AQ","maxResults":1,"since":"2026-03-01T12:00:00Z","moveSeconds":1}`)
	}
	f.Fuzz(func(t *testing.T, i int, body string) {
		operation := names[(i%len(names)+len(names))%len(names)]
		w := s.do(operation, body)
		if !json.Valid(w.Body.Bytes()) || w.Code >= http.StatusInternalServerError {
			t.Errorf("%s %q: %d %s", operation, body, w.Code, w.Body)
		}
	})
}
