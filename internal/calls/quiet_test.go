package calls_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"executionbackup/internal/apptest"
	"executionbackup/internal/bubble"
)

// Healthy calls and probes leave no line at info, and one for each verdict at debug.
func TestQuietWhenHealthy(t *testing.T) {
	for _, level := range []slog.Level{slog.LevelInfo, slog.LevelDebug} {
		synctest.Test(t, func(t *testing.T) {
			book := new(apptest.Logbook)
			log := slog.New(slog.NewTextHandler(book, &slog.HandlerOptions{Level: level}))
			b := bubble.New(t, []*bubble.Fake{{}, {}, {}}, bubble.Options{Log: log})
			b.Run(func() {
				b.Follow(1, 2)
				begun := len(book.Lines())
				b.Follow(3, 100)
				b.Post(t.Context(), []byte(`{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}`))
				b.Post(t.Context(), []byte(`{"jsonrpc":"2.0","id":1,"method":"engine_getBlobsV1","params":[["0x01"]]}`))
				verdicts := 0
				for _, line := range book.Lines()[begun:] {
					if strings.Contains(line, "level=DEBUG msg=verdict ") {
						verdicts++
					} else if !strings.Contains(line, "level=DEBUG") {
						t.Errorf("logged %s", line)
					}
				}
				want := 200
				if level == slog.LevelDebug && verdicts != want || level == slog.LevelInfo && verdicts != 0 {
					t.Errorf("%d verdicts are logged at %s, want %d at debug", verdicts, level, want)
				}
			})
		})
	}
}

// A change is one line, however often it is seen.
func TestOneLinePerChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dead atomic.Int32 // 1, 2, 3; 0 for none
		var fakes []*bubble.Fake
		for i := range int32(3) {
			fakes = append(fakes, &bubble.Fake{Refuse: func() bool { return dead.Load() == i+1 }})
		}
		book := new(apptest.Logbook)
		b := bubble.New(t, fakes, bubble.Options{Log: slog.New(slog.NewTextHandler(book, nil))})
		b.Run(func() {
			b.Follow(1, 5)
			name, number := "n1", int32(1)
			if b.Fleet.Pool.Primary().Name() == name {
				name, number = "n2", 2
			}
			begun := len(book.Lines())
			dead.Store(number)
			b.Follow(6, 20)
			dead.Store(0)
			b.Follow(26, 20)
			time.Sleep(time.Minute)
			var got []string
			for _, line := range book.Lines()[begun:] {
				level, rest, _ := strings.Cut(strings.SplitN(line, "level=", 2)[1], " msg=")
				message := strings.Trim(strings.SplitN(rest, " node=", 2)[0], `"`)
				got = append(got, fmt.Sprint(level, " ", message, strings.Contains(line, "node="+name)))
			}
			slices.Sort(got)
			// It can't be fed, because it doesn't say where it is.
			want := []string{"INFO node is alivetrue", "WARN node is deadtrue", "WARN node must sync by itselftrue"}
			if !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	})
}
