package lane

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"executionbackup/internal/engine"
)

func payload(size int) *Call {
	return &Call{Call: &engine.Call{Method: engine.ParseMethod("engine_newPayloadV4"), Body: make([]byte, size)}}
}

func forkchoice(attributes, columns bool) *Call {
	c := &engine.Call{Method: engine.ParseMethod("engine_forkchoiceUpdatedV4")}
	if attributes {
		c.Forkchoice.Attributes = new(engine.Attributes)
	}
	if columns {
		c.Forkchoice.CustodyColumns = []byte(`"0x01"`)
	}
	return &Call{Call: c}
}

// A script of a lane, one word each: P a newPayload comes, F a forkchoiceUpdated, A one with payload attributes, C one
// with custody columns, B a barrier; !n the CL has its answer to the n-th call, ?n likewise while all nodes are to get
// it all the same; .n the node has finished it. Want lists which calls may run at the end: ready, or - waiting, s
// superseded, d dropped, f finished.
func TestLane(t *testing.T) {
	for _, c := range []struct{ name, script, want string }{
		{"payloads that the CL sent side by side overlap", "P P P", "ready ready ready"},
		{"a payload follows one that was answered", "P !1 P", "ready -"},
		{"and goes on when that is done", "P !1 P .1", "f ready"},
		{"an answer that came after it doesn't hold it back", "P P !1", "ready ready"},
		{"a forkchoiceUpdated beside its payload overlaps", "P F", "ready ready"},
		{"after the answer it follows", "P !1 F", "ready -"},
		{"forkchoiceUpdated calls follow each other", "F F F", "ready - -"},
		{"one after the other", "F F F .1", "f ready -"},
		{"a payload sent beside a forkchoiceUpdated overlaps", "F P", "ready ready"},
		{"an answered forkchoiceUpdated that waits is superseded", "P !1 F !2 F", "ready s -"},
		{"also if the answer comes later", "P !1 F F !2", "ready s -"},
		{"not without an answer", "P !1 F F", "ready - -"},
		{"not with payload attributes", "P !1 A !2 F", "ready - -"},
		{"nor with custody columns, by one without", "P !1 C !2 F", "ready - -"},
		{"but by one with columns", "P !1 C !2 C", "ready s -"},
		{"though another comes after that", "P !1 C !2 C !3 F", "ready s - -"},
		{"one without columns by one with", "P !1 F !2 C", "ready s -"},
		{"not by an older one", "P !1 F F !3", "ready - -"},
		{"not once it runs", "F !1 F", "ready -"},
		{"the newest of many is left", "P !1 F !2 F !3 F !4 F", "ready s s s -"},
		{"what stood behind the superseded one still waits for the payload", "P !1 F !2 F .1", "f s ready"},
		{"nothing overtakes a barrier", "B P F", "ready - -"},
		{"and it overtakes nothing", "P F B P", "ready ready - -"},
		{"behind a barrier the rules are the same", "B P !2 F !3 F .1", "f ready s -"},
		{"three at once behind an answered one", "P !1 P P P .1", "f ready ready ready"},
		{"overflow drops the oldest waiting payload that was answered",
			"P !1 P !2 P !3 P !4 P !5 P", "ready d - - - -"},
		{"what all are to get is followed", "P ?1 F ?2 P", "ready - -"},
		{"and isn't superseded", "P ?1 F ?2 F", "ready - -"},
		{"until it is answered", "P ?1 F ?2 F !2", "ready s -"},
		{"but dropped for want of room", "P ?1 P ?2 P ?3 P ?4 P ?5 P", "ready d - - - -"},
		{"never what the CL waits for", "P !1 P P P P P P", "ready - - - - - -"},
	} {
		l := New(Limits{Calls: 5, Bytes: 1 << 20})
		var turns []*Turn
		for _, word := range strings.Fields(c.script) {
			var n int
			fmt.Sscanf(word[1:], "%d", &n)
			switch word[0] {
			case 'P':
				turns = append(turns, l.Join(payload(10)))
			case 'F':
				turns = append(turns, l.Join(forkchoice(false, false)))
			case 'A':
				turns = append(turns, l.Join(forkchoice(true, false)))
			case 'C':
				turns = append(turns, l.Join(forkchoice(false, true)))
			case 'B':
				turns = append(turns, l.Join(nil))
			case '!':
				turns[n-1].call.MarkAnswered()
				l.Prune()
			case '?':
				turns[n-1].call.MarkHeard()
				l.Prune()
			case '.':
				if err := turns[n-1].Start(t.Context()); err != nil {
					t.Fatalf("%s: call %d: %v", c.name, n, err)
				}
				turns[n-1].Done()
			}
			// What may run, runs.
			for _, turn := range turns {
				if turn.state == waiting && turn.ahead == 0 && word[0] != '.' {
					turn.Start(t.Context())
				}
			}
		}
		var got []string
		for i, turn := range turns {
			state := "-"
			select {
			case <-turn.ready:
				state = "ready"
			default:
			}
			switch {
			case turn.state == superseded:
				state = "s"
			case turn.state == dropped:
				state = "d"
			case strings.Contains(c.script+" ", fmt.Sprintf(".%d ", i+1)):
				state = "f"
			}
			got = append(got, state)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: %s: got %s, want %s", c.name, c.script, s, c.want)
		}
	}
}

