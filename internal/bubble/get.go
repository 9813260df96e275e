package bubble

import (
	"fmt"
	"time"

	"executionbackup/internal/jsonrpc"
)

// Get makes a call of the Engine API, whose method is named without "engine_", and returns the result or the error's
// message, and when it came.
func (b *Bubble) Get(method, params string) (result string, took time.Duration) {
	b.t.Helper()
	begun := time.Now()
	call := fmt.Appendf(nil, `{"jsonrpc":"2.0","id":1,"method":"engine_%s","params":%s}`, method, params)
	answer := b.Post(b.t.Context(), call)
	reply, err := jsonrpc.ParseReply(answer)
	if err != nil {
		b.t.Fatalf("%s: %v", answer, err)
	}
	if reply.Err != nil {
		return reply.Err.Message, time.Since(begun)
	}
	return string(reply.Result), time.Since(begun)
}

// Counted returns the value of a counter, as Prometheus would read it: of the one with that label's value.
func (b *Bubble) Counted(name, label, value string) float64 {
	b.t.Helper()
	families, err := b.Metrics.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == name && l.GetName() == label && l.GetValue() == value {
					return m.GetCounter().GetValue()
				}
			}
		}
	}
	b.t.Fatalf("there is no %s{%s=%q}", name, label, value)
	return 0
}

// Value returns the value of a gauge or a counter without labels, as Prometheus would read it.
func (b *Bubble) Value(name string) float64 {
	b.t.Helper()
	families, err := b.Metrics.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue() // one of them is nil, and 0
		}
	}
	b.t.Fatalf("there is no %s", name)
	return 0
}
