package node

import (
	"fmt"
	"slices"
	"strings"

	"executionbackup/internal/health"
	"executionbackup/internal/quorum"
)

// Who takes part in a call, and as what, is decided here and nowhere else. All of it is pure: it looks at conditions as
// they were at one moment.

// MayVote reports whether the operator lets the node vote, build and be primary, be it as a backup.
func (s *Status) MayVote() bool { return !s.DoNotUse && !s.Drained }

// Reachable reports whether the node can answer.
func (s *Status) Reachable() bool { return s.State != health.Dead }

// Called reports whether newPayload and forkchoiceUpdated are sent to the node: they show when one that was unable is
// able again.
func (s *Status) Called() bool { return s.Reachable() || s.Unable }

// fitness ranks a node as primary: 0 is unfit. objects says that it objects to the head or to a block under it. A
// backup comes after all that are alive and timely, because it votes only where there are none; a laggard that has the
// chain is better than a node that lacks it.
func (s *Status) fitness(objects bool) int {
	alive := s.State == health.Alive
	switch {
	case !s.MayVote() || !s.Reachable():
		return 0
	case alive && !s.Laggard && !s.Backup && !objects:
		return 8
	case alive && !s.Laggard && !s.Backup:
		return 7
	case alive && !s.Laggard && !objects:
		return 6
	case alive && !s.Laggard:
		return 5
	case alive && !s.Backup:
		return 4
	case alive:
		return 3
	case !s.Laggard:
		return 2
	}
	return 1
}

// Awaited reports whether a node's answer is waited for beside those of others, to a call that one answer may be enough
// for: that of an alive node which is no laggard; of any node that can be reached where none is alive, or as long as
// there is no result.
func (s *Status) Awaited(anyAlive, result bool) bool {
	return s.Reachable() && (!result || !s.Laggard && (s.State == health.Alive || !anyAlive))
}

// Part is what decides whether a node votes.
type Part struct {
	State   health.State
	MayVote bool
	Backup  bool
	Laggard bool
}

// Part returns what decides whether the node votes.
func (s *Status) Part() Part { return Part{s.State, s.MayVote(), s.Backup, s.Laggard} }

// Electorate is what the nodes that may vote are together: it decides who of them does.
type Electorate struct {
	Timely    bool // one that is no backup is alive, and no laggard
	Alive     bool // one is alive, be it a backup
	Reachable bool // one can be reached
}

// Add takes in a node.
func (e *Electorate) Add(p Part) {
	if !p.MayVote {
		return
	}
	e.Timely = e.Timely || p.State == health.Alive && !p.Laggard && !p.Backup
	e.Alive = e.Alive || p.State == health.Alive
	e.Reachable = e.Reachable || p.State != health.Dead
}

// Has reports whether a node votes: those that are alive do, or the reachable ones where none is alive, or all where
// none can be reached; a backup where it doesn't rest.
func (e Electorate) Has(p Part) bool {
	return p.MayVote && !e.Rests(p) && (p.State == health.Alive || !e.Alive && (p.State != health.Dead || !e.Reachable))
}

// Rests reports whether a node is a backup that isn't needed: another that is alive and timely votes.
func (e Electorate) Rests(p Part) bool { return p.MayVote && p.Backup && e.Timely }

// Roll is all nodes, in configuration order, each with its condition at one moment.
type Roll []Present

// Present is a node in a Roll.
type Present struct {
	Node *Node
	Now  Status
}

// Roll returns all nodes as they are now.
func (p *Pool) Roll() Roll {
	nodes := p.Nodes()
	roll := make(Roll, len(nodes))
	for i, n := range nodes {
		roll[i] = Present{n, n.Status()}
	}
	return roll
}

// Serving returns the nodes that may answer for all, best first: the primary, then the alive ones, backups
// behind them, then the rest.
func (p *Pool) Serving() []*Node { return p.Roll().serving(p.Primary()) }

