package delivery_test

import (
	"fmt"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events/delivery"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// BenchmarkPush pushes images. Without a receiver events must cost nothing, with one that
// wants others next to nothing, and with one that wants them a row.
func BenchmarkPush(b *testing.B) {
	for _, bench := range []struct {
		name  string
		types []string
	}{{"no receiver", nil}, {"a receiver of others", []string{"lease.*"}}, {"a receiver", []string{"image.*"}}} {
		b.Run(bench.name, func(b *testing.B) {
			s := testkit.Keeping(0, 0, 0)
			s.Events.Hosts = []delivery.Host{{Host: "hooks.example.com"}}
			w := testkit.Open(b, s)
			if bench.types != nil {
				_, _, err := w.Events.As(testkit.Admin).PutEventReceiver(b.Context(), testkit.Home, delivery.NewReceiver{Name: "a", URL: "https://hooks.example.com/", Types: bench.types})
				if err != nil {
					b.Fatal(err)
				}
			}
			app := w.Repo("app", ecr.Mutable)
			body := w.Image(app, "one")
			for i := 0; b.Loop(); i++ {
				w.MustPut(app, body, ecr.Tag(fmt.Sprint("v", i)))
			}
		})
	}
}
