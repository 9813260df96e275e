package wire

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"testing"

	"executionbackup/internal/budget"
)

// Answers that are read side by side share what their node may send; what has been read makes room again.
func TestAnswersShareABudget(t *testing.T) {
	c := &Client{answers: budget.New(100)}
	read := func(body io.Reader, header http.Header) error {
		a := &attempt{client: c, Request: Request{Limit: 1000}}
		_, err := a.readAnswer(&http.Response{Body: io.NopCloser(body), ContentLength: -1, Header: header})
		return err
	}
	if err := read(bytes.NewReader(make([]byte, 101)), nil); !errors.Is(err, errNoRoom) {
		t.Errorf("101 bytes: %v", err)
	}
	for range 3 {
		if err := read(bytes.NewReader(make([]byte, 100)), nil); err != nil {
			t.Errorf("100 bytes: %v", err)
		}
	}
	pipe, write := io.Pipe()
	first := make(chan error, 1)
	go func() { first <- read(pipe, nil) }()
	write.Write(make([]byte, 60))
	write.Write(nil) // returns when the first has been taken in
	if err := read(bytes.NewReader(make([]byte, 60)), nil); !errors.Is(err, errNoRoom) {
		t.Errorf("60 bytes beside 60: %v", err)
	}
	write.Close()
	if err := <-first; err != nil {
		t.Errorf("60 bytes: %v", err)
	}
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	z.Write(make([]byte, 10_000))
	z.Close()
	if err := read(&bomb, http.Header{"Content-Encoding": {"gzip"}}); !errors.Is(err, errNoRoom) {
		t.Errorf("a gzip bomb: %v", err)
	}
	if c.answers.Used() != 0 {
		t.Errorf("%d bytes are left", c.answers.Used())
	}
}
