package proof_test

import (
	"fmt"
	"testing"

	"github.com/kontor-registry/kontor/internal/access/proof"
)

// BenchmarkCompare is one change of a policy in an account of 500 users.
func BenchmarkCompare(b *testing.B) {
	w := world("", "")
	w.Seen = []string{owner}
	for i := range 500 {
		w.Principals = append(w.Principals, user(owner, fmt.Sprint("user", i), pullText))
	}
	p := prover(b, w)
	before, after := proof.Repository{In: in, Name: "app"}, proof.Repository{In: in, Name: "app", Policy: grant(other)}
	for b.Loop() {
		if got, err := p.Compare(before, after); err != nil || len(got.Differences) != 1 {
			b.Fatalf("%v, %v", got.Differences, err)
		}
	}
}
