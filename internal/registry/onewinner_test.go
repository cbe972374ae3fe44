package registry_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/pgtest"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/testkit"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// Of 1,000 clients that push different images to one immutable tag at once,
// by docker and by the API, exactly one wins, and the others leave nothing.
func TestOneWinnerOfAnImmutableTag(t *testing.T) {
	for name, database := range testkit.Databases {
		t.Run(name, func(t *testing.T) {
			f := testkit.OpenOn(t, testkit.Settings{Compat: registry.CompatECR}, database(t))
			for _, tc := range []struct {
				mode    ecr.TagMutability
				filters []string
			}{
				{ecr.Immutable, nil},
				{ecr.ImmutableWithExclusion, []string{"latest", "dev-*"}},
				{ecr.MutableWithExclusion, []string{"v*"}},
			} {
				to := f.Repo(strings.ToLower(strings.ReplaceAll(string(tc.mode), "_", "-")), tc.mode, tc.filters...)
				raceForTag(f, to, 1000)
			}
		})
	}
}

func raceForTag(f *testkit.World, to ecr.Repo, clients int) {
	f.T.Helper()
	template := f.Image(to, "x")
	var (
		wg   sync.WaitGroup
		gate = make(chan struct{})
		errs = make([]error, clients)
		won  = make([]registry.PutResult, clients)
	)
	for i := range clients {
		n := registry.NewImage{Tags: []ecr.Tag{"v1"}, Strict: i%2 == 0}
		n.Body = []byte(strings.Replace(string(template), "{", fmt.Sprintf(`{"annotations":{"client":"%d"},`, i), 1))
		if i%3 == 0 {
			n.Digest = ecr.DigestOf(n.Body) // pushed by digest, with the tag as a parameter
		}
		wg.Go(func() {
			<-gate
			won[i], errs[i] = f.PutImage(f.T.Context(), to, n)
		})
	}
	close(gate)
	wg.Wait()
	var winners []ecr.Digest
	for i, err := range errs {
		if err == nil {
			winners = append(winners, won[i].Digest)
		} else {
			testkit.WantCode(f.T, err, ecr.CodeImageTagAlreadyExists, "The image tag 'v1' already exists in the '"+string(to.Name)+"' repository")
		}
	}
	m, err := f.Manifest(f.T.Context(), to, ecr.ImageID{Tag: "v1"})
	if err != nil || len(winners) != 1 || m.Digest != winners[0] {
		f.T.Errorf("%s: winners %v, the tag is at %s (%v)", to.Name, winners, m.Digest, err)
	}
	images, _, err := f.ListImageDetails(f.T.Context(), to, "", "", 100)
	if err != nil || len(images) != 1 {
		f.T.Errorf("%s: %d images (%v)", to.Name, len(images), err)
	}
}
