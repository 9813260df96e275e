package state_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"executionbackup/internal/state"
)

// BenchmarkPut is a Put that is waited for, beside a bare write and fsync of as many bytes, by turns: what the disk
// takes, nobody can save.
func BenchmarkPut(b *testing.B) {
	const objection = `{"number":12345678,"since":1764450000,"reason":"invalid merkle root (remote: 0x01 local: 0x02)"}`
	f, end := started(b, in(b))
	bare, err := os.OpenFile(filepath.Join(b.TempDir(), "bare"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	<-f.Put(one("begun", 0, "true"), state.Synced)
	took := make(map[string][]time.Duration)
	time := func(what string, do func()) {
		began := time.Now()
		do()
		took[what] = append(took[what], time.Since(began))
	}
	rank := uint64(0)
	for b.Loop() {
		rank++
		changes := one("objection/http://10.0.0.2:8551/0x8d07", rank, objection)
		line := state.Encode(changes)
		time("synced", func() { <-f.Put(changes, state.Synced) })
		time("bare", func() {
			if _, err := bare.Write(line); err != nil {
				b.Fatal(err)
			}
			if err := bare.Sync(); err != nil {
				b.Fatal(err)
			}
		})
		changes = one("head", rank, `{"number":"0x14"}`)
		time("written", func() { <-f.Put(changes, state.Written) })
		changes = one("head", rank, `{"number":"0x15"}`)
		time("soon", func() { f.Put(changes, state.Soon) })
		<-f.Put(one("head", rank, `{"number":"0x15"}`), state.Synced)
	}
	for what, all := range took {
		slices.Sort(all)
		b.ReportMetric(float64(all[len(all)/2].Microseconds()), "µs-p50-"+what)
		b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "µs-p99-"+what)
	}
	b.ReportMetric(0, "ns/op")
	end()
	bare.Close()
}
