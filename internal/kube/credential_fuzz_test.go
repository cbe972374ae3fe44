package kube_test

import (
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/kube"
)

// FuzzCredential: whatever a credential plugin prints, it is a credential or an
// error that holds nothing of it.
func FuzzCredential(f *testing.F) {
	const version = "client.authentication.k8s.io/v1"
	f.Add(`{"apiVersion":"` + version + `","kind":"ExecCredential","status":{"token":"sesame-open"}}`)
	f.Add(`{"apiVersion":"` + version + `","kind":"ExecCredential","status":{"clientCertificateData":"a","clientKeyData":"sesame-open"}}`)
	f.Add(`{"apiVersion":"v1","kind":"ExecCredential","status":{"token":"sesame-open"}}`)
	f.Add(`{"kind":"ExecCredential","status":null}`)
	f.Add("sesame-open")
	text := strings.NewReplacer("URL", "https://127.0.0.1:1", "CA", "", "USER", "{exec: {apiVersion: "+version+", command: x}}").Replace(kubeconfig)
	f.Fuzz(func(t *testing.T, printed string) {
		s := source(t, text)
		s.Run = func(string, []string, []string) ([]byte, error) { return []byte(printed), nil }
		cfg, err := kube.Load(s)
		switch {
		case err != nil:
			if strings.Contains(err.Error(), "sesame-open") && !strings.Contains(err.Error(), " speaks ") {
				t.Errorf("%v", err)
			}
		case cfg.Token == nil && len(cfg.ClientCertificate) == 0:
			t.Errorf("%q is a credential", printed)
		}
	})
}
