package leases_test

import (
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/leases"
)

// FuzzInUse: whatever a file of images in use holds, in each of its three
// forms, a lease that is read from it names an image of a repository and who
// uses it.
func FuzzInUse(f *testing.F) {
	digest := string(ecr.DigestOf(nil))
	f.Add([]byte("localhost:5050/app:v1 web\n"))
	f.Add([]byte(`{"leases":[{"repositoryName":"app","imageTag":"v1","user":"web"},{"repositoryName":"app","imageDigest":"` + digest + `","user":"web","collector":"c"}]}`))
	f.Add([]byte(`{"leases":null,"kind":"PodList","items":[{"kind":"Pod","spec":{"containers":[{"image":"localhost:5050/app:v1"}]}}]}`))
	f.Add([]byte(`{"leases":[{}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		u, err := leases.ParseInUse("file", text)
		if err != nil {
			return
		}
		list, err := u.On([]string{"localhost:5050"})
		if err != nil {
			return
		}
		for _, l := range list {
			if _, err := ecr.ParseRepositoryName(string(l.Repository)); err != nil || l.Image == (ecr.ImageID{}) || l.User == "" {
				t.Errorf("%q holds %+v", text, l)
			}
		}
	})
}
