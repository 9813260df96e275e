// Package forks is what nodes say of their forks (eth_config, EIP-7910): read, compared, and when the next one is. All
// of it is pure; times are arguments.
package forks

import (
	"fmt"
	"time"
)

// Config is what a node says of its forks: EIP-7910. Next is the first to come, and Last the last that it knows of;
// there are none where none is planned.
type Config struct{ Current, Next, Last Entry }

// Entry is the configuration from one fork on. Two that are equal say the same, however it was spelt.
type Entry struct {
	State      State
	Activation uint64 // seconds since 1970; 0 for genesis

	// All else in words fit for people, and in but one way; "" unless the entry is Known.
	ChainID         string // decimal
	ForkID          string // 0x and 8 digits
	BlobSchedule    string // "none" before blobs
	Precompiles     string // "NAME 0xaddress, …" by name; "" for none
	SystemContracts string // likewise
}

// State is whether a node has such a fork.
type State uint8

const (
	Unknown State = iota // it hasn't said so, or in no way that can be read
	None                 // it says that there is none
	Known
)

// Text returns all of the entry in one line. The texts of two are equal exactly where they are. It is "" unless the
// entry is Known.
func (e Entry) Text() string {
	if e.State != Known {
		return ""
	}
	return fmt.Sprintf("activationTime %d; chainId %s; forkId %s; blobSchedule %s; precompiles %s; systemContracts %s",
		e.Activation, e.ChainID, e.ForkID, e.BlobSchedule, e.Precompiles, e.SystemContracts)
}

// At returns what holds at a time of what was read at another. A client tells its current fork by the time of its head:
// what it said gets old, and while it syncs it tells of an old one. What it may have left out is Unknown: it names no
// fork between the next and the last.
func (c Config) At(now, read time.Time) Config {
	// A last fork before the next one is a contradiction: it isn't believed.
	lastFits := c.Last.State == Known && c.Last.Activation >= c.Next.Activation
	if lastFits && c.Last.began(now) {
		return Config{Current: c.Last, Next: Entry{State: None}, Last: Entry{State: None}}
	}
	if !c.Next.began(now) {
		return c
	}
	if !lastFits {
		c.Last = Entry{}
	}
	if c.Next.began(read) { // the node's head was behind: more than that one may have begun
		return Config{Last: c.Last}
	}
	return Config{Current: c.Next, Last: c.Last}
}

// began reports whether the fork is known to have been activated.
func (e Entry) began(now time.Time) bool { return e.State == Known && until(e.Activation, now) <= 0 }
