package quorum

import (
	"time"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
)

// NodeID names a node: its URL as shown, without userinfo, options and a slash at the end. It outlives our process, and
// the node's removal: whoever is added again under the same URL is the same node.
type NodeID string

// Past is what a node's past words come to in a call on a block.
type Past struct {
	// Objects says that an INVALID of the node stands on the block, or on one of its ancestors: its objection.
	Objects bool
	Reason  string // that the node gave for its objection
	Own     bool   // the objection began with the block itself, and ends with a VALID on it
	Direct  bool   // it has said INVALID to the block itself, too, and stands by that
	Read    bool   // the objection was read from records: for INVALID, only what a node says in this run is counted
	Since   uint64 // timestamp of the block with which the objection began, in seconds; 0 where that isn't known
	Config  string // the node's fork configuration when the objection began; "" where that isn't known
	// Explained says that fork configurations differed in a dispute about the objection.
	Explained bool
	// Valid says that a VALID of the node stands on the block itself.
	Valid bool
	// Accepts says that a VALID of the node stands on the block, or on one that an objection to the block covers, and
	// that it doesn't object itself; Died that it died under one of these. Either way it is heard before the block is
	// called INVALID.
	Accepts, Died bool
}

// Seat is one node's part in a call that is put to a vote: what is known of it now. It belongs to whoever puts the
// call.
type Seat struct {
	Node       NodeID
	Client     string // its implementation, under Rules.ByClient and Live
	Fork       string // its fork configuration, under Live: see Ballot.Config
	NearFork   bool   // see Ballot
	Configured bool   // it isn't do-not-use
	MayVote    bool   // it is neither do-not-use nor drained
	Voter      bool   // its status is a vote
	// Rests says that it is a backup that isn't needed: it has no vote, what it objected to before rests, and where it
	// calls the block INVALID, that is counted for INVALID alone.
	Rests   bool
	Laggard bool // nobody waits for it beside a VALID
	// Spent says that it used up its time before, and has said nothing since: there is little hope in waiting for it.
	Spent bool
	// MayObject says that its INVALID is a vote (that of a backup which rests: a second one), Proved that it is one of
	// the two which INVALID needs.
	MayObject, Proved bool

	Said  engine.Status // to this call
	Error *int          // the code of the JSON-RPC error that it answered with; nil where it didn't
	Ended bool          // nothing more will come of it
	Dead  bool          // the node was found dead in this call, and gave no status
	Due   time.Duration // how long it has for its answer, from the call's arrival
	Past                // what it said before; empty where that was about another content
	// Recants says that a VALID to this call ends what it objected to before.
	Recants bool
	// Follows says that it is alive, or has just come back: then a standing objector is waited for, too.
	Follows bool

	LatestValid *common.Hash // the latest valid hash that the node named with its status; nil where it named none

	open bool // its answer was waited for at the last look
}

// objects reports whether an INVALID from before is the node's vote.
func (s *Seat) objects() bool {
	return s.MayVote && !s.Rests && s.Objects && !(s.Said == engine.Valid && s.Recants)
}

// condemns reports whether the node says INVALID now, and may by itself.
func (s *Seat) condemns() bool { return s.MayObject && s.Said == engine.Invalid }

// muted reports whether the node has answered with an INVALID that doesn't count. leads says that another, which may
// object, says so too.
func (s *Seat) muted(leads bool) bool {
	return (s.Voter || s.Rests) && s.Said == engine.Invalid && !s.MayObject && !leads && !s.objects()
}

// fill makes the seats' ballots.
//
// A new INVALID of a node that may not object is no vote, unless a node that may says INVALID to the same block; and as
// it has answered, it is no longer asked.
func fill(ballots []Ballot, seats []Seat) {
	leads, prompt := false, false
	for i := range seats {
		s := &seats[i]
		leads = leads || s.condemns() || s.objects() && s.Direct
	}
	for i := range seats {
		s := &seats[i]
		b := &ballots[i]
		*b = Ballot{Configured: s.Configured, Client: s.Client, Config: s.Fork, NearFork: s.NearFork}
		muted := s.muted(leads)
		switch {
		case !s.MayVote:
			continue
		case s.objects():
			b.Vote = engine.Invalid
		case !s.Voter:
			b.Stands = s.Said == engine.Valid
			b.Seconds = s.Rests && s.Said == engine.Invalid && !muted
		case muted:
		case s.Valid && (s.Said == engine.Syncing || s.Said == engine.Accepted):
			b.Vote = engine.Valid
		default:
			b.Vote = s.Said
		}
		b.Read = s.objects() && s.Read && !s.condemns()
		b.Explained = s.objects() && s.Explained
		b.Proved = s.Proved && !b.Read
		b.Stands = b.Stands || s.Accepts
		waits := s.Voter && !s.Dead && !muted
		b.Asked = b.Vote == engine.Invalid || waits && (!s.Laggard || b.Vote != engine.None)
		b.Heard = b.Asked || b.Stands || b.Seconds || s.Died || waits && s.Laggard
		prompt = prompt || b.Asked && s.Voter && !s.Laggard
	}
	if prompt {
		return
	}
	for i := range seats { // laggards are the only hope left
		if s := &seats[i]; s.MayVote && s.Voter && s.Laggard && !s.Dead && !s.muted(leads) {
			ballots[i].Asked = true
		}
	}
}
