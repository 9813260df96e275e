package verdict

import (
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
)

var zeroHash common.Hash

// head is that of the chain which the nodes follow; the zero hash where there is none yet.
func (pl *poll) head() common.Hash { return pl.fleet.Controller.Chain.Head() }

// followUp draws conclusions from what has come, once the CL has its answer and it is known what the call was about.
func (pl *poll) followUp() {
	if !pl.decided || pl.hasContent() && pl.content.state == unknown {
		return
	}
	for i := range pl.seats {
		s := &pl.seats[i]
		if !pl.votes[i].Ended || s.told {
			continue
		}
		s.told = true
		if s.late {
			pl.tellLate(i)
		}
		pl.compareMethods(i)
		if pl.ignores(i) {
			pl.bench.catchUp.Ignored(s.node)
		}
	}
	for i := range pl.seats {
		pl.compareToHead(i)
	}
}

// tellLate deals with a reply that came after the CL had its answer: a payload id, or an objection.
func (pl *poll) tellLate(i int) {
	s, v := &pl.seats[i], &pl.votes[i]
	if pl.build != nil && s.PayloadID != "" && v.MayVote {
		pl.session.Builds.Add(pl.build, s.node.ID, s.PayloadID)
		pl.fleet.SaveBuild(pl.session, pl.build.ID)
	}
	objects := pl.objects(i)
	if objects {
		pl.explain()
		pl.reportLate(i)
	}
	pl.keepLate(i, objects)
}

// objects reports whether a node calls the block INVALID, in answer to this call, which the CL has heard otherwise: be
// it a backup that has no vote. One that stood by an INVALID when the CL was answered says nothing new.
func (pl *poll) objects(i int) bool {
	s, v := &pl.seats[i], &pl.votes[i]
	counts := pl.vote(i) == engine.Invalid || v.Rests && v.MayObject
	return counts && v.Said == engine.Invalid && !(s.late && s.objected) && pl.verdict != engine.Invalid &&
		!pl.alone() && pl.content.state != forged
}

// backupObjects returns the place of a backup without a vote that objected before the CL had its answer; -1 where there
// is none.
func (pl *poll) backupObjects() int {
	for i := range pl.seats {
		if pl.votes[i].Rests && !pl.seats[i].late && pl.objects(i) {
			return i
		}
	}
	return -1
}

// compareToHead notes that a node which says SYNCING is behind: to a payload of the head's chain that another voter
// calls VALID, or to a forkchoiceUpdated on the head that it hasn't called VALID. Before there is a head, what another
// voter calls VALID is one, as nothing else may come while the chain stands still; but not to a node that objects to
// it, which lacks nothing.
//
// A SYNCING to a block beyond the head that nobody calls VALID is no such sign: whoever proposes a block with a wrong
// number, say, makes every client look for its parent in vain, and must not have set aside all but the one that hangs
// or comes back just then. But the node may lack something, and is fed: also where the CL is farther by now, as it is
// when all nodes lack the head and the first attempt to feed them failed.
func (pl *poll) compareToHead(i int) {
	s, v := &pl.seats[i], &pl.votes[i]
	if s.compared || v.Said != engine.Syncing || !pl.call.Named || s.node.FollowedSince(pl.begun) {
		return
	}
	lacks, behind := false, false
	if !pl.isPayload() {
		isHead := pl.isHead(pl.call.Block) || pl.head() == zeroHash && pl.isVotedValid() && !v.Objects
		behind = isHead && pl.fleet.Memory.Word(s.node.ID, pl.call.Block) != engine.Valid
	} else if pl.content.state == genuine {
		lacks = pl.isBeyondHead()
		behind = pl.isVotedValid() && pl.isOnHeadsChain() || pl.isHead(pl.call.Payload.Parent) && pl.alone()
	}
	if behind {
		s.compared = true
		s.node.FellBehind()
	}
	if behind || lacks {
		pl.bench.catchUp.Try(s.node)
	}
}

// ignores reports whether a node calls a head VALID and builds nothing on it, though it was asked to.
func (pl *poll) ignores(i int) bool {
	asked := !pl.isPayload() && pl.call.Forkchoice.Attributes != nil
	return asked && pl.votes[i].Said == engine.Valid && pl.seats[i].PayloadID == ""
}

// isHead reports whether a block is the head of the chain which the nodes follow.
func (pl *poll) isHead(block common.Hash) bool { return pl.fleet.Controller.Chain.IsHead(block) }

// isBeyondHead reports whether the payload builds on the head, or on what builds on that.
func (pl *poll) isBeyondHead() bool {
	return pl.head() != zeroHash && pl.fleet.Memory.Descends(pl.call.Payload.Parent, pl.head())
}

// isOnHeadsChain reports whether the payload is on the head's chain, or continues it: it isn't on a side branch. Before
// there is a head, every payload is on its chain.
func (pl *poll) isOnHeadsChain() bool {
	head, words := pl.head(), pl.fleet.Memory
	return head == zeroHash || words.Descends(pl.call.Payload.Parent, head) || words.Descends(head, pl.call.Block)
}

// compareMethods notes that a node lacks a method to which another node gives a status: the method of the CL's last
// calls, or one that the node says it has. A port without the Engine API can't follow, whatever it says of itself.
func (pl *poll) compareMethods(i int) {
	s := &pl.seats[i]
	if s.Err == nil || s.Err.Code != engine.CodeMethodNotFound || pl.alone() {
		return
	}
	name := pl.call.Method.Name
	given := slices.ContainsFunc(pl.seats, func(other seat) bool { return other.Status != engine.None })
	if given && (pl.usual || slices.Contains(s.node.Status().Info.Capabilities, name)) {
		s.node.Lacked(name)
	}
}
