package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/pgtest"
	"github.com/kontor-registry/kontor/internal/server"
	"github.com/kontor-registry/kontor/internal/store/blob/disk"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/store/meta/postgres"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// replicas are two servers on one PostgreSQL database.
func replicas(t *testing.T, change ...func(*server.Config)) (one, two *world) {
	t.Helper()
	url := pgtest.Start(t)
	open := func() meta.Store {
		s, err := postgres.Open(context.Background(), postgres.Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	}
	var key identity.MasterKey
	one = start(t, t.TempDir(), append(change, func(c *server.Config) { c.Meta, key = open(), c.Key })...)
	two = start(t, t.TempDir(), append(change, func(c *server.Config) { c.Meta, c.Key = open(), key })...)
	return one, two
}

// A download URL of one replica is good at the others, and after a restart.
func TestDownloadURLOnEveryReplica(t *testing.T) {
	files := t.TempDir()
	blobs := func(c *server.Config) {
		b, err := disk.Open(disk.Config{Dir: files})
		if err != nil {
			t.Fatal(err)
		}
		c.Blobs = b
	}
	one, two := replicas(t, blobs)
	one.create(here, "app")
	_, layer := one.push(here, one.password(here, pusher), "app", "v1", "the layer")
	var url struct{ DownloadUrl string }
	a := one.want(one.do(one.json(here, one.credentials(here, pusher), "GetDownloadUrlForLayer", `{"repositoryName": "app", "layerDigest": "`+string(layer)+`"}`)), http.StatusOK)
	if err := json.Unmarshal([]byte(a.body), &url); err != nil {
		t.Fatal(err)
	}
	_, path, ok := strings.Cut(url.DownloadUrl, one.hosts[here])
	if !ok {
		t.Fatal(url.DownloadUrl)
	}
	for name, w := range map[string]*world{"its own": one, "the other": two} {
		t.Run(name, func(t *testing.T) {
			w.within(t)
			if a := w.do(w.request(here, http.MethodGet, path, "")); a.status != http.StatusOK || a.body != "the layer" {
				t.Errorf("%s replica: %d %s", name, a.status, a.body)
			}
		})
	}
}

// What is revoked at one replica is refused by the next request to another
// that has just accepted it, on every way in, and so is what a policy denies.
func TestRevocationOnEveryReplica(t *testing.T) {
	one, two := replicas(t)
	admin := one.credentials(here, identity.Administrator)
	iam := func(form string) string {
		t.Helper()
		form += "&Version=2010-05-08"
		r := one.request(here, http.MethodPost, "/", form, "Content-Type", formType)
		return one.want(one.do(one.sign(r, admin, form, "iam", "us-east-1", one.clock())), http.StatusOK).body
	}
	between := func(text, before, after string) string {
		t.Helper()
		_, rest, ok := strings.Cut(text, before)
		found, _, closed := strings.Cut(rest, after)
		if !ok || !closed {
			t.Fatalf("no %s in %s", before, text)
		}
		return found
	}
	const everything = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22%2A%22%2C%22Resource%22%3A%22%2A%22%7D%5D%7D"
	iam("Action=CreateUser&UserName=ann")
	allow := func() {
		t.Helper()
		iam("Action=PutUserPolicy&UserName=ann&PolicyName=own&PolicyDocument=" + everything)
	}
	allow()
	newKey := func() aws.Credentials {
		t.Helper()
		made := iam("Action=CreateAccessKey&UserName=ann")
		return aws.Credentials{AccessKeyID: between(made, "<AccessKeyId>", "<"), SecretAccessKey: between(made, "<SecretAccessKey>", "<")}
	}
	key := newKey()
	token := func(c aws.Credentials) string {
		t.Helper()
		a := one.want(one.do(one.json(here, c, "GetAuthorizationToken", "{}")), http.StatusOK)
		var out struct {
			AuthorizationData []struct{ AuthorizationToken []byte }
		}
		if err := json.Unmarshal([]byte(a.body), &out); err != nil || len(out.AuthorizationData) != 1 {
			t.Fatalf("%v: %s", err, a.body)
		}
		return strings.TrimPrefix(string(out.AuthorizationData[0].AuthorizationToken), "AWS:")
	}
	session := func(c aws.Credentials) aws.Credentials {
		t.Helper()
		a := one.want(one.do(one.query(here, c, "Action=GetSessionToken&Version=2011-06-15")), http.StatusOK).body
		return aws.Credentials{
			AccessKeyID: between(a, "<AccessKeyId>", "<"), SecretAccessKey: between(a, "<SecretAccessKey>", "<"),
			SessionToken: strings.NewReplacer("&#43;", "+", "&#x2B;", "+", "&#61;", "=").Replace(between(a, "<SessionToken>", "<")),
		}
	}
	// held is what a user has; check asks what the other replica answers to the key, to a session of it,
	// and to docker passwords of both.
	type held struct {
		key, session        aws.Credentials
		password, temporary string
	}
	hold := func(k aws.Credentials) held {
		t.Helper()
		s := session(k)
		return held{k, s, token(k), token(s)}
	}
	check := func(what string, h held, api, docker int) {
		t.Helper()
		for name, a := range map[string]answer{
			"key":     two.do(two.json(here, h.key, "DescribeRepositories", "{}")),
			"session": two.do(two.json(here, h.session, "DescribeRepositories", "{}")),
		} {
			if a.status != api {
				t.Errorf("%s: %s: status %d, want %d: %s", what, name, a.status, api, a.body)
			}
		}
		for name, password := range map[string]string{"password": h.password, "password of the session": h.temporary} {
			if a := two.do(two.basic(here, password, http.MethodGet, "/v2/app/tags/list", "")); a.status != docker {
				t.Errorf("%s: %s: status %d, want %d: %s", what, name, a.status, docker, a.body)
			}
		}
	}
	one.create(here, "app")
	h := hold(key)
	check("to begin with", h, http.StatusOK, http.StatusOK)
	iam("Action=DeleteUserPolicy&UserName=ann&PolicyName=own")
	check("without a policy", h, http.StatusBadRequest, http.StatusForbidden)
	allow()
	check("with it again", h, http.StatusOK, http.StatusOK)
	iam("Action=UpdateAccessKey&UserName=ann&Status=Inactive&AccessKeyId=" + key.AccessKeyID)
	check("key switched off", h, http.StatusBadRequest, http.StatusUnauthorized)
	iam("Action=UpdateAccessKey&UserName=ann&Status=Active&AccessKeyId=" + key.AccessKeyID)
	check("key switched on", h, http.StatusOK, http.StatusOK)
	iam("Action=DeleteAccessKey&UserName=ann&AccessKeyId=" + key.AccessKeyID)
	check("key deleted", h, http.StatusBadRequest, http.StatusUnauthorized)

	// Rotated: the new key is good at once, and what it gave ends with its user.
	h = hold(newKey())
	check("another key", h, http.StatusOK, http.StatusOK)
	iam("Action=DeleteUserPolicy&UserName=ann&PolicyName=own")
	iam("Action=DeleteAccessKey&UserName=ann&AccessKeyId=" + h.key.AccessKeyID)
	iam("Action=DeleteUser&UserName=ann")
	check("user deleted", h, http.StatusBadRequest, http.StatusUnauthorized)
}
