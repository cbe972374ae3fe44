package delivery_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events"
	"github.com/kontor-registry/kontor/internal/events/delivery"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// crowded is how many events wait for a receiver. The queue of a server is five times as
// long: BenchmarkFullQueue.
const crowded = 2000

// A full queue of a receiver that does not answer delays no other one: all that the other
// is told arrives while the first request to the bad one still waits.
func TestCrowdedReceiver(t *testing.T) {
	for name, open := range testkit.Databases {
		for _, keys := range []int{1, crowded / 2} {
			t.Run(fmt.Sprintf("%s with %d repositories", name, keys), func(t *testing.T) {
				bad, good := newHook(t), newHook(t)
				w := world(t, open(t), func(s *testkit.Settings) { s.Events.Timeout = time.Minute }, bad, good)
				var all sync.WaitGroup
				const told = 25
				all.Add(told)
				good.says(func(_ http.ResponseWriter, _ *http.Request, n int) {
					if n <= told {
						all.Done()
					}
				})
				waits := make(chan struct{})
				go func() { all.Wait(); close(waits) }()
				bad.says(func(w http.ResponseWriter, r *http.Request, _ int) {
					select {
					case <-waits:
					case <-r.Context().Done():
					}
					w.WriteHeader(http.StatusServiceUnavailable)
				})
				crowd(t, w, "a", crowded, keys)
				for i := range told {
					w.Repo(fmt.Sprint("app-", i), ecr.Mutable)
				}
				deliver(t, w)
				if n := len(good.received()); n != told {
					t.Errorf("the other receiver got %d events", n)
				}
				// Who is not there is not asked again for each repository.
				if n := len(bad.received()); n == 0 || n > 10 {
					t.Errorf("the bad one was asked %d times", n)
				}
			})
		}
	}
}

// crowd queues n events for the receiver name, about so many repositories.
func crowd(t testing.TB, w *testkit.World, name string, n, repositories int) {
	t.Helper()
	list, err := w.Events.As(testkit.Admin).EventReceivers(t.Context(), testkit.Home)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(s delivery.Status) bool { return s.Name == name })
	err = w.Gate.System("test").Change(t.Context(), gate.Op("Crowd"), func(ctx context.Context, tx *gate.Tx) error {
		for k := range n {
			e := events.Event{ID: events.NewID(), Type: events.RepositoryCreated, At: w.Now(), Registry: testkit.Home, Repository: ecr.RepositoryName(fmt.Sprint("crowd-", k%repositories))}
			body, err := json.Marshal(e)
			if err != nil {
				return err
			}
			err = tx.Registries().QueueDelivery(ctx, meta.Delivery{Receiver: list[i].ID, QueuedAt: w.Now(), DueAt: w.Now(), Event: meta.DeliveryEvent{
				ID: e.ID, At: e.At, Type: string(e.Type), Repository: e.Repository, Key: e.Key(), Body: body,
			}})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// BenchmarkFullQueue finds what is due while the longest queue waits, all of it about one
// repository, which can be sent, or whose first event is put off.
func BenchmarkFullQueue(b *testing.B) {
	for name, open := range testkit.Databases {
		for _, put := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s put off %v", name, put), func(b *testing.B) {
				s := testkit.Keeping(24*time.Hour, 0, 0)
				s.Events.Hosts = []delivery.Host{{Host: "localhost", PlainHTTP: true}}
				w := testkit.OpenOn(b, s, open(b))
				if _, _, err := w.Events.As(testkit.Admin).PutEventReceiver(b.Context(), testkit.Home, delivery.NewReceiver{Name: "a", URL: "http://localhost/hook"}); err != nil {
					b.Fatal(err)
				}
				crowd(b, w, "a", delivery.DefaultQueue, 1)
				if put {
					if n, err := w.Events.Deliver(b.Context()); n != 0 || err != nil { // nothing listens there
						b.Fatal(n, err)
					}
				}
				for b.Loop() {
					if w.Events.Due(b.Context()) == put {
						b.Fatal("what is due is wrong")
					}
				}
			})
		}
	}
}
