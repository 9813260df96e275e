package overview

import (
	"fmt"
	"slices"

	"executionbackup/internal/history"
)

// forGood is what INVALID means.
const forGood = "Its validators leave the block, and what is built on it, for good. If the network builds on it, " +
	"they are on a fork."

// lastInvalid returns the payloads that the consensus client heard INVALID about since it last heard VALID, oldest
// first: none where VALID was the last word. SYNCING is no word about a block.
func (s State) lastInvalid() (blocks []history.Record) {
	for _, b := range s.Blocks {
		switch b.Told() {
		case "VALID":
			blocks = nil
		case "INVALID":
			blocks = append(blocks, b)
		}
	}
	return blocks
}

// invalid tells that INVALID is the last word that the consensus client has of a payload, and which nodes say so.
func (s State) invalid() (f finding, objectors []string) {
	blocks := s.lastInvalid()
	if len(blocks) == 0 {
		return f, nil
	}
	b := &blocks[0] // what comes after it is built on it, as a rule
	f.level, f.since = Bad, b.Time
	f.text = fmt.Sprintf("the consensus client hears INVALID about block %d", b.Number)
	if len(blocks) > 1 {
		f.notes = []string{fmt.Sprintf("INVALID about %s since", count(len(blocks)-1, "more payload"))}
	}
	if b.Wrong != "" {
		f.text += ": it isn't the block whose hash it claims"
		f.meaning = "The proposer's fault, or the consensus client's. One such payload costs nothing; of more, look " +
			"at the consensus client."
		f.do = s.evidence()
		return f, nil
	}
	objectors = b.Objectors()
	var valid []string
	for _, v := range b.Votes {
		if (v.Vote == "VALID" || v.Status == "VALID") && !slices.Contains(objectors, v.Node) {
			valid = append(valid, v.Node)
		}
	}
	f.text += says(": ", objectors, "so") + says(", ", valid, "VALID")
	f.meaning = forGood
	f.do = []Step{{Text: "Compare with a block explorer, and with other clients: does the network build on the block?"}}
	if b.Dispute || b.Late {
		f.do = append(f.do, s.evidence()...)
	}
	if !s.isOfOne() { // else no vote changes what it hears
		f.do = append(f.do, s.settle(objectors)...)
	}
	f.do = append(f.do, Step{Text: "If it was valid, the consensus client must forget the INVALID, too: restart it, " +
		"or let it sync from a checkpoint, once the nodes that are wrong are set aside or repaired."})
	return f, objectors
}

// says tells what nodes say; "" where there are none.
func says(before string, names []string, what string) string {
	if len(names) == 0 {
		return ""
	}
	return before + join(names, " and ") + verb(len(names), " says ", " say ") + what
}
