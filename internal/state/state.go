// Package state keeps records over the end of a process: on disk (File), and where two instances stand side by side in
// Redis or Valkey as well (Shared). It knows keys and bytes; what they mean is their owners' business.
package state

// Record is what is kept under a key. Of two records of a key the one with the greater rank stands, in whatever order
// they come and however often; in a tie the one that came first does.
type Record struct {
	Rank  uint64
	Value []byte // nil: the key is to be forgotten (by a File; what is shared is another instance's, too)
}

// Records are records by their keys.
type Records map[string]Record
