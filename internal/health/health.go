// Package health judges one node: is it alive, syncing or dead, and does it lag? It is pure: time is an argument, and
// whoever owns a Health guards it.
package health

import (
	"cmp"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// State is how a node can be used. The words are those of the REST API.
type State uint8

const (
	Unknown State = iota // it hasn't said yet, at the start or since it came back: counts as reachable
	Alive                // synced: it votes
	Syncing              // reachable, but behind: it gets every call, and nobody waits for it
	Dead                 // not reachable, or on the wrong chain
)

var stateNames = [...]string{"unknown", "alive", "syncing", "dead"}

func (s State) String() string { return stateNames[s] }

// Health is what is known of a node. The zero value knows nothing.
type Health struct {
	unreachable string // why it can't be reached, in words; "" where it can, as far as we know
	foreign     string // why it is on the wrong chain; "" where it isn't
	word        word   // its own, eth_syncing
	evidence    evidence

	laggard      bool
	late, timely int         // newPayloads in a row
	lateOn       common.Hash // the block of the last late one
	spent        bool

	unable  string // why it can't follow though it can be reached; "" where it can
	lacking int    // calls whose method it lacked, since it last gave a status

	took  [window]time.Duration // the last probes' times
	takes int
}

// word is what a node says of itself, since it was last dead.
type word uint8

const (
	noWord word = iota
	saysSynced
	saysSyncing
)

// evidence is what live calls show of a node. It beats what the node says of itself: clients say "not syncing" before
// they have found peers, and "syncing" before their first forkchoice.
type evidence uint8

const (
	noEvidence evidence = iota
	followed            // it said VALID to a live call
	behind              // it said SYNCING where it should have known the head
)

// window is how many probes the response time is taken from.
const window = 15

// State returns the node's state.
func (h *Health) State() State {
	switch {
	case h.foreign != "" || h.unreachable != "" || h.unable != "":
		return Dead
	case h.evidence == behind:
		return Syncing
	case h.evidence == followed || h.word == saysSynced:
		return Alive
	case h.word == saysSyncing:
		return Syncing
	}
	return Unknown
}

// Reason says in words why the node is not alive; "" if it is.
func (h *Health) Reason() string {
	switch h.State() {
	case Dead:
		return cmp.Or(h.foreign, h.unreachable, h.unable)
	case Syncing:
		if h.evidence == behind {
			return "it answers SYNCING to blocks that it should know"
		}
		return "eth_syncing says so"
	case Unknown:
		return "it hasn't answered eth_syncing yet"
	}
	return ""
}

// Laggard reports whether nobody waits for the node's answers.
func (h *Health) Laggard() bool { return h.laggard }

// Probed notes an answer to eth_syncing, and the time that it took.
func (h *Health) Probed(synced bool, took time.Duration) {
	h.Answered()
	h.word = saysSyncing
	if synced {
		h.word = saysSynced
	}
	h.took[h.takes%window] = took
	h.takes++
}

// Answered notes an answer to any call: the node is reachable.
func (h *Health) Answered() { h.unreachable = "" }

// Failed notes a call or probe that failed on the connection, or on the token, and why: the node is dead at once.
func (h *Health) Failed(reason string) {
	h.unreachable = reason
	h.word = noWord // what it is when it comes back must be shown anew
	if h.evidence == followed {
		h.evidence = noEvidence
	}
}

// Hung notes a probe without an answer in time: a laggard, not dead, because a hung node may still take calls in.
func (h *Health) Hung() {
	h.laggard, h.timely = true, 0
}

// Followed notes a VALID to a live call.
func (h *Health) Followed() { h.evidence = followed }

// Behind notes a SYNCING to a child of the head, or to a forkchoiceUpdated on the head that the node hasn't called
// VALID.
func (h *Health) Behind() { h.evidence = behind }

// Objected notes an INVALID of a node that may object: it is none that lacks something.
func (h *Health) Objected() {
	if h.evidence == behind {
		h.evidence = noEvidence
	}
}

// Unable reports whether the node can be reached and can't follow: it still gets every call.
func (h *Health) Unable() bool { return h.unable != "" && h.unreachable == "" && h.foreign == "" }

// Lacked notes a call whose method the node lacks, though the others have it.
func (h *Health) Lacked(method string) {
	if h.lacking++; h.lacking >= InARow {
		h.unable = "it lacks " + method + ": is this its Engine API port, and is it new enough for the fork?"
	}
}

// Able notes a status: the node has the methods that it needs.
func (h *Health) Able() { h.unable, h.lacking = "", 0 }

// Foreign notes that the node is on another chain than the others, or (with "") that it isn't.
func (h *Health) Foreign(reason string) { h.foreign = reason }

// InARow is how many newPayloads make a laggard, and end one.
const InARow = 2

// Late notes that the node had not answered the newPayload of a block a grace after the first other node, or at all. It
// counts once a block.
func (h *Health) Late(block common.Hash) {
	h.timely = 0
	if h.late > 0 && block == h.lateOn {
		return
	}
	h.lateOn = block
	if h.late++; h.late >= InARow {
		h.laggard = true
	}
}

// UsedUp notes that the node let the time for the newPayload of a block go by: it is late, and spent until it answers
// one.
func (h *Health) UsedUp(block common.Hash) {
	h.spent = true
	h.Late(block)
}

// Spent reports whether the node used up its time on the last newPayload.
func (h *Health) Spent() bool { return h.spent }

// Came notes that the node answered a newPayload, however late.
func (h *Health) Came() { h.spent = false }

// Timely notes a newPayload that the node answered in time.
func (h *Health) Timely() {
	h.Came()
	h.late = 0
	if h.timely++; h.timely >= InARow {
		h.laggard = false
	}
}

// ResponseTime is the median of the last probes, or 0 where there was none.
func (h *Health) ResponseTime() time.Duration {
	n := min(h.takes, window)
	if n == 0 {
		return 0
	}
	sorted := h.took
	slices.Sort(sorted[:n])
	return sorted[n/2]
}
