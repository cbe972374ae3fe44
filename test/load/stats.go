package main

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// stats are the figures of a run.
type stats struct {
	mu      sync.Mutex
	done    map[string]int           // acknowledged operations; guarded by mu
	killed  map[string]int           // cut off by a kill; guarded by mu
	slowest map[string]time.Duration // guarded by mu
	sums    map[string]int64         // guarded by mu
}

func newStats() *stats {
	return &stats{done: map[string]int{}, killed: map[string]int{}, slowest: map[string]time.Duration{}, sums: map[string]int64{}}
}

func (s *stats) did(operation string, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done[operation]++
	s.slowest[operation] = max(s.slowest[operation], took)
}

func (s *stats) cut(operation string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.killed[operation]++
}

func (s *stats) count(what string) { s.add(what, 1) }

func (s *stats) add(what string, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sums[what] += n
}

func (s *stats) print(took time.Duration, srv *server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Printf("%-18s %12s %8s %9s %9s\n", "", "acknowledged", "a second", "slowest", "cut off")
	var done, killed int
	for _, o := range operations {
		n := s.done[o.name]
		fmt.Printf("%-18s %12d %8.1f %9s %9d\n", o.name, n, float64(n)/took.Seconds(), s.slowest[o.name].Round(time.Millisecond), s.killed[o.name])
		done += n
		killed += s.killed[o.name]
	}
	fmt.Printf("%-18s %12d %8.1f %9s %9d\n", "in all", done, float64(done)/took.Seconds(), "", killed)
	for _, what := range slices.Sorted(maps.Keys(s.sums)) {
		fmt.Printf("%s: %d\n", what, s.sums[what])
	}
	fmt.Printf("%d kills in %s; the slowest start took %s; a process had at most %d MiB resident\n",
		srv.kills, took.Round(time.Second), srv.slowest.Round(time.Millisecond), srv.memory>>20)
}
