package wire

import (
	"errors"
	"io"

	"executionbackup/internal/budget"
)

// maxAnswers bounds the answers of one node that are being read at a time, in bytes. A node that answers everything
// with as much as it can spoils its own answers, and nobody's memory.
const maxAnswers = 2 * maxAnswer

var errNoRoom = errors.New("its answers together are larger than allowed")

// share is an answer that takes from its node's budget what it brings.
type share struct {
	io.Reader
	of    *budget.Budget // of all answers of the node
	taken int64          // bytes
}

// Read reads on, as long as the budget has room.
func (s *share) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if !s.of.Take(int64(n)) {
		return 0, errNoRoom
	}
	s.taken += int64(n)
	return n, err
}

// release gives back what the answer took: it is done with.
func (s *share) release() { s.of.Give(s.taken) }
