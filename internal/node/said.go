package node

import "strings"

// Said is what one node said, for a line of the log.
type Said struct {
	Node  string `json:"node"`
	Words string `json:"words"`
}

// Sayings are what several nodes said, as one attribute of a line: a list in JSON, and a text elsewhere. A node's name
// is a value there, never a key, because a node may be named "level" or "msg".
type Sayings []Said

// String has all of them in one line.
func (s Sayings) String() string {
	words := make([]string, len(s))
	for i, one := range s {
		words[i] = one.Node + ": " + one.Words
	}
	return strings.Join(words, "; ")
}