// Suppliers returns the nodes that are asked for blobs and bodies, best first: those that serve, without the backups
// that rest.
func (p *Pool) Suppliers() []*Node {
	resting := p.Resting()
	return slices.DeleteFunc(p.Serving(), func(n *Node) bool { return slices.Contains(resting, n) })
}

// serving is Serving of a roll. Where no node can be reached it returns the dead ones, which may have come back just
// now; nodes of another chain are no help.
func (r Roll) serving(primary *Node) []*Node {
	var alive, backups, rest, dead []*Node
	for i := range r {
		s := &r[i].Now
		switch {
		case r[i].Node == primary || !s.MayVote() || s.WrongChain:
		case !s.Reachable():
			dead = append(dead, r[i].Node)
		case s.State == health.Alive && s.Backup:
			backups = append(backups, r[i].Node)
		case s.State == health.Alive:
			alive = append(alive, r[i].Node)
		default:
			rest = append(rest, r[i].Node)
		}
	}
	var nodes []*Node
	if primary != nil {
		nodes = append(nodes, primary)
	}
	if nodes = slices.Concat(nodes, alive, backups, rest); len(nodes) == 0 {
		return dead
	}
	return nodes
}

// those returns the nodes for which something holds.
func (r Roll) those(are func(n *Node, s *Status) bool) (nodes []*Node) {
	for i := range r {
		if are(r[i].Node, &r[i].Now) {
			nodes = append(nodes, r[i].Node)
		}
	}
	return nodes
}

// Voters returns the nodes that vote as things are now.
func (p *Pool) Voters() []*Node {
	r := p.Roll()
	e := r.electorate()
	return r.those(func(_ *Node, s *Status) bool { return e.Has(s.Part()) })
}

// AliveVoters returns how many of the nodes that vote as things are now are alive.
func (p *Pool) AliveVoters() (n int) {
	for _, voter := range p.Voters() {
		if voter.Status().State == health.Alive {
			n++
		}
	}
	return n
}

// Resting returns the backups that aren't needed as things are now.
func (p *Pool) Resting() []*Node {
	r := p.Roll()
	e := r.electorate()
	return r.those(func(_ *Node, s *Status) bool { return e.Rests(s.Part()) })
}

func (r Roll) electorate() (e Electorate) {
	for i := range r {
		e.Add(r[i].Now.Part())
	}
	return e
}

// Reachable returns the nodes that can be asked, those that the operator has set aside too.
func (r Roll) Reachable() []*Node {
	return r.those(func(_ *Node, s *Status) bool { return s.Reachable() })
}

// Builders returns the nodes that gave a payload id and can be asked for their payload.
func (r Roll) Builders(ids map[quorum.NodeID]string) []*Node {
	e := r.electorate()
	return r.those(func(n *Node, s *Status) bool {
		return ids[n.ID] != "" && s.MayVote() && s.Reachable() && !e.Rests(s.Part())
	})
}

// Judges returns the voters that are shown a payload which another node built.
func (r Roll) Judges(builder *Node) []*Node {
	e := r.electorate()
	return r.those(func(n *Node, s *Status) bool {
		return n != builder && s.State == health.Alive && !s.Laggard && e.Has(s.Part())
	})
}

// keepsVoter returns an error where without these nodes none would be left that is alive and may vote, or where none is
// alive, none that may vote: the CL would hear nothing but SYNCING. what says what happens to the nodes.
func (r Roll) keepsVoter(without []*Node, what string) error {
	var left []string // who may vote then
	alive, aliveLeft := false, false
	for i := range r {
		n, s := r[i].Node, &r[i].Now
		if !s.MayVote() {
			continue
		}
		alive = alive || s.State == health.Alive
		if !slices.Contains(without, n) {
			left = append(left, n.Name())
			aliveLeft = aliveLeft || s.State == health.Alive
		}
	}
	switch {
	case len(left) == 0:
		return fmt.Errorf("the last voter can't be %s: no other node may vote", what)
	case alive && !aliveLeft:
		return fmt.Errorf("the last voter that is alive can't be %s: %s would be left, and not alive", what,
			strings.Join(left, ", "))
	}
	return nil
}
