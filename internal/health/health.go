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
	Unknown State = iota // the node hasn't said yet, at the start or since it came back: it counts as reachable
	Alive                // the node is synced: it votes
	Syncing              // the node is reachable, but behind: it gets every call, and nobody waits for it
	Dead                 // the node is not reachable, on the wrong chain, or lacks the methods to follow
)

var stateNames = [...]string{"unknown", "alive", "syncing", "dead"}

// String returns the state's word in the REST API, logs and metrics.
func (s State) String() string { return stateNames[s] }

// Health is what is known of a node. The zero value knows nothing. Not safe for concurrent use: whoever owns it guards
// it.
type Health struct {
	unreachable string // why it can't be reached, in words; "" where it can, as far as we know
	foreign     string // why it is on the wrong chain; "" where it isn't
	word        word   // what the node says of itself
	shown       shown  // what its answers show

	laggard      bool
	returned     bool        // it is a laggard only because it was dead, and hasn't answered a newPayload in time since
	late, timely int         // newPayloads in a row that it was late with, and that it answered in time
	lateOn       common.Hash // the block of the last newPayload that it was late with
	spent        bool        // it used up its time on the last newPayload

	unable  string // why it can't follow though it can be reached; "" where it can
	lacking int    // calls whose method it lacked, since it last gave a status

	took   [window]time.Duration // how long the last probes took, in a ring
	probes int                   // so far
}

// word is what a node says of itself (eth_syncing), since it was last dead.
type word uint8

const (
	noWord word = iota
	saysSynced
	saysSyncing
)

// shown is what a node's answers to the CL's calls show of it. It beats what the node says of itself: clients say "not
// syncing" before they have found peers, and "syncing" before their first forkchoice.
type shown uint8

const (
	nothing  shown = iota
	followed       // it said VALID
	behind         // it said SYNCING where it should have known the head
)

// window is how many probes the response time is taken from.
const window = 15

// State returns the node's state.
func (h *Health) State() State {
	switch {
	case h.foreign != "" || h.unreachable != "" || h.unable != "":
		return Dead
	case h.shown == behind:
		return Syncing
	case h.shown == followed || h.word == saysSynced:
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
		if h.shown == behind {
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

// Returned reports whether the node is a laggard only because it has just come back.
func (h *Health) Returned() bool { return h.returned }

// CameBack notes that the node isn't dead any more. Nobody waits for it until it has answered a newPayload in time: a
// crash and a return are to cost no grace.
func (h *Health) CameBack() {
	h.laggard, h.returned = true, true
	h.late, h.timely = 0, 0
}

// Probed notes an answer to eth_syncing, and the time that it took.
func (h *Health) Probed(synced bool, took time.Duration) {
	h.Answered()
	h.word = saysSyncing
	if synced {
		h.word = saysSynced
	}
	h.took[h.probes%window] = took
	h.probes++
}

// Answered notes an answer to any call: the node is reachable.
func (h *Health) Answered() { h.unreachable = "" }

// Failed notes a call or probe that failed on the connection, or on the token, and why: the node is dead at once.
func (h *Health) Failed(reason string) {
	h.unreachable = reason
	h.word = noWord // when it comes back, it must say or show anew how it is
	if h.shown == followed {
		h.shown = nothing
	}
}

// Hung notes a probe without an answer in time: a laggard, not dead, because a hung node may still take calls in.
func (h *Health) Hung() {
	h.setLaggard()
	h.timely = 0
}

// setLaggard makes the node a laggard of the ordinary kind.
func (h *Health) setLaggard() { h.laggard, h.returned = true, false }

// Followed notes a VALID to a live call.
func (h *Health) Followed() { h.shown = followed }

// Behind notes a SYNCING that shows that the node is behind: to a payload of the head's chain which other nodes know,
// or to a forkchoiceUpdated on the head which the node hasn't called VALID.
func (h *Health) Behind() { h.shown = behind }

// Objected notes an INVALID of a node that may object: whoever judges a block doesn't lack what it builds on.
func (h *Health) Objected() {
	if h.shown == behind {
		h.shown = nothing
	}
}

// Unable reports whether the node can be reached, but can't follow: it still gets every call.
func (h *Health) Unable() bool { return h.unable != "" && h.unreachable == "" && h.foreign == "" }

// Lacked notes a call whose method the node lacks, though the others have it.
func (h *Health) Lacked(method string) {
	if h.lacking++; h.lacking >= inARow {
		h.unable = "it lacks " + method + ": is this its Engine API port, and is it new enough for the fork?"
	}
}

// Able notes a status: the node has the methods that it needs.
func (h *Health) Able() { h.unable, h.lacking = "", 0 }

// Foreign notes that the node is on another chain than the others, or (with "") that it isn't.
func (h *Health) Foreign(reason string) { h.foreign = reason }

// inARow is how many late newPayloads make a laggard, how many timely ones end it, and how many calls whose method a
// node lacks show that it can't follow.
const inARow = 2

// Late notes that the node had not answered the newPayload of a block a grace after the first other node did, or didn't
// answer it at all. Each block counts once.
func (h *Health) Late(block common.Hash) {
	h.timely = 0
	if h.late > 0 && block == h.lateOn {
		return
	}
	h.lateOn = block
	if h.late++; h.late >= inARow {
		h.setLaggard()
	}
}

// UsedUp notes that the node let all its time for the newPayload of a block go by: it is late, and spent until it
// answers a newPayload.
func (h *Health) UsedUp(block common.Hash) {
	h.spent = true
	h.Late(block)
}

// Spent reports whether the node used up its time on the last newPayload.
func (h *Health) Spent() bool { return h.spent }

// Came notes that the node answered a newPayload, however late.
func (h *Health) Came() { h.spent = false }

// Timely notes a newPayload that the node answered in time: two in a row end that it is a laggard, and one where it
// only has just come back.
func (h *Health) Timely() {
	h.Came()
	h.late = 0
	if h.timely++; h.timely >= inARow || h.returned {
		h.laggard, h.returned = false, false
	}
}

// ResponseTime is the median time that the last probes took, or 0 where there was none.
func (h *Health) ResponseTime() time.Duration {
	n := min(h.probes, window)
	if n == 0 {
		return 0
	}
	sorted := h.took
	slices.Sort(sorted[:n])
	return sorted[n/2]
}
