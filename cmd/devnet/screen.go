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
	return &screen{w: w, newline: "\n", colours: isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// line writes one line.
func (s *screen) line(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.w, format+s.newline, args...)
}

// paint gives a text a colour, where there are colours.
func (s *screen) paint(c colour, text string) string {
	if !s.colours {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// keys returns what is typed. A terminal brings each key at once until release is called; other input brings what it has. The
// channel is never closed, and whoever reads the input stays behind: there is no way to stop that.
func (s *screen) keys(stdin io.Reader) (keys <-chan byte, release func(), err error) {
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
		buffer := make([]byte, 16)
		for {
			n, err := stdin.Read(buffer)
			for _, key := range buffer[:n] {
				typed <- key
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

// logHandler is an slog.Handler that shows what ExecutionBackup logs, in one line of the screen. The log file has all of it.
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
	var b strings.Builder
	b.WriteString(r.Message)
	write := func(a slog.Attr) bool {
		fmt.Fprintf(&b, "  %s=%s", a.Key, short(a.Value))
		return true
	}
	for _, a := range h.attrs {
		write(a)
	}
	r.Attrs(write)
	shade := dim
	switch {
	case r.Level >= slog.LevelError:
		shade = red
	case r.Level >= slog.LevelWarn:
		shade = yellow
	}
	h.screen.line("%s", h.screen.paint(shade, cut("    ExecutionBackup: "+b.String())))
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

const columns = 120

// cut makes a line fit.
func cut(line string) string {
	if utf8.RuneCountInString(line) <= columns {
		return line
	}
	return string([]rune(line)[:columns-1]) + "…"
}
