package app_test

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"executionbackup/internal/apptest"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/state"
)

var updateState = flag.Bool("update", false, "write the table of docs/recipes/high-availability.md")

const highAvailability = "../../docs/recipes/high-availability.md"

// A survey finds out what an ExecutionBackup knows that another one, or itself before a restart, has been told: before
// tells the first, asked asks the second. Five nodes stand behind both: n1 and n2 are good, n3 objects, n4 hasn't
// proved itself since a break, and n5 is drained. All build, n2 what is worth most.
type survey struct {
	nodes []*enginetest.Node
	fakes []apptest.Node

	root           enginetest.Payload
	disputed, over []enginetest.Payload // on root: a block that n3 objects to, one that n2 objected to; with children
	after          []enginetest.Payload // on root, later
	id             string               // of a build on root
}

func newSurvey(t *testing.T) *survey {
	s := &survey{root: enginetest.Chain(4, 1, nil)[0]}
	for i := range 5 {
		value := "0x1"
		if i == 1 {
			value = "0x3"
		}
		s.nodes = append(s.nodes, enginetest.New(t, enginetest.Client{PayloadID: ownID(i), BlockValue: value}))
	}
	s.fakes = apptest.Fakes(s.nodes...)
	later := s.root.Timestamp
	block := func(parent enginetest.Payload) enginetest.Payload {
		later += 12
		return parent.Child(func(p *enginetest.Payload) { p.Timestamp = later })
	}
	s.disputed = []enginetest.Payload{block(s.root)}
	s.over = []enginetest.Payload{block(s.root)}
	s.after = []enginetest.Payload{block(s.root), block(s.root)}
	s.disputed = append(s.disputed, block(s.disputed[0]))
	s.over = append(s.over, block(s.over[0]))
	return s
}

// before is told to the first instance.
func (s *survey) before(t *testing.T, m *multiplexer) {
	m.call(t, "engine_exchangeCapabilities", []string{"engine_newPayloadV4"})
	m.prove(t, s.nodes...)
	m.hears(t, "VALID", "engine_newPayload", s.root)
	s.nodes[3].Script(enginetest.Rule{Method: "engine_newPayload", Times: 1, Fault: enginetest.Reset})
	m.hears(t, "VALID", "engine_newPayload", s.root) // n4's own, as it has known that block, proves nothing
	apptest.Until(t, "n4 has had a break", func() bool { return !m.Node(t, "n4").Qualified })
	defer fails(s.nodes[3], "engine_newPayload", -32000, "busy")() // or it would prove itself again

	forgets(s.nodes[1], s.over[0], s.over[1])
	m.hears(t, "SYNCING", "engine_newPayload", s.over[0])
	m.must(t, "/clear_objections", "n2")
	forgets(s.nodes[2], s.disputed[0], s.disputed[1])
	m.hears(t, "SYNCING", "engine_newPayload", s.disputed[0])
	m.must(t, "/drain_nodes", "n5")
	status := m.build(t, s.root)
	if s.id = status.PayloadID; s.id == "" || s.id == ownID(1) {
		t.Fatalf("the build is %+v: it was to be under the id of another node than the best one", status)
	}
}

// isKnown reports whether an instance knows all that another has been told.
func (s *survey) isKnown(t *testing.T, m *multiplexer) bool {
	return m.Node(t, "n3").Objections == 1 && m.Node(t, "n2").Objections == 0 && m.Node(t, "n5").Drained &&
		m.Node(t, "n3").Qualified && !m.Node(t, "n4").Qualified
}

// findings are what asked finds out, in order.
var findings = []string{
	"a dispute", "one that ended", "a new INVALID of a node that had proved itself", "of one that had not",
	"a payload id", "a drained node", "what the consensus client can do, for a node that comes back",
}

