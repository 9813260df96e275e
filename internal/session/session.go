// Package session is what one consensus client has been told, and has told us: the chain that it was answered, the
// payloads that are built for it, what it can do. Today there is one session. What all consensus clients share is
// package fleet's.
package session

import (
	"bytes"
	"slices"
	"sync"

	"executionbackup/internal/engine"
)

// Session is one consensus client's. Safe for concurrent use; the zero value is that of a client which hasn't spoken.
type Session struct {
	Chain        Chain
	Builds       Builds
	Methods      Methods
	Capabilities Capabilities
}

// Methods are those with which the CL sent its last payloads and forkchoices. Safe for concurrent use; the zero value
// is empty.
type Methods struct {
	mu   sync.Mutex                 // guards what follows
	last map[engine.Family][]string // names, oldest first
}

// maxMethods is how many of the last calls count, in each family.
const maxMethods = 3

// Use notes a call. It reports whether the last calls of the family before it were all made with that method.
func (ms *Methods) Use(m engine.Method) (usual bool) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	last := ms.last[m.Family]
	other := func(name string) bool { return name != m.Name }
	if len(last) == maxMethods && !slices.ContainsFunc(last, other) {
		return true
	}
	if ms.last == nil {
		ms.last = make(map[engine.Family][]string)
	}
	last = append(slices.Clone(last), m.Name)
	ms.last[m.Family] = last[max(0, len(last)-maxMethods):]
	return false
}

// Capabilities are what the CL said last in exchangeCapabilities. Clients configure themselves by it (geth has blob
// cells or not), so it is said again, in its words, to a node that wasn't there to hear it or has forgotten it. Safe
// for concurrent use; the zero value is that of a CL which has said nothing.
type Capabilities struct {
	mu     sync.Mutex // guards what follows
	params []byte     // raw; nil where nothing has been said
}

// Say keeps the raw parameters of an exchangeCapabilities, unless they are too long.
func (c *Capabilities) Say(params []byte) {
	if len(params) > engine.MaxCapabilities {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.params = bytes.Clone(params)
}

// Restore is Say for what another process kept, unless the CL has spoken to this one.
func (c *Capabilities) Restore(params []byte) {
	if params != nil && c.Said() == nil {
		c.Say(params)
	}
}

// Said returns the parameters that were kept; nil where there are none. They are not to be changed.
func (c *Capabilities) Said() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.params
}