func TestLaneBounds(t *testing.T) {
	l := New(Limits{Calls: 100, Bytes: 1000})
	first := l.Join(payload(400))
	if err := first.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	first.call.MarkAnswered()
	var turns []*Turn
	for range 10 {
		turn := l.Join(payload(400))
		turn.call.MarkAnswered()
		turns = append(turns, turn)
		if _, bytes, _ := l.Depth(); bytes > 1000 {
			t.Fatalf("%d bytes wait", bytes)
		}
	}
	if _, _, n := l.Depth(); n != 8 {
		t.Errorf("%d dropped, want 8", n)
	}
	if err := turns[0].Start(t.Context()); err != ErrOverflow {
		t.Errorf("the oldest: %v", err)
	}
	first.Done()
	for _, turn := range turns[8:] {
		if err := turn.Start(t.Context()); err != nil {
			t.Errorf("one of the newest: %v", err)
		}
		turn.Done()
	}
	if calls, bytes, _ := l.Depth(); calls != 0 || bytes != 0 {
		t.Errorf("%d calls and %d bytes left", calls, bytes)
	}
}

// A lane has room for a call that fits without another being dropped; whoever waits for room is told when a turn starts
// or ends.
func TestRoom(t *testing.T) {
	l := New(Limits{Calls: 4, Bytes: 1336})
	room := func(size int, want bool) (freed <-chan struct{}) {
		t.Helper()
		ok, freed := l.Room(size)
		if ok != want {
			t.Errorf("room for %d bytes: %v", size, ok)
		}
		return freed
	}
	told := func(freed <-chan struct{}, want bool) {
		t.Helper()
		select {
		case <-freed:
			if !want {
				t.Error("told of room though nothing has changed")
			}
		default:
			if want {
				t.Error("not told of room")
			}
		}
	}
	room(2000, true) // it is empty
	first := l.Join(payload(600))
	room(400, true)
	freed := room(403, false)
	told(freed, false)
	first.Start(t.Context())
	told(freed, true) // what has started doesn't wait
	room(1000, true)
	l.Join(payload(10))
	l.Join(payload(10))
	freed = room(10, false)
	first.Done()
	told(freed, true)
	room(10, true)
}

// A geth that is given 128 payloads while its head stands still can't go on.
func TestForkchoicesThatStay(t *testing.T) {
	l := New(Limits{Calls: 1000, Bytes: 1 << 20})
	join := func(c *Call) *Turn {
		turn := l.Join(c)
		c.MarkAnswered()
		return turn
	}
	if err := join(payload(10)).Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	var forkchoices []*Turn
	for range 3*step - 1 {
		join(payload(10))
		forkchoices = append(forkchoices, join(forkchoice(false, false)))
	}
	l.Prune()
	var got []int
	for i, turn := range forkchoices {
		if turn.state == waiting {
			got = append(got, i+1)
		}
	}
	if want := []int{step - 1, 2*step - 1, 3*step - 1}; !slices.Equal(got, want) {
		t.Errorf("%v of them wait, want %v", got, want)
	}
}
