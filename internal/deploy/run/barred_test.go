package run_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/adminclient"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/remote/remotetest"
	"github.com/kontor-registry/kontor/internal/report/rollout"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// A policy that asks for signatures or scans: the plan names the images that someone may
// pull now and not afterwards.
func TestImagesThatCanNoLongerBePulled(t *testing.T) {
	const (
		before = "stack: shop\necr_repositories: {app: {additional_pull_account_ids: [\"444444444444\"]}}\n"
		deny   = "stack: shop\necr_repositories:\n  app:\n    additional_pull_account_ids: [\"444444444444\"]\n    extra_policy_statements:\n" +
			"      - {Sid: Only, Effect: Deny, Principal: {AWS: \"444444444444\"}, Action: \"ecr:BatchGetImage\", Condition: CONDITION}\n"
	)
	b := newBench(t)
	b.apply(before)
	key := remotetest.Must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	c := remotetest.NewContent(1)
	var signed, plain remotetest.Manifest
	signed, plain = c.Index("v1", c.Image("linux", "amd64", c.Layer(10))), c.Index("v2", c.Image("linux", "arm64", c.Layer(10)))
	_, public := c.Signed(signed, key)
	if err := (remotetest.Registry{Host: b.reg.Host, User: "AWS", Password: b.reg.Password(t)}).Push("app", c); err != nil {
		t.Fatal(err)
	}
	err := adminclient.New(adminclient.Config{
		Endpoint: b.reg.URL, Region: b.reg.Region, Now: time.Now, HTTPClient: http.DefaultClient,
		Credentials: credentials.NewStaticCredentialsProvider(b.reg.Admin.AccessKeyID, b.reg.Admin.SecretAccessKey, ""),
	}).Call(t.Context(), "PutSigner", admin.PutSignerRequest{Signer: admin.Signer{Name: "release", Key: public}}, &admin.PutSignerResponse{})
	if err != nil || signed.Digest == plain.Digest {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, condition string
		images          []string // nil for none
		looked          int      // 0 where no policy asks
		text            string
	}{
		{"of a signer", `{"ForAllValues:StringNotEquals": {"kontor:SignedBy": release}}`, []string{"v2"}, 2, "account 444444444444 can no longer pull 1 of 2 images with a tag"},
		{"of another signer", `{"ForAllValues:StringNotEquals": {"kontor:SignedBy": other}}`, []string{"v2", "v1"}, 2, "account 444444444444 can no longer pull any of 2 images with a tag"},
		{"not scanned", `{StringEquals: {"kontor:MaxSeverity": [UNSCANNED, CRITICAL]}}`, []string{"v2", "v1"}, 2, "any of 2 images"},
		{"critical", `{StringEquals: {"kontor:MaxSeverity": CRITICAL}}`, nil, 2, ""},
		{"by address", `{NotIpAddress: {"aws:SourceIp": "10.0.0.0/8"}}`, nil, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, p := b.plan(strings.Replace(deny, "CONDITION", tt.condition, 1), plan.Options{})
			a := p.Set.Plans[0].Pending()[0].Effects.Access
			if tt.looked == 0 {
				if a.Barred != nil {
					t.Errorf("images were looked at: %+v", a.Barred)
				}
				return
			}
			want := &plan.Barred{Looked: tt.looked}
			if tt.images != nil {
				want.Pulls = []plan.BarredPulls{{Principal: "444444444444", Images: tt.images}}
			}
			if d := cmp.Diff(want, a.Barred); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			text, err := json.Marshal(rollout.EffectsOf(p.Set.Plans[0].Pending()[0].Effects))
			if err != nil || !strings.Contains(string(text), tt.text) {
				t.Errorf("%s, %v", text, err)
			}
		})
	}
}
