package leases_test

import (
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/leases"
)

// TestInUse: each form of a file is read once and asked for every registry by
// its names.
func TestInUse(t *testing.T) {
	digest := string(ecr.DigestOf(nil))
	for name, tt := range map[string]struct {
		text             string
		here, other, all int // leases on localhost:5050, on other.example, and on any registry
	}{
		"plain list": {"localhost:5050/app:v1 web\nother.example/app:v1\n", 1, 1, 2},
		"kubectl": {`{"kind": "List", "items": [{"kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [
			{"name": "c", "image": "localhost:5050/app:v1"}, {"name": "d", "image": "other.example/app:v2"}]}}]}`, 1, 1, 2},
		// what a registry lists is of that registry
		"lease list": {`{"leases": [{"repositoryName": "app", "imageDigest": "` + digest + `", "collector": "c", "user": "web"}]}`, 1, 1, 1},
		"nothing":    {"", 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := leases.ParseInUse("used", []byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			for hosts, want := range map[string]int{"localhost:5050": tt.here, "other.example": tt.other, "": tt.all} {
				t.Run("hosts "+hosts, func(t *testing.T) {
					names := []string{hosts}
					if hosts == "" {
						names = nil
					}
					if got, err := leases.AllOn([]leases.InUse{u}, names); err != nil || len(got) != want {
						t.Errorf("on %q: %+v, %v, want %d", hosts, got, err, want)
					}
				})
			}
		})
	}
	for text, want := range map[string]string{
		"registry:5000/app:\n": `used: used:1: "registry:5000/app:" is not the name of an image`,
		`{"kind": "Secret"`:    "used: ",
		`{"leases": [{"repositoryName": "app", "user": "web"}]}`:      "used: a lease on app names no image",
		`{"leases": [{"repositoryName": "app", "imageTag": "v1"}]}`:   "used: a lease on app does not say who uses the image",
		`{"leases": [{"repositoryName": "APP", "imageTag": "v1"}]}`:   `used: a lease on "APP": that is not the name of a repository`,
		`{"leases": [{"repositoryName": "app", "imageDigest": "x"}]}`: `used: a lease on app: "x" is not a digest`,
	} {
		t.Run(want, func(t *testing.T) {
			if _, err := leases.ParseInUse("used", []byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%s: %v, want %q", text, err, want)
			}
		})
	}
}
