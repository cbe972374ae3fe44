package server_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/server"
)

// passwordOf is a docker password for c.
func (w *world) passwordOf(c aws.Credentials) string {
	w.t.Helper()
	a := w.want(w.do(w.json(here, c, "GetAuthorizationToken", "{}")), 200)
	var out struct {
		AuthorizationData []struct{ AuthorizationToken []byte }
	}
	if err := json.Unmarshal([]byte(a.body), &out); err != nil {
		w.t.Fatal(err)
	}
	_, password, _ := strings.Cut(string(out.AuthorizationData[0].AuthorizationToken), ":")
	return password
}

// Whichever way a client logs in, and whether or not it succeeds, its secrets are
// neither in the log, at any level, nor in the audit log.
func TestNoSecretsInLogs(t *testing.T) {
	dir := t.TempDir()
	log := &lines{}
	record, err := audit.Open(audit.Config{Dir: filepath.Join(dir, "audit"), Now: time.Now, Log: slog.New(slog.NewJSONHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	w := start(t, filepath.Join(dir, "data"), func(c *server.Config) {
		c.Audit = record
		c.Log = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	w.create(here, "app")
	secrets := map[string]string{}
	admin := w.credentials(here, administrator)
	secrets["secret key"] = admin.SecretAccessKey
	password := w.passwordOf(w.credentials(here, pusher))
	secrets["docker password"], secrets["docker login"] = password, base64.StdEncoding.EncodeToString([]byte("AWS:"+password))
	_, layer := w.push(here, password, "app", "v1", "the bytes of a layer")
	secrets["content"] = "the bytes of a layer"

	// Signatures, in the header and in the query.
	signed := w.json(here, admin, "DescribeRepositories", "{}")
	_, secrets["signature"], _ = strings.Cut(signed.Header.Get("Authorization"), "Signature=")
	w.want(w.do(signed), 200)
	presigned := w.request(here, "GET", "/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Expires=60", "")
	const noBody = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	uri, _, err := v4.NewSigner().PresignHTTP(t.Context(), admin, presigned, noBody, "sts", string(here.Region), w.clock())
	if err != nil {
		t.Fatal(err)
	}
	if presigned.URL, err = url.Parse(uri); err != nil {
		t.Fatal(err)
	}
	secrets["presigned signature"] = presigned.URL.Query().Get("X-Amz-Signature")
	w.want(w.do(presigned), 200)

	// Sessions.
	var session struct {
		Access  string `xml:"GetSessionTokenResult>Credentials>AccessKeyId"`
		Secret  string `xml:"GetSessionTokenResult>Credentials>SecretAccessKey"`
		Session string `xml:"GetSessionTokenResult>Credentials>SessionToken"`
	}
	a := w.want(w.do(w.query(here, admin, "Action=GetSessionToken&Version=2011-06-15")), 200)
	if err := xml.Unmarshal([]byte(a.body), &session); err != nil {
		t.Fatal(err)
	}
	secrets["session's key"], secrets["session token"] = session.Secret, session.Session
	temporary := aws.Credentials{AccessKeyID: session.Access, SecretAccessKey: session.Secret, SessionToken: session.Session}
	w.want(w.do(w.json(here, temporary, "DescribeRepositories", "{}")), 200)
	secrets["session's docker password"] = w.passwordOf(temporary)
	w.want(w.do(w.basic(here, secrets["session's docker password"], "GET", "/v2/", "")), 200)

	// The address of a layer is a secret too.
	var download struct{ DownloadURL string }
	w.call("GetDownloadUrlForLayer", fields{"repositoryName": "app", "layerDigest": layer}, &download)
	r := w.request(here, "GET", "/", "")
	if r.URL, err = url.Parse(download.DownloadURL); err != nil {
		t.Fatal(err)
	}
	secrets["ticket"] = r.URL.Query().Get("ticket")
	w.want(w.do(r), 200)

	// A new key.
	form := "Action=CreateAccessKey&Version=2010-05-08&UserName=" + pusher
	r = w.sign(w.request(here, "POST", "/", form, "Content-Type", formType), admin, form, "iam", here.Region, w.clock())
	var key struct {
		Secret string `xml:"CreateAccessKeyResult>AccessKey>SecretAccessKey"`
	}
	a = w.want(w.do(r), 200)
	if err := xml.Unmarshal([]byte(a.body), &key); err != nil {
		t.Fatal(err)
	}
	secrets["new key"] = key.Secret

	// Wrong passwords, which may be valid elsewhere.
	secrets["guess"] = "a-guess-at-a-password"
	w.want(w.do(w.basic(here, secrets["guess"], "GET", "/v2/", "")), 401)
	secrets["bearer"] = "a-token-of-another-registry"
	w.want(w.do(w.request(here, "GET", "/v2/", "", "Authorization", "Bearer "+secrets["bearer"])), 401)
	inURL := w.request(here, "GET", "/v2/", "")
	secrets["password in a URL"] = "a-password-in-a-URL"
	inURL.URL.User = url.UserPassword("AWS", secrets["password in a URL"])
	w.want(w.do(inURL), 401)
	secrets["web identity"] = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlIiwic3ViIjoiYSIsImF1ZCI6ImIiLCJleHAiOjF9.c2lnbmF0dXJl"
	form = url.Values{"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"}, "RoleArn": {"arn:aws:iam::000000000000:role/ci"},
		"RoleSessionName": {"ci"}, "WebIdentityToken": {secrets["web identity"]}}.Encode()
	if a := w.do(w.request(here, "POST", "/", form, "Content-Type", formType)); a.status/100 != 4 {
		t.Errorf("a token of an unknown issuer: %d %s", a.status, a.body)
	}
	secrets["unknown key"] = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	if a := w.do(w.json(here, aws.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: secrets["unknown key"], SessionToken: "a-session-token"}, "ListImages", "{}")); a.status != http.StatusBadRequest {
		t.Errorf("an unknown key: %d %s", a.status, a.body)
	}
	secrets["unknown session token"] = "a-session-token"

	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	if err := record.Close(); err != nil {
		t.Fatal(err)
	}
	var written bytes.Buffer
	written.WriteString(log.String())
	err = fs.WalkDir(os.DirFS(dir), "audit", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(filepath.Join(dir, name))
		written.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, known := range []string{`"operation":"AssumeRoleWithWebIdentity"`, `"operation":"layer-download"`, `"operation":"CreateAccessKey"`, "user/" + pusher} {
		t.Run(known, func(t *testing.T) {
			if !strings.Contains(written.String(), known) {
				t.Errorf("%s is not in what was written:\n%s", known, &written)
			}
		})
	}
	for what, secret := range secrets {
		t.Run(what, func(t *testing.T) {
			if len(secret) < 8 {
				t.Errorf("the %s is %q", what, secret)
			}
			for form, s := range map[string]string{"": secret, " in base64": base64.StdEncoding.EncodeToString([]byte(secret)), " escaped": url.QueryEscape(secret)} {
				if strings.Contains(written.String(), s) {
					t.Errorf("the %s%s was written", what, form)
				}
			}
		})
	}
}
