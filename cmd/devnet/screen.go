package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/ethereum/go-ethereum/common"
	"golang.org/x/term"
)

// screen is where all lines go, whoever writes them.
type screen struct {
	w       io.Writer
	colours bool

	mu      sync.Mutex
	newline string // a raw terminal needs another one
}

type colour string

const (
	bold   colour = "1"
	dim    colour = "2"
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
)

func newScreen(w io.Writer) *screen {
	return &screen{
		w: w, newline: "\n", colours: isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
	}
}

func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// line writes one line.
func (s *screen) line(format string, args ...any) { s.write(fmt.Sprintf(format, args...)) }

// remark writes something between the lines of the blocks: words, which may be several each, on as many lines as they
// need.
func (s *screen) remark(c colour, words ...string) {
	var lines []string
	line := "    " + words[0]
	for _, word := range words[1:] {
		if utf8.RuneCountInString(line+"  "+word) > columns {
			lines = append(lines, fold(line)...)
			line = "      " + word
		} else {
			line += "  " + word
		}
	}
	lines = append(lines, fold(line)...)
	for i := range lines {
		lines[i] = s.paint(c, lines[i])
	}
	s.write(lines...)
}

// fold breaks a line that is too wide at spaces, where it has any.
func fold(line string) (lines []string) {
	const indent = "        "
	for utf8.RuneCountInString(line) > columns {
		cut := strings.LastIndexByte(string([]rune(line)[:columns+1]), ' ')
		if cut < len(indent) {
			break
		}
		lines = append(lines, line[:cut])
		line = indent + line[cut+1:]
	}
	return append(lines, line)
}

// columns is how wide the screen is.
const columns = 120

// write writes lines that belong together.
func (s *screen) write(lines ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range lines {
		fmt.Fprint(s.w, line, s.newline)
	}
}

// paint gives a text a colour, where there are colours.
func (s *screen) paint(c colour, text string) string {
	if !s.colours {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// keys returns what is typed. A terminal brings each key at once until release is called; other input brings what it
// has. When ctx ends, the goroutine that reads stays behind until the input brings something more: there is no way to
// stop it.
func (s *screen) keys(ctx context.Context, stdin io.Reader) (keys <-chan byte, release func(), err error) {
	typed := make(chan byte)
	release = func() {}
	if isTerminal(stdin) && isTerminal(s.w) {
		fd := int(stdin.(*os.File).Fd())
		before, err := term.MakeRaw(fd)
		if err != nil {
			return nil, nil, fmt.Errorf("read keys: %w", err)
		}
		s.setNewline("\r\n")
		release = func() {
			term.Restore(fd, before)
			s.setNewline("\n")
		}
	}
	go func() {
		for buffer := make([]byte, 16); ; {
			n, err := stdin.Read(buffer)
			for _, key := range buffer[:n] {
				select {
				case typed <- key:
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	return typed, release, nil
}

func (s *screen) setNewline(newline string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newline = newline
}

// logHandler is an slog.Handler that shows what ExecutionBackup logs, in one line of the screen. The log file has all
// of it.
type logHandler struct {
	screen *screen
	attrs  []slog.Attr
}

func (h *logHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}

func (h *logHandler) Handle(_ context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn && strings.HasPrefix(r.Message, "payload for a proposal") {
		return nil // here every block is one
	}
	words := []string{"ExecutionBackup: " + r.Message}
	add := func(a slog.Attr) bool {
		words = append(words, a.Key+"="+short(a.Value))
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(add)
	shade := dim
	switch {
	case r.Level >= slog.LevelError:
		shade = red
	case r.Level >= slog.LevelWarn:
		shade = yellow
	}
	h.screen.remark(shade, words...)
	return nil
}

func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logHandler{h.screen, append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)}
}

func (h *logHandler) WithGroup(string) slog.Handler { return h } // ExecutionBackup has none

// short writes a value of the log.
func short(v slog.Value) string {
	if hash, ok := v.Any().(common.Hash); ok {
		return shortHash(hash)
	}
	if text := v.String(); strings.ContainsAny(text, " =") {
		return strconv.Quote(text)
	}
	return v.String()
}

func shortHash(hash common.Hash) string {
	text := hash.Hex()
	return text[:6] + "…" + text[len(text)-4:]
}
