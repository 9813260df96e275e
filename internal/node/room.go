package node

import "time"

// keepUp is how long after its last status a node still keeps up.
const keepUp = time.Second

// AwaitRoom waits until each voter that keeps up has room in its lane for one more call of so many bytes, at most so
// long: a voter that falls out of its lane is left behind. One that has given no status for a second doesn't keep up,
// and isn't waited for.
func (p *Pool) AwaitRoom(size int, atMost time.Duration) {
	over := time.After(atMost)
	for _, n := range p.Voters() {
		for {
			room, freed := n.lane.Room(size)
			left := n.keepsUpFor()
			if room || left <= 0 {
				break
			}
			select {
			case <-freed:
			case <-time.After(left):
			case <-over:
				return
			}
		}
	}
}

// keepsUpFor returns how long the node will still keep up if it gives no further status.
func (n *Node) keepsUpFor() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return time.Until(n.spoke.Add(keepUp))
}
