package ecosystem

import (
	"encoding/pem"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/notaryproject/notation-core-go/signature/cose"
	"github.com/notaryproject/notation-core-go/signature/jws"
)

// denyUnsigned lets only the signer's images be pulled, but by the user that signs.
const denyUnsigned = `stack: platform
registries:
  - {name: staging, account: "111111111111", region: us-east-1, profile: staging, endpoint: "http://%s"}
  - {name: prod, account: "222222222222", region: us-east-1, profile: prod, endpoint: "http://%s"}
ecr_repositories:
  website:
    extra_policy_statements:
      - Sid: SignedOnly
        Effect: Deny
        Principal: "*"
        Action: ecr:BatchGetImage
        Condition:
          ForAllValues:StringNotEquals: {"kontor:SignedBy": release}
          ArnNotLike: {"aws:PrincipalArn": "arn:aws:iam::*:user/pusher"}
promotions:
  - name: release
    from: staging
    to: [prod]
    require: {verify: [%q, signers, verify, "{image}", --by, release, --data, data, --target, staging]}
`

// What real clients sign can be pulled, and nothing else: in each form in which cosign
// and notation keep signatures. The signer is exempt, as it reads what is not signed yet.
func TestSignersArePolicy(t *testing.T) {
	w := start(t)
	w.write("kontor.yaml", fmt.Sprintf(denyUnsigned, w.staging, w.prod, kontorBin))
	w.ok(kontorBin, "apply", "--yes")
	signers := func(account string, args ...string) string {
		return w.ok(kontorBin, append(append([]string{"signers"}, args...), "--data", "data", "--target", account)...)
	}
	denied := func(tag string) {
		t.Helper()
		w.fails("ecr:BatchGetImage", kontorBin, "promote", "website:"+tag, "--to", "prod")
		if got := w.ok(kontorBin, "admin", "audit", "--data", "data", "--decision", "denied"); !strings.Contains(got, `"SignedOnly"`) {
			t.Errorf("the audit log does not name the statement:\n%s", got)
		}
	}
	trust := func(args ...string) {
		t.Helper()
		for _, account := range []string{"staging", "prod"} {
			signers(account, append([]string{"put", "release"}, args...)...)
		}
	}
	w.ok(cosignBin, "generate-key-pair")
	trust("--key", "cosign.pub")
	tag := 0
	next := func() (string, string) {
		tag++
		name := fmt.Sprintf("%d.0", tag)
		return name, w.push(name)
	}
	for _, form := range []struct {
		name string
		args []string
	}{
		{"cosign tag", []string{"--new-bundle-format=false"}},
		{"cosign referrer", []string{"--new-bundle-format=false", "--registry-referrers-mode=oci-1-1"}},
		{"sigstore bundle", []string{"--new-bundle-format=true"}},
	} {
		t.Run(form.name, func(t *testing.T) {
			w.env = []string{"COSIGN_EXPERIMENTAL=1"} // for the mode of referrers
			name, digest := next()
			denied(name)
			sign := append([]string{"sign", "--yes", "--tlog-upload=false", "--use-signing-config=false", "--key", "cosign.key"}, form.args...)
			w.ok(cosignBin, append(sign, w.staging+"/website@"+digest)...)
			w.ok(kontorBin, "promote", "website:"+name, "--to", "prod")
			for _, account := range []string{"staging", "prod"} {
				if got := signers(account, "verify", "website:"+name, "--by", "release"); !strings.Contains(got, "is signed by release") || !strings.Contains(got, form.name) {
					t.Errorf("%s: %s", account, got)
				}
			}
		})
	}
	for form, envelope := range map[string]string{"JWS": jws.MediaTypeEnvelope, "COSE": cose.MediaTypeEnvelope} {
		t.Run(form, func(t *testing.T) {
			k := newNotationKey(t)
			w.write("release.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k.cert.Raw})))
			trust("--certificates", "release.crt", "--subject", "O=Example, CN=release")
			name, digest := next()
			newNotationKey(t).sign(t, w, w.staging+"/website@"+digest, envelope)
			denied(name)
			w.fails("none of the certificates of the signer", kontorBin, "signers", "verify", "website:"+name, "--data", "data", "--target", "staging")
			k.sign(t, w, w.staging+"/website@"+digest, envelope)
			w.ok(kontorBin, "promote", "website:"+name, "--to", "prod")
			signers("prod", "verify", "website:"+name, "--by", "release")
		})
	}
}

// What the registry signs on push is what notation signs: its own library verifies it
// under a strict trust policy, and kontor:SignedBy counts it.
func TestTheRegistrySigns(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w := start(t)
	t.Setenv("DOCKER_CONFIG", w.path(".docker"))
	w.write("kontor.yaml", fmt.Sprintf(denyUnsigned, w.staging, w.prod, kontorBin))
	w.ok(kontorBin, "apply", "--yes")
	admin := func(args ...string) string {
		return w.ok(kontorBin, append(append([]string{"admin", "signing-profile"}, args...), "--data", "data", "--target", "staging")...)
	}
	admin("create", "release", "--subject", "C=DE, ST=HH, O=Example, CN=release")
	admin("rules", "release=web*")
	w.write("release.crt", admin("show", "release", "--certificates"))
	for _, account := range []string{"staging", "prod"} {
		w.ok(kontorBin, "signers", "put", "release", "--certificates", "release.crt", "--data", "data", "--target", account)
	}
	if err := os.MkdirAll(w.path("notation/truststore/x509/ca/releases"), 0o700); err != nil {
		t.Fatal(err)
	}
	w.write("notation/truststore/x509/ca/releases/release.crt", admin("show", "release", "--certificates"))
	w.write("notation/trustpolicy.json", notationTrust)

	// The pusher may push, and not sign.
	unsigned := w.push("1.0")
	w.fails("ecr:BatchGetImage", kontorBin, "promote", "website:1.0", "--to", "prod")
	w.fails("signature", self, verifyCommand, "notation", w.staging+"/website@"+unsigned)

	w.ok(kontorBin, "admin", "user", "attach", "pusher", "AdministratorAccess", "--data", "data", "--target", "staging")
	digest := w.push("2.0")
	w.ok(kontorBin, "wait", "staging/website:2.0", "--signed")
	w.ok(self, verifyCommand, "notation", w.staging+"/website@"+digest)
	w.ok(kontorBin, "promote", "website:2.0", "--to", "prod")
	w.ok(kontorBin, "signers", "verify", "website:2.0", "--by", "release", "--data", "data", "--target", "prod")
}
