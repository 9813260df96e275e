package state

import (
	"context"
	"fmt"
	"testing"
)

// BenchmarkShared tells how long a Put takes until the store has it, and a Fetch, with a server on this machine.
func BenchmarkShared(b *testing.B) {
	s := startServer(b)
	i := startInstance(b, s.url(), "a")
	value := make([]byte, 1000)
	rank := uint64(0)
	b.Run("Put", func(b *testing.B) {
		for b.Loop() {
			rank++
			<-i.Put(Records{fmt.Sprint("k", rank%100): {rank, value}})
		}
	})
	b.Run("Fetch", func(b *testing.B) {
		for b.Loop() {
			i.Fetch(context.Background(), "k1")
		}
	})
	if why := i.Degraded(); why != "" {
		b.Fatal(why)
	}
}
