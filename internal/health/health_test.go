package health

import (
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// Each line is what a node went through, and what it is then.
func TestState(t *testing.T) {
	probed := func(h *Health) { h.Probed(true, time.Millisecond) }
	saysSyncing := func(h *Health) { h.Probed(false, time.Millisecond) }
	failed := func(h *Health) { h.Failed("connection refused") }
	valid, behind := (*Health).Followed, (*Health).Behind
	foreign := func(h *Health) { h.Foreign("chain id 2, the others have 1") }
	home := func(h *Health) { h.Foreign("") }
	for _, c := range []struct {
		name   string
		events []func(*Health)
		want   State
		reason string
	}{
		{"nothing", nil, Unknown, "it hasn't answered eth_syncing yet"},
		{"synced", []func(*Health){probed}, Alive, ""},
		{"syncing by its own word", []func(*Health){saysSyncing}, Syncing, "eth_syncing says so"},
		{"VALID beats its own word", []func(*Health){saysSyncing, valid}, Alive, ""},
		{"and goes on beating it", []func(*Health){valid, saysSyncing}, Alive, ""},
		{"SYNCING on the head beats its own word", []func(*Health){probed, behind}, Syncing,
			"it answers SYNCING to blocks that it should know"},
		{"until it says VALID again", []func(*Health){probed, behind, probed, valid}, Alive, ""},
		{"refused", []func(*Health){probed, failed}, Dead, "connection refused"},
		{"an answer makes it reachable", []func(*Health){probed, failed, (*Health).Answered}, Unknown,
			"it hasn't answered eth_syncing yet"},
		{"answers to other calls don't make it syncing", []func(*Health){(*Health).Answered}, Unknown,
			"it hasn't answered eth_syncing yet"},
		{"back, by its own word", []func(*Health){probed, failed, probed}, Alive, ""},
		{"a VALID from before it died proves nothing", []func(*Health){valid, failed, saysSyncing}, Syncing,
			"eth_syncing says so"},
		{"behind before it died and after", []func(*Health){behind, failed, probed}, Syncing,
			"it answers SYNCING to blocks that it should know"},
		{"hung is not dead", []func(*Health){probed, (*Health).Hung}, Alive, ""},
		{"dead stays dead while probes hang", []func(*Health){failed, (*Health).Hung}, Dead, "connection refused"},
		{"hung from the start", []func(*Health){(*Health).Hung}, Unknown, "it hasn't answered eth_syncing yet"},
		{"wrong chain", []func(*Health){probed, foreign}, Dead, "chain id 2, the others have 1"},
		{"wrong chain whatever it says", []func(*Health){foreign, probed, valid}, Dead,
			"chain id 2, the others have 1"},
		{"and back", []func(*Health){probed, foreign, home}, Alive, ""},
	} {
		var h Health
		for _, e := range c.events {
			e(&h)
		}
		if h.State() != c.want || h.Reason() != c.reason {
			t.Errorf("%s: %v %q, want %v %q", c.name, h.State(), h.Reason(), c.want, c.reason)
		}
	}
}

// l is a late newPayload, L the same once more, u one that used up its time, t a timely one, h a hung probe; b: it
// comes back from the dead.
func TestLaggard(t *testing.T) {
	for events, want := range map[string]bool{
		"":       false,
		"l":      false,
		"ll":     true,
		"ltl":    false,
		"llt":    true,
		"lltt":   false,
		"lltlt":  true,
		"h":      true,
		"ht":     true,
		"htt":    false,
		"tth":    true,
		"tthltt": false,
		"lL":     false,
		"lLl":    true,
		"lu":     true,
		"b":      true,
		"bt":     false,
		"btl":    false,
		"bl":     true,
		"blt":    false,
		"bllt":   true, // it has become one of the ordinary kind
		"blltt":  false,
		"bht":    true,
		"bhtt":   false,
		"llbt":   false,
		"lbl":    true,
		"lblt":   false, // what it was late with before it died doesn't count
	} {
		var h Health
		for i, e := range events {
			switch e {
			case 'l':
				h.Late(common.Hash{byte(i + 1)})
			case 'L': // the same block again, from another CL
				h.Late(common.Hash{byte(i)})
			case 'u':
				h.UsedUp(common.Hash{byte(i + 1)})
			case 't':
				h.Timely()
			case 'h':
				h.Hung()
			case 'b':
				h.CameBack()
			}
		}
		if h.Laggard() != want {
			t.Errorf("%q: laggard %v", events, h.Laggard())
		}
	}
}

func TestResponseTimeIsTheMedianOfTheLastProbes(t *testing.T) {
	var h Health
	if got := h.ResponseTime(); got != 0 {
		t.Errorf("before any probe: %v", got)
	}
	for ms := range 100 {
		h.Probed(true, time.Duration(ms)*time.Millisecond)
	}
	if got, want := h.ResponseTime(), 92*time.Millisecond; got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}
