package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Result is what is kept of a run.
type Result struct {
	Time   time.Time
	Go     string
	CPU    string
	Cores  int
	Rounds int
	IdleMB float64 // resident memory of an ExecutionBackup that only probes three nodes
	Rows   []Row
	Sync   []SyncRow `json:",omitempty"`
}

// Row is what one way showed with one workload.
type Row struct {
	Workload string
	Way      string
	P50, P99 float64 // milliseconds of a call
	Rate     float64 // calls in a second
	// Ratio is the median over the rounds of this way's time by the limit's in the same round: direct to as many nodes.
	Ratio float64
	// Over is the median over the rounds of how much more that is, in milliseconds.
	Over float64
	// Well is the same as Ratio, by shadow mode with all nodes well; 0 for ways without shadow mode.
	Well float64 `json:",omitempty"`
	// Growth is by how much more a call's time grew from one node to eight than it did without us; 0 for other ways.
	Growth float64 `json:",omitempty"`
	CPU    float64 // milliseconds of the process for a call
	Allocs float64 // of the process for a call
	PeakMB float64 // resident memory
}

// SyncRow is what one way showed when a consensus client brought fresh geths to the head of a chain.
type SyncRow struct {
	Sync string
	Way  string
	// Done is how many seconds each slice of the chain took until the client had its last answer, Followed until all
	// geths had the slice's last block as their head.
	Done, Followed []float64
	// Ratio and FollowedRatio are the quartiles, over the slices, of these by those of the limit in the same slice:
	// direct to three.
	Ratio, FollowedRatio [3]float64
	P50, P99             float64 // milliseconds of both calls for a block
	CPU, GethsCPU        float64 // milliseconds for a block: of ExecutionBackup, of all geths together
}

func newResult(rounds int) *Result {
	text, _ := os.ReadFile("/proc/cpuinfo")
	return &Result{Time: time.Now().UTC(), Go: runtime.Version(), Cores: runtime.NumCPU(), Rounds: rounds,
		CPU: strings.TrimSpace(after(text, "model name\t:", '\n'))}
}

// rows works a workload's measurements out.
func rows(ctx context.Context, w *workload, all []*measurement) ([]Row, error) {
	find := func(name string) *measurement {
		for _, m := range all {
			if m.name == name {
				return m
			}
		}
		return nil
	}
	limits := map[int]*measurement{1: find("direct"), 3: find("direct to 3"), 8: find("direct to 8")}
	if limits[3] == nil {
		limits[3] = find(stateless)
	}
	var list []Row
	for _, m := range all {
		limit := limits[m.nodes]
		if w.single {
			limit = limits[1]
		}
		r := Row{
			Workload: w.name, Way: m.name, P50: milliseconds(percentile(m.took, 50)),
			P99: milliseconds(percentile(m.took, 99)), Ratio: ratio(m.medians, limit.medians),
			Over: over(m.medians, limit.medians),
		}
		if well := find(shadowWays[0]); slices.Contains(shadowWays, m.name) {
			r.Well = ratio(m.medians, well.medians)
		}
		r.Rate = float64(time.Second) / float64(median(m.medians))
		if m.process != nil {
			r.CPU, r.PeakMB = milliseconds(m.cpu)/float64(m.calls), megabytes(m.process.memory("VmHWM"))
		}
		if m.daemon != nil {
			var err error
			if r.Allocs, err = m.allocations(ctx, w); err != nil {
				return nil, err
			}
			if m.nodes == 8 && !w.single {
				r.Growth = growth(m.medians, find("ExecutionBackup, 1").medians, limits[8].medians, limits[1].medians)
			}
		}
		list = append(list, r)
	}
	return list, nil
}

