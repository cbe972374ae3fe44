package lifecycle_test

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/lifecycle"
)

// benchPolicy has 50 rules, as many as there may be: untagged, 48 lists of
// all sorts by turns (prefixes, patterns with an asterisk at the end, the
// front or the middle, two elements) with counts and ages by turns, any.
func benchPolicy() lifecycle.Policy {
	expire := lifecycle.Action{Type: lifecycle.Expire}
	p := lifecycle.Policy{Rules: []lifecycle.Rule{{Priority: 1, Action: expire, Selection: lifecycle.Selection{
		TagStatus: lifecycle.Untagged, CountType: lifecycle.SinceImagePushed, CountUnit: lifecycle.Days, CountNumber: 7}}}}
	for i := range 48 {
		s := lifecycle.Selection{TagStatus: lifecycle.Tagged}
		name := benchService(i)
		switch i % 8 {
		case 0, 1:
			s.TagPrefixes = []string{name + "-"}
		case 2:
			s.TagPatterns = []string{"*-" + name}
		case 3:
			s.TagPatterns = []string{name + "-*-rc*"}
		case 4:
			s.TagPatterns = []string{name + "-*", fmt.Sprintf("release-%d*", i)}
		default:
			s.TagPatterns = []string{name + "-*"}
		}
		if i%2 == 0 {
			s.CountType, s.CountNumber = lifecycle.ImageCountMoreThan, 100+i
		} else {
			s.CountType, s.CountUnit, s.CountNumber = lifecycle.SinceImagePushed, lifecycle.Days, 30+i
		}
		p.Rules = append(p.Rules, lifecycle.Rule{Priority: i + 2, Action: expire, Selection: s})
	}
	return lifecycle.Policy{Rules: append(p.Rules, lifecycle.Rule{Priority: 50, Action: expire, Selection: lifecycle.Selection{
		TagStatus: lifecycle.Any, CountType: lifecycle.ImageCountMoreThan, CountNumber: 1000}})}
}

func benchService(i int) string {
	return []string{"app", "api", "web", "worker", "proxy", "batch"}[i%6] + fmt.Sprint(i/6)
}

// benchImages are n images of the last two years with none to three tags. With
// graph, each tenth is an index of the four untagged images after it.
func benchImages(n int, graph bool) []lifecycle.Image {
	r := rand.New(rand.NewPCG(1, 2))
	images := make([]lifecycle.Image, n)
	for i := range images {
		m := &images[i]
		m.Digest = fmt.Sprintf("sha256:%x", sha256.Sum256([]byte{byte(i), byte(i >> 8), byte(i >> 16), byte(i >> 24)}))
		m.PushedAt = testNow.Add(-time.Duration(r.Int64N(int64(730 * 24 * time.Hour))))
		m.SizeBytes = r.Int64N(1 << 30)
		if graph && i%10 >= 1 && i%10 <= 4 {
			continue
		}
		for range r.IntN(4) {
			name := benchService(r.IntN(60))
			m.Tags = append(m.Tags, []string{
				fmt.Sprintf("%s-%d", name, i), fmt.Sprintf("release-%d-%s", i, name), fmt.Sprintf("%s-%d-rc%d", name, i, i%7), fmt.Sprintf("%x", i)}[r.IntN(4)])
		}
	}
	if graph {
		for i := 0; i+4 < n; i += 10 {
			for k := 1; k <= 4; k++ {
				images[i].Children = append(images[i].Children, images[i+k].Digest)
			}
		}
	}
	return images
}

var benchSizes = []int{1_000, 10_000, 100_000, 1_000_000}

func sized(b *testing.B, graph bool, run func(p lifecycle.Policy, images []lifecycle.Image)) {
	p := benchPolicy()
	if err := lifecycle.Validate(p); err != nil {
		b.Fatal(err)
	}
	for _, n := range benchSizes {
		b.Run(fmt.Sprintf("images=%d", n), func(b *testing.B) {
			images := benchImages(n, graph)
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				run(p, images)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/image")
		})
	}
}

// 50 rules, images without a graph.
func BenchmarkEvaluate(b *testing.B) {
	sized(b, false, func(p lifecycle.Policy, images []lifecycle.Image) { lifecycle.Evaluate(p, images, testNow) })
}

// The same with an index over four children in each ten images, and guards.
func BenchmarkDecideGraph(b *testing.B) {
	sized(b, true, func(p lifecycle.Policy, images []lifecycle.Image) { lifecycle.Decide(p, images, testNow) })
}

// The evaluator that the tests compare with: one rule after the other.
func BenchmarkReference(b *testing.B) {
	sized(b, false, func(p lifecycle.Policy, images []lifecycle.Image) { reference(p, images, testNow) })
}

// The worst patterns there are: 50 rules of two patterns of four asterisks,
// all of which every tag nearly meets.
func BenchmarkEvaluateHardPatterns(b *testing.B) {
	var p lifecycle.Policy
	for i := range 50 {
		p.Rules = append(p.Rules, lifecycle.Rule{Priority: i + 1, Action: lifecycle.Action{Type: lifecycle.Expire}, Selection: lifecycle.Selection{
			TagStatus: lifecycle.Tagged, TagPatterns: []string{fmt.Sprintf("*a*a*a*%dz", i), fmt.Sprintf("*b*b*b*%dz", i)},
			CountType: lifecycle.ImageCountMoreThan, CountNumber: 1}})
	}
	images := benchImages(100_000, false)
	for i := range images {
		images[i].Tags = []string{fmt.Sprintf("abababababababababababab%dz", i)}
	}
	for b.Loop() {
		lifecycle.Evaluate(p, images, testNow)
	}
}

// One image of 100,000 explained.
func BenchmarkExplain(b *testing.B) {
	p, images := benchPolicy(), benchImages(100_000, true)
	for b.Loop() {
		lifecycle.Explain(p, images, testNow, images[777].Digest)
	}
}

// Ninety days of 10,000 and 100,000 images, with arrivals.
func BenchmarkForecast90(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprintf("images=%d", n), func(b *testing.B) {
			p, images := benchPolicy(), benchImages(n, true)
			for b.Loop() {
				lifecycle.Forecast(p, images, testNow, lifecycle.Horizon{Days: 90, Rate: lifecycle.RatePresent})
			}
		})
	}
}

// Lint of 100,000 images.
func BenchmarkLint(b *testing.B) {
	p, images := benchPolicy(), benchImages(100_000, true)
	for b.Loop() {
		lifecycle.Lint(p, images, testNow)
	}
}