// asked asks the second instance.
func (s *survey) asked(t *testing.T, m *multiplexer) (cells []string) {
	choose := func(is bool, yes, no string) string {
		if is {
			return yes
		}
		return no
	}
	said := func(p enginetest.Payload) string { return m.newPayload(t, p).Status }
	drained := choose(m.Node(t, "n5").Drained, "stays drained", "**votes again**")

	undo := fails(s.nodes[2], "engine_newPayload", -32000, "busy") // no answer proves n3
	s.nodes[3].Script(enginetest.Rule{BlockHash: s.after[0].Hash(), Status: "INVALID"})
	unproved := choose(said(s.after[0]) == "VALID", "ignored", "**a dispute, once**")
	for _, name := range []string{"n1", "n2"} {
		m.awaitProof(t, name)
	}
	undo()
	s.nodes[2].Script(enginetest.Rule{BlockHash: s.after[1].Hash(), Status: "INVALID"})
	proved := choose(said(s.after[1]) == "SYNCING", "a dispute", "**ignored**")
	dispute := choose(said(s.disputed[1]) == "SYNCING", "goes on", "**ends**")
	over := choose(said(s.over[1]) == "VALID", "stays ended", "**is back**")

	var built struct{ BlockValue string } // it is shown to other nodes, which can prove themselves with it
	got := m.call(t, "engine_getPayloadV4", s.id)
	if err := json.Unmarshal([]byte(got), &built); err != nil {
		t.Errorf("getPayload: %s", got)
	}
	id := choose(built.BlockValue == "0x3", "the best payload", "**one node's payload**")
	m.forkchoice(t, s.root) // whoever was passive is active now

	const method = "engine_exchangeCapabilities"
	told, forks := len(s.nodes[0].CallsOf(method)), len(s.nodes[0].CallsOf("eth_config"))
	restart(t, m, s.nodes[0])
	s.nodes[0].WaitEnded("eth_config", forks+1)
	m.Recheck(t) // what else it is told has gone by now
	can := choose(len(s.nodes[0].CallsOf(method)) > told, "told", "**not told**")
	return []string{dispute, over, proved, unproved, id, drained, can}
}

// A fate befalls an instance that has been told what a survey tells. It returns the one that is to be asked.
type fate struct {
	what  string
	redis bool // needs one
	come  func(t *testing.T, s *survey) *multiplexer
}

var fates = []fate{
	{"we restart (SIGTERM), `--state-dir \"\"`", false, func(t *testing.T, s *survey) *multiplexer {
		return s.restarted(t, func(*config.Config) {})
	}},
	{"we restart (SIGTERM)", false, func(t *testing.T, s *survey) *multiplexer {
		return s.restarted(t, keeping(t.TempDir()))
	}},
	{"we are killed (`kill -9`)", false, func(t *testing.T, s *survey) *multiplexer {
		dir, copied := t.TempDir(), filepath.Join(t.TempDir(), "copied")
		m := startLed(t, s.fakes, keeping(dir))
		s.before(t, m)
		if err := os.CopyFS(copied, os.DirFS(dir)); err != nil { // what the operating system has at that moment
			t.Fatal(err)
		}
		m.Stop()
		return start(t, s.fakes, keeping(copied))
	}},
	{"we restart, and the state directory can't be written", false, func(t *testing.T, s *survey) *multiplexer {
		dir := filepath.Join(t.TempDir(), "state")
		if err := os.WriteFile(dir, nil, 0o600); err != nil { // root may write what is read-only
			t.Fatal(err)
		}
		return s.restarted(t, keeping(dir))
	}},
	{"we restart, `--state-dir \"\"` and `--state-url`", true, func(t *testing.T, s *survey) *multiplexer {
		return s.restarted(t, sharing(apptest.StartRedis(t)))
	}},
	{"the other instance goes on, nothing shared", false, func(t *testing.T, s *survey) *multiplexer {
		a, b := startLed(t, s.fakes, nil), start(t, s.fakes, nil)
		s.before(t, a)
		a.Stop()
		return b
	}},
	{"the other instance goes on, `--state-url`", true, func(t *testing.T, s *survey) *multiplexer {
		a, b, _ := s.pair(t)
		a.Stop()
		return b
	}},
	{"the same, and Redis hangs from that moment on", true, func(t *testing.T, s *survey) *multiplexer {
		a, b, r := s.pair(t)
		r.Stop()
		t.Cleanup(r.Continue)
		a.Stop()
		return b
	}},
	{"the same, and Redis has just come back empty", true, func(t *testing.T, s *survey) *multiplexer {
		a, b, r := s.pair(t)
		r.Kill()
		r.Start()
		a.Stop()
		return b
	}},
	{"the other instance has only just started, `--state-url`", true, func(t *testing.T, s *survey) *multiplexer {
		r := apptest.StartRedis(t)
		a := startLed(t, s.fakes, sharing(r))
		s.before(t, a)
		r.Do("FLUSHALL")
		b := start(t, s.fakes, sharing(r))
		b.objects(t, "n3", 1)
		apptest.Until(t, "it has read", func() bool { return b.Node(t, "n5").Drained })
		a.Stop()
		return b
	}},
	{"the other instance goes on, and Redis was gone all the while", true, func(t *testing.T, s *survey) *multiplexer {
		r := apptest.StartRedis(t)
		a, b := startLed(t, s.fakes, sharing(r)), start(t, s.fakes, sharing(r))
		r.Kill()
		s.before(t, a)
		a.Stop()
		return b
	}},
}