// allocations makes some more calls and counts the daemon's allocations, less what the counting itself takes.
func (m *measurement) allocations(ctx context.Context, w *workload) (float64, error) {
	var counts [3]float64
	calls := 0
	for i := range counts {
		var err error
		if counts[i], err = m.daemon.mallocs(ctx); err != nil {
			return 0, err
		}
		if i == 1 {
			took, err := m.calling(w, w.slice)
			if err != nil {
				return 0, err
			}
			calls = len(took)
		}
	}
	return max(0, (counts[2]-counts[1])-(counts[1]-counts[0])) / float64(calls), nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
func megabytes(n int64) float64            { return float64(n) / 1e6 }

func seconds(list []time.Duration) (values []float64) {
	for _, d := range list {
		values = append(values, d.Seconds())
	}
	return values
}

func percentile(took []time.Duration, p int) time.Duration {
	sorted := slices.Sorted(slices.Values(took))
	return sorted[min(len(sorted)-1, len(sorted)*p/100)]
}

func median[T ~int64 | ~float64](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// ratio is the median of what each round shows.
func ratio(took, limit []time.Duration) float64 { return quartiles(took, limit)[1] }

// quartiles are those of what each round shows.
func quartiles(took, limit []time.Duration) (q [3]float64) {
	each := make([]float64, len(took))
	for i := range took {
		each[i] = float64(took[i]) / float64(limit[i])
	}
	slices.Sort(each)
	for i := range q {
		q[i] = each[len(each)*(i+1)/4]
	}
	return q
}

// over is the median of how much longer it took than the limit in each round, in milliseconds.
func over(took, limit []time.Duration) float64 {
	each := make([]float64, len(took))
	for i := range took {
		each[i] = milliseconds(took[i] - limit[i])
	}
	return median(each)
}

func growth(eight, one, limit8, limit1 []time.Duration) float64 {
	each := make([]float64, len(eight))
	for i := range eight {
		each[i] = float64(eight[i]) / float64(one[i]) * float64(limit1[i]) / float64(limit8[i])
	}
	return median(each)
}

// print writes the result as Markdown tables.
func (r *Result) print(w io.Writer) {
	fmt.Fprintf(w, "%s, %d cores, %s, %s\n", r.CPU, r.Cores, r.Go, r.Time.Format(time.DateOnly))
	switch {
	case slices.ContainsFunc(r.Rows, func(row Row) bool { return row.Well > 0 }):
		r.printShadow(w)
	case len(r.Rows) > 0:
		r.printCalls(w)
	}
	if len(r.Sync) > 0 {
		r.printSync(w)
	}
}

func (r *Result) printCalls(w io.Writer) {
	fmt.Fprintf(w, "\n%d rounds; idle with three nodes: %.0f MB\n\n", r.Rounds, r.IdleMB)
	fmt.Fprintln(w,
		"| workload | way | p50 ms | p99 ms | calls/s | × limit | growth 1 → 8 | CPU ms | allocations | peak MB |")
	fmt.Fprintln(w, "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|")
	last := ""
	for _, row := range r.Rows {
		name := onChange(&last, row.Workload)
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %.2f | %s | %s | %s | %s |\n",
			name, row.Way, short(row.P50), short(row.P99), short(row.Rate), row.Ratio,
			short(row.Growth), short(row.CPU), short(row.Allocs), short(row.PeakMB))
	}
}

func (r *Result) printShadow(w io.Writer) {
	fmt.Fprintf(w, "\n%d rounds\n\n", r.Rounds)
	fmt.Fprintln(w, "| workload | way | p50 ms | p99 ms | × limit | over it ms | × all well | CPU ms |")
	fmt.Fprintln(w, "|---|---|--:|--:|--:|--:|--:|--:|")
	last := ""
	for _, row := range r.Rows {
		name := onChange(&last, row.Workload)
		fmt.Fprintf(w, "| %s | %s | %s | %s | %.2f | %.2f | %s | %s |\n", name, row.Way, short(row.P50), short(row.P99),
			row.Ratio, row.Over, short(row.Well), short(row.CPU))
	}
}

// onChange is a row's name where it isn't that of the row before.
func onChange(last *string, name string) string {
	if name == *last {
		return ""
	}
	*last = name
	return name
}

// checkShadow returns an error where the consensus client waits for other nodes in shadow mode than the one that
// answers. One that hangs or is late would make a call take a hundred times as long; twice as long is noise.
func (r *Result) checkShadow() error {
	for _, row := range r.Rows {
		if row.Well > 2 {
			return fmt.Errorf("%s, %s: %.1f times as long as with all nodes well", row.Workload, row.Way, row.Well)
		}
	}
	return nil
}

func (r *Result) printSync(w io.Writer) {
	fmt.Fprintln(w, "\n| sync | way | done s | × limit | all have the head s | × limit "+
		"| p50 ms | p99 ms | our CPU ms | geths' CPU ms |")
	fmt.Fprintln(w, "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|")
	last := ""
	for _, row := range r.Sync {
		name := onChange(&last, row.Sync)
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n",
			name, row.Way, short(sum(row.Done)), spread(row.Ratio), short(sum(row.Followed)), spread(row.FollowedRatio),
			short(row.P50), short(row.P99), short(row.CPU), short(row.GethsCPU))
	}
}

// spread writes the median with the other quartiles.
func spread(quartiles [3]float64) string {
	if quartiles[0] == quartiles[2] {
		return fmt.Sprintf("%.2f", quartiles[1])
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", quartiles[1], quartiles[0], quartiles[2])
}

func sum(values []float64) (sum float64) {
	for _, x := range values {
		sum += x
	}
	return sum
}

// short writes a number with three digits, and nothing for zero.
func short(x float64) string {
	if x == 0 {
		return ""
	}
	decimals := max(0, 2-int(math.Floor(math.Log10(x))))
	if x >= 1 {
		decimals = max(0, 2-len(fmt.Sprint(int(x)))+1)
	}
	return fmt.Sprintf("%.*f", decimals, x)
}

func (r *Result) write(name string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(b, '\n'), 0o644)
}
