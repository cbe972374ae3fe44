package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"
)

// result is what the servers did in a scenario.
type result struct {
	Scenario string   `json:"scenario"`
	Title    string   `json:"title"`
	Unit     string   `json:"unit"`
	Clients  int      `json:"clients"`
	Servers  []figure `json:"servers"`
}

// figure is what one server did. Rates has one value per round, in units a
// second; the others are of all rounds together.
type figure struct {
	Server  string    `json:"server"`
	Rates   []float64 `json:"rates"`
	Rate    float64   `json:"rate"`   // the median of Rates
	Spread  float64   `json:"spread"` // from the least to the largest, as a part of the median
	P50     float64   `json:"p50Milliseconds"`
	P99     float64   `json:"p99Milliseconds"`
	CPU     float64   `json:"cpuMicrosecondsPerUnit"`
	Written float64   `json:"bytesWrittenPerUnit"`
	Memory  int64     `json:"residentBytes"` // after the last round
}

// meter measures one server in a scenario.
type meter struct {
	figure
	work      work
	operation atomic.Int64 // counts over all rounds
	latencies []time.Duration
	units     float64
	used      usage
}

// compare runs a scenario against all servers, each on an empty folder: in rounds,
// each with another server first, so that none has a quieter machine than the others.
func compare(ctx context.Context, o options, s scenario, targets []*target) (r result, err error) {
	r = result{Scenario: s.name, Title: s.title, Unit: s.unit, Clients: s.clients}
	var part []*target
	for _, t := range targets {
		if !s.disk && !s.start || !t.inMemory {
			part = append(part, t)
		}
	}
	defer func() {
		for _, t := range part {
			err = errors.Join(err, t.clear())
		}
	}()
	meters := make([]*meter, len(part))
	for i, t := range part {
		if err := t.start(ctx); err != nil {
			return r, fmt.Errorf("%s: %w", t.name, err)
		}
		meters[i] = &meter{figure: figure{Server: t.name}}
		if meters[i].work, err = s.prepare(ctx, o, t.client); err != nil {
			return r, fmt.Errorf("%s: preparing %s: %w", t.name, s.name, err)
		}
	}
	for round := range o.rounds {
		for n := range part {
			i := (round + n) % len(part)
			one := meters[i].round
			if s.start {
				one = meters[i].restart
			}
			if err := one(ctx, o, s, part[i]); err != nil {
				return r, fmt.Errorf("%s: %s: %w", part[i].name, s.name, err)
			}
		}
	}
	for _, m := range meters {
		m.finish()
		r.Servers = append(r.Servers, m.figure)
	}
	return r, nil
}

// round lets the clients work for the time of a round.
func (m *meter) round(ctx context.Context, o options, s scenario, t *target) error {
	before := usageOf(t.cmd.Process.Pid)
	began := time.Now()
	end := began.Add(o.each)
	var wg sync.WaitGroup
	units, latencies, errs := make([]float64, s.clients), make([][]time.Duration, s.clients), make([]error, s.clients)
	for w := range s.clients {
		wg.Go(func() {
			for time.Now().Before(end) {
				at := time.Now()
				n, err := m.work(ctx, w, m.operation.Add(1)-1)
				if err != nil {
					errs[w] = err
					return
				}
				units[w] += n
				latencies[w] = append(latencies[w], time.Since(at))
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	var sum float64
	for w := range s.clients {
		if errs[w] != nil && !errors.Is(errs[w], errDone) {
			return errs[w]
		}
		sum += units[w]
		m.latencies = append(m.latencies, latencies[w]...)
	}
	if sum > 0 {
		m.Rates = append(m.Rates, sum/took.Seconds())
	}
	m.add(before, usageOf(t.cmd.Process.Pid), sum)
	return nil
}

// restart stops the server and measures how long it takes to its first answer.
func (m *meter) restart(ctx context.Context, _ options, _ scenario, t *target) error {
	if err := t.stop(); err != nil {
		return err
	}
	took, err := t.launch(ctx)
	if err != nil {
		return err
	}
	m.Rates = append(m.Rates, 1/took.Seconds())
	m.latencies = append(m.latencies, took)
	m.add(usage{}, usageOf(t.cmd.Process.Pid), 1)
	return nil
}

func (m *meter) add(before, after usage, units float64) {
	m.used.cpu += after.cpu - before.cpu
	m.used.written += after.written - before.written
	m.Memory = after.memory
	m.units += units
}

func (m *meter) finish() {
	m.Rate = quantile(m.Rates, 0.5)
	if m.Rate > 0 {
		m.Spread = (slices.Max(m.Rates) - slices.Min(m.Rates)) / m.Rate
	}
	m.P50 = quantile(m.latencies, 0.5).Seconds() * 1000
	m.P99 = quantile(m.latencies, 0.99).Seconds() * 1000
	if m.units > 0 {
		m.CPU = float64(m.used.cpu.Microseconds()) / m.units
		m.Written = float64(m.used.written) / m.units
	}
}

func quantile[T cmp.Ordered](of []T, q float64) T {
	var zero T
	if len(of) == 0 {
		return zero
	}
	sorted := slices.Sorted(slices.Values(of))
	return sorted[min(len(sorted)-1, int(math.Floor(q*float64(len(sorted)))))]
}

func (r result) print(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "%s: %s\n", r.Scenario, r.Title); err != nil {
		return err
	}
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, err := fmt.Fprintf(tab, "\t%s/s\tspread\t%s of it\tp50 ms\tp99 ms\tCPU us\twritten KiB\tmemory MiB\t\n", r.Unit, r.Servers[0].Server)
	for _, f := range r.Servers {
		_, e := fmt.Fprintf(tab, "%s\t%.4g\t%.0f %%\t%.2f\t%.4g\t%.4g\t%.4g\t%.4g\t%d\t\n", f.Server, f.Rate, f.Spread*100,
			r.Servers[0].Rate/f.Rate, f.P50, f.P99, f.CPU, f.Written/1024, f.Memory>>20)
		err = errors.Join(err, e)
	}
	_, e := fmt.Fprintln(tab)
	return errors.Join(err, e, tab.Flush())
}