func (s *survey) restarted(t *testing.T, change func(*config.Config)) *multiplexer {
	m := startLed(t, s.fakes, change)
	s.before(t, m)
	m.Stop()
	m = start(t, s.fakes, change)
	if m.Config.StateURL != "" {
		m.objects(t, "n3", 1)
	}
	return m
}

// sharedRecords counts what an instance holds of what is shared.
const sharedRecords = "executionbackup_shared_state_records"

// pair returns two instances when the second knows what the first was told.
func (s *survey) pair(t *testing.T) (a, b *multiplexer, r *apptest.Redis) {
	r = apptest.StartRedis(t)
	a, b = startLed(t, s.fakes, sharing(r)), start(t, s.fakes, sharing(r))
	s.before(t, a)
	apptest.Until(t, "the other instance knows all", func() bool {
		return s.isKnown(t, b) && b.Metric(t, sharedRecords) >= a.Metric(t, sharedRecords)
	})
	return a, b, r
}

// What is kept in which case is what docs/recipes/high-availability.md says. Where there is no Redis, what it says of
// that is taken as it is.
func TestDocumentedState(t *testing.T) {
	const begin, end = "<!-- state: found out by a test -->\n", "<!-- end of state -->"
	text, err := os.ReadFile(highAvailability)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	is, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no table of what is kept", highAvailability)
	}
	_, err = exec.LookPath("redis-server")
	rows := make([]string, len(fates))
	t.Run("found out", func(t *testing.T) {
		for i, f := range fates {
			row := "| " + f.what + " | "
			if f.redis && err != nil && os.Getenv("CI") != "true" {
				_, old, _ := strings.Cut(is, row)
				old, _, _ = strings.Cut(old, "\n")
				rows[i] = row + old + "\n"
				continue
			}
			t.Run(f.what, func(t *testing.T) {
				t.Parallel()
				s := newSurvey(t)
				rows[i] = row + strings.Join(s.asked(t, f.come(t, s)), " | ") + " |\n"
			})
		}
	})
	table := "| | " + strings.Join(findings, " | ") + " |\n" + strings.Repeat("|---", len(findings)+1) + "|\n" +
		strings.Join(rows, "")
	switch {
	case t.Failed(), table == is:
	case *updateState:
		if err := os.WriteFile(highAvailability, []byte(before+begin+table+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s has another table than this (go test ./internal/app -run State -update writes it):\n%s",
			highAvailability, table)
	}
}

// The user that docs/recipes/high-availability.md has for Redis is the one with which state's tests go through.
func TestDocumentedACL(t *testing.T) {
	text, err := os.ReadFile(highAvailability)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "<!-- acl: compared by a test -->\n```\n")
	got, _, found := strings.Cut(rest, "\n```\n<!-- end of acl -->")
	if want := state.LeastACL("executionbackup", ""); !found || got != want {
		t.Errorf("%s has %q, want %q", highAvailability, got, want)
	}
}
