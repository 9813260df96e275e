package wire

import (
	"errors"
	"io"

	"executionbackup/internal/budget"
)

// maxAnswers bounds the answers of one node that are being read at a time, in bytes. A node that answers everything
// with as much as it can spoils its own answers, and nobody's memory.
const maxAnswers = 2 * maxAnswer

var errTooMuch = errors.New("its answers together are larger than allowed")

// share is an answer's part of what its node may send.
type share struct {
	io.Reader
	of    *budget.Budget
	taken int64
}

func (s *share) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if !s.of.Take(int64(n)) {
		return 0, errTooMuch
	}
	s.taken += int64(n)
	return n, err
}

func (s *share) release() { s.of.Give(s.taken) }
