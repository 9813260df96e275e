package enginetest

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"pgregory.net/rapid"
)

// Step is one thing that a CL does, drawn at random. Its numbers choose among what is there when its turn comes, so
// that a stream makes sense whatever is taken out of it.
type Step struct {
	Kind    Kind
	A, B, C int
}

// Kind is what a Step does.
type Kind int

// Block A is the one made A before the last, modulo those that there are; the first is genesis. Where C is not 3, a
// Grow, Spoil, Misnumber, Early, Forge, Both, Follow or Build chooses only among those that the client has called
// VALID: else most of a stream would go on about blocks that lead nowhere.
const (
	Grow      Kind = iota // make child B of block A, send it and make it the head; C = 1: in one batch
	Draft                 // make child B of block A and keep it back
	Send                  // send block A; B = 1: with a member that nobody knows
	Spoil                 // make a child of block A that fails to execute; send it unless B = 1
	Orphan                // make a child of block A, name another parent, and send it
	Misnumber             // make a child of block A with a wrong number and send it
	Early                 // make a child of block A with its parent's time and send it
	Forge                 // send block A in form B of forgery, under its own hash
	Both                  // send block A and a forgery of it at the same time
	Lend                  // send block A under the hash of block B, or of none
	Follow                // make block A the head, B the safe and C the finalized one (even numbers: none)
	Stray                 // make the zero hash or an unknown one the head
	Build                 // have a payload built on block A; B: how
	Fetch                 // fetch the build A before the last, B = 1: with another version; C = 1: and send it
	Malform               // send block A in another version, or without params
	Read                  // read something
	Restart               // what stands between is started again
	Wait                  // let time pass

	kinds
)

// Steps draws a stream of up to n steps of these kinds, or of all.
func Steps(n int, of ...Kind) *rapid.Generator[[]Step] {
	if len(of) == 0 {
		of = append(of, Grow, Grow, Grow, Forge, Forge) // these more often
		for k := range kinds {
			of = append(of, k)
		}
	}
	recent := rapid.SampledFrom([]int{0, 0, 0, 0, 1, 1, 2, 3, 5, 8})
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Step {
		return Step{
			Kind: rapid.SampledFrom(of).Draw(t, "kind"),
			A:    recent.Draw(t, "a"), B: recent.Draw(t, "b"), C: rapid.IntRange(0, 3).Draw(t, "c"),
		}
	}), 1, n)
}

// Stream plays steps to a client and to what must not differ from it, and judges the differences.
type Stream struct {
	Fork int
	// Direct asks the client, Through what stands before clients like it.
	Direct, Through func(body []byte) (answer []byte)
	// Restart and Wait do what the kinds of that name say.
	Restart func()
	Wait    func(time.Duration)
	// Child makes a child of a block that the client would call VALID; default: Payload.Child with other extra data.
	// Spoil makes it fail to execute; default: Bad.
	Child func(parent Payload, variant int) Payload
	Spoil func(*Payload)
	// Faulty says that one of the clients behind Through isn't like the others, Objects that it may call INVALID what
	// they call VALID. Then only this is judged: never INVALID where they say VALID, and VALID where they do unless it
	// may object.
	Faulty, Objects bool

	judge    judge
	followed map[common.Hash]bool // what the client has called VALID in newPayload
	blocks   []made
	ids      [][2]string // of builds: what the client said, and what was heard through
	lines    []string
	broken   bool
}

// made is a block that a stream has made.
type made struct {
	Payload
	name  string
	sound bool // it and all its ancestors would be VALID
}

// Play plays steps, up to the first difference that the contract doesn't allow, which makes the stream broken.
func (s *Stream) Play(steps []Step) {
	s.begin()
	for _, step := range steps {
		if s.broken {
			break
		}
		s.play(step)
	}
}

func (s *Stream) begin() {
	if s.blocks != nil {
		return
	}
	if s.Child == nil {
		s.Child = func(parent Payload, variant int) Payload {
			return parent.Child(func(p *Payload) { p.ExtraData = []byte{byte(variant)} })
		}
	}
	if s.Spoil == nil {
		s.Spoil = Bad
	}
	s.blocks = []made{{Genesis(s.Fork), "genesis", true}}
	s.followed = map[common.Hash]bool{}
	s.judge.begin(s.Fork)
}

// Root makes another block the root of all that the stream makes, in place of Genesis. It must come before Play.
func (s *Stream) Root(root Payload) {
	s.begin()
	s.blocks = []made{{root, "root", true}}
}

// block returns the block that was made n before the last.
func (s *Stream) block(n int) made {
	last := len(s.blocks) - 1
	return s.blocks[last-n%len(s.blocks)]
}

// valid returns the block that was made n before the last, of those that the client has called VALID.
func (s *Stream) valid(n int) made {
	var list []made
	for i, b := range s.blocks {
		if i == 0 || s.followed[b.BlockHash] {
			list = append(list, b)
		}
	}
	return list[len(list)-1-n%len(list)]
}

func (s *Stream) play(step Step) {
	a, b := s.block(step.A), s.block(step.B)
	switch step.Kind {
	case Grow, Spoil, Misnumber, Early, Forge, Both, Follow, Build:
		if step.C != 3 {
			a = s.valid(step.A)
		}
	}
	switch step.Kind {
	case Grow:
		child := s.child(a, step.B)
		if step.C == 1 {
			s.batch(child)
			return
		}
		s.send(child.name+", a child of "+a.name, child.Payload, true)
		s.follow(child, made{}, made{})
	case Draft:
		child := s.child(a, step.B)
		s.Say("(%s is a child of %s)", child.name, a.name)
	case Send:
		if a.Number == 0 {
			return
		}
		if step.B == 1 {
			s.call(newPayloadCall(a.Payload, func(object string) string {
				return `{"unknownMember":"0x1",` + object[1:]
			}), a.name+" with an unknown member", question{payload: &a.Payload, right: true})
			return
		}
		s.send(a.name, a.Payload, true)
	case Spoil:
		child := s.add(a.Child(s.Spoil), false)
		if step.B == 1 {
			s.Say("(%s is a bad child of %s)", child.name, a.name)
			return
		}
		s.send(child.name+", a bad child of "+a.name, child.Payload, true)
	case Orphan:
		child := s.add(a.Child(func(p *Payload) { p.ParentHash[step.B%32] ^= 0xff }), false)
		s.send(child.name+", whose parent is unknown", child.Payload, true)
	case Misnumber:
		child := s.add(a.Child(func(p *Payload) { p.Number += 1 + uint64(step.B) }), false)
		s.send(child.name+", a child of "+a.name+" with a wrong number", child.Payload, true)
	case Early:
		child := s.add(a.Child(func(p *Payload) { p.Timestamp = a.Timestamp }), false)
		s.send(child.name+", as old as its parent "+a.name, child.Payload, true)
	case Forge:
		if a.Number == 0 {
			return
		}
		forged, form := forge(a.Payload, b.Payload, step.B)
		s.send(a.name+" with "+form, forged, false)
	case Both:
		if a.Number == 0 {
			return
		}
		forged, form := forge(a.Payload, b.Payload, step.B)
		s.both(a, forged, form)
	case Lend:
		if a.Number == 0 {
			return
		}
		name := b.name
		lent := a.Payload
		lent.BlockHash = b.BlockHash
		if a.name == b.name {
			lent.BlockHash[0] ^= 0xff
			name = "nothing"
		}
		s.send(a.name+" under the hash of "+name, lent, false)
	case Follow:
		safe, finalized := b, s.block(step.C)
		if step.B%2 == 0 {
			safe = made{}
		}
		if step.C%2 == 0 {
			finalized = made{}
		}
		s.follow(a, safe, finalized)
	case Stray:
		if step.A%2 == 0 {
			s.follow(made{name: "the zero hash", Payload: Payload{Version: s.Fork}}, made{}, made{})
			return
		}
		unknown := a
		unknown.BlockHash[1] ^= 0xff
		unknown.name = "an unknown block"
		s.follow(unknown, made{}, made{})
	case Build:
		s.build(a, step.B)
	case Fetch:
		s.fetch(step)
	case Malform:
		s.malform(a, step.B)
	case Read:
		method := [...]string{"eth_getBlockByNumber", "eth_chainId", "eth_syncing", "eth_blockNumber"}[step.B%4]
		params := "[]"
		if step.B%4 == 0 {
			params = `["latest",false]`
		}
		s.call(request(method, params), method, question{})
	case Restart:
		s.Say("(we start again)")
		s.Restart()
		s.judge.begin(s.Fork)
	case Wait:
		d := [...]time.Duration{time.Second, 3 * time.Second, 12 * time.Second, 40 * time.Second}[step.C]
		s.Say("(%v pass)", d)
		s.Wait(d)
	}
}

// Next makes a child of the last block that the client has called VALID, sends it, makes it the head, and returns what
// was heard.
func (s *Stream) Next() (newPayload, forkchoice string) {
	s.begin()
	a := s.valid(0)
	child := s.child(a, 0)
	s.send(child.name+", a child of "+a.name, child.Payload, true)
	newPayload = s.judge.heard
	s.follow(child, made{}, made{})
	return newPayload, s.judge.heard
}

// Conversation returns what has been said so far.
func (s *Stream) Conversation() string { return strings.Join(s.lines, "\n") }

// Broken reports whether there has been a difference that the contract doesn't allow.
func (s *Stream) Broken() bool { return s.broken }

func (s *Stream) child(parent made, variant int) made {
	if parent.sound {
		return s.add(s.Child(parent.Payload, variant), true)
	}
	return s.add(parent.Child(func(p *Payload) { p.ExtraData = []byte{byte(variant)} }), false)
}

func (s *Stream) add(p Payload, sound bool) made {
	for _, b := range s.blocks {
		if b.BlockHash == p.BlockHash {
			return b
		}
	}
	b := made{p, fmt.Sprint("B", len(s.blocks)), sound}
	s.blocks = append(s.blocks, b)
	return b
}

// forge returns a payload with another content under its own hash.
func forge(p, other Payload, form int) (forged Payload, what string) {
	forms := []string{"another state root", "itself as parent", "another parent", "an empty transaction"}
	if p.Version >= 3 {
		forms = append(forms, "other versioned hashes", "another beacon root")
	}
	if p.Version >= 4 {
		forms = append(forms, "other requests")
	}
	what = forms[form%len(forms)]
	switch what {
	case "another state root":
		p.StateRoot[0] ^= 0xff
	case "itself as parent":
		p.ParentHash = p.BlockHash
	case "another parent":
		if p.ParentHash == other.BlockHash || p.BlockHash == other.BlockHash {
			other.BlockHash[2] ^= 0xff
		}
		p.ParentHash = other.BlockHash
	case "an empty transaction":
		p.Transactions = append(append([][]byte{}, p.Transactions...), []byte{})
	case "other versioned hashes":
		p.VersionedHashes = append(append([]common.Hash{}, p.VersionedHashes...), common.Hash{1, 2})
	case "another beacon root":
		p.BeaconRoot[0] ^= 0xff
	case "other requests":
		p.Requests = [][]byte{{0, 1, 2}}
	}
	return p, what
}

// newPayloadCall is the engine_newPayload of a payload. Change, if not nil, edits the payload object.
func newPayloadCall(p Payload, change func(object string) string) string {
	params := p.Params()
	object, err := json.Marshal(p)
	if err != nil {
		panic(err)
	}
	if change != nil {
		object = []byte(change(string(object)))
	}
	params[0] = json.RawMessage(object)
	raw, err := json.Marshal(params)
	if err != nil {
		panic(err)
	}
	return request(fmt.Sprintf("engine_newPayloadV%d", p.Version), string(raw))
}

// forkchoiceCall is an engine_forkchoiceUpdated. version 0 is that of the head.
func forkchoiceCall(head, safe, finalized made, version int, attributes any) string {
	if version == 0 {
		version = [...]int{1: 1, 2: 2, 3: 3, 4: 3, 5: 4}[head.Version]
	}
	state := map[string]common.Hash{
		"headBlockHash": head.BlockHash, "safeBlockHash": safe.BlockHash, "finalizedBlockHash": finalized.BlockHash,
	}
	raw, err := json.Marshal([]any{state, attributes})
	if err != nil {
		panic(err)
	}
	return request(fmt.Sprintf("engine_forkchoiceUpdatedV%d", version), string(raw))
}

func request(method, params string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":%s}`, method, params)
}

func (s *Stream) send(what string, p Payload, right bool) {
	s.call(newPayloadCall(p, nil), "newPayload "+what, question{payload: &p, right: right})
}

func (s *Stream) follow(head, safe, finalized made) {
	body := forkchoiceCall(head, safe, finalized, 0, nil)
	s.call(body, followText(head, safe, finalized), question{head: &head, finalized: finalized})
	s.settle(head)
}

// settle makes a block the head that a client has made its head though it answered with an error: for ExecutionBackup,
// the head is the last that was answered VALID, and which of the two a client has may then be seen in later answers.
func (s *Stream) settle(head made) {
	if s.judge.code == invalidState.Code || s.judge.code == invalidAttributes.Code {
		s.follow(head, made{}, made{})
	}
}

func followText(head, safe, finalized made) string {
	text := "forkchoiceUpdated " + head.name
	if safe.name != "" {
		text += ", safe " + safe.name
	}
	if finalized.name != "" {
		text += ", finalized " + finalized.name
	}
	return text
}

// build asks for a build. Some of its attributes are wrong.
func (s *Stream) build(a made, how int) {
	raw, err := withoutNulls(a.Attributes())
	if err != nil {
		panic(err)
	}
	var attributes map[string]any
	if err := json.Unmarshal(raw, &attributes); err != nil {
		panic(err)
	}
	version, what := 0, ""
	switch how {
	case 1:
		attributes["timestamp"] = fmt.Sprintf("0x%x", a.Timestamp)
		what = " as old as the head"
	case 2:
		delete(attributes, "prevRandao")
		what = " without prevRandao"
	case 3:
		version = s.Fork%4 + 1
		what = fmt.Sprint(" in V", version)
	}
	body := forkchoiceCall(a, made{}, made{}, version, attributes)
	s.ids = append(s.ids, s.call(body, "forkchoiceUpdated "+a.name+" with attributes"+what, question{head: &a}))
	if last := len(s.ids) - 1; s.ids[last][0] == "" {
		s.ids = s.ids[:last]
	}
	s.settle(a)
}

func (s *Stream) fetch(step Step) {
	ids, what := [2]string{"0x0300000000000001", "0x0300000000000001"}, "an unknown id"
	if n := len(s.ids); n > 0 && step.B != 5 {
		ids, what = s.ids[n-1-step.A%n], fmt.Sprintf("build %d", n-step.A%n)
	}
	version := [...]int{1: 1, 2: 2, 3: 3, 4: 5, 5: 6}[s.Fork]
	if step.B == 1 {
		version = version%6 + 1
	}
	body := func(id string) string {
		return request(fmt.Sprintf("engine_getPayloadV%d", version), fmt.Sprintf("[%q]", id))
	}
	s.ask(body(ids[0]), body(ids[1]), fmt.Sprintf("getPayloadV%d %s", version, what), question{build: ids[1]})
	if built := s.judge.built; built != nil && step.C == 1 {
		b := s.add(*built, true)
		s.send(b.name+", which was built", b.Payload, true)
		s.follow(b, made{}, made{})
	}
}

func (s *Stream) malform(a made, how int) {
	if a.Number == 0 {
		return
	}
	switch how {
	case 0:
		method := fmt.Sprintf("engine_newPayloadV%d", s.Fork)
		s.call(request(method, "[]"), "newPayload without params", question{})
	case 1:
		s.call(request("engine_forkchoiceUpdatedV3", "[]"), "forkchoiceUpdated without params", question{})
	default: // only V2 takes an older version's payload
		p := a.Payload
		version := p.Version%5 + 1
		method := fmt.Sprint("newPayloadV", version)
		body := strings.Replace(newPayloadCall(p, nil), fmt.Sprint("newPayloadV", p.Version), method, 1)
		s.call(body, method+" "+a.name, question{payload: &p, version: version, right: p.Version == 1})
	}
}

// batch sends a block and the forkchoice on it in one batch.
func (s *Stream) batch(child made) {
	first, second := newPayloadCall(child.Payload, nil), forkchoiceCall(child, made{}, made{}, 0, nil)
	body := []byte("[" + first + "," + second + "]")
	read := func(raw []byte) (answers [2][]byte) {
		var list []json.RawMessage
		if err := json.Unmarshal(raw, &list); err != nil || len(list) != 2 {
			s.Fail("a batch is answered with %s", raw)
			return answers
		}
		return [2][]byte{list[0], list[1]}
	}
	direct, through := read(s.Direct(body)), read(s.Through(body))
	if s.broken {
		return
	}
	s.compare("[newPayload "+child.name+",", question{payload: &child.Payload, right: true}, direct[0], through[0])
	s.compare(" forkchoiceUpdated "+child.name+"]", question{head: &child}, direct[1], through[1])
}

// both sends a block and a forged one under the same hash at the same time.
func (s *Stream) both(real made, forged Payload, form string) {
	bodies := [2][]byte{[]byte(newPayloadCall(real.Payload, nil)), []byte(newPayloadCall(forged, nil))}
	var direct, through [2][]byte
	var calls sync.WaitGroup
	for i, body := range bodies {
		direct[i] = s.Direct(body)
	}
	for i, body := range bodies {
		calls.Go(func() { through[i] = s.Through(body) })
	}
	calls.Wait()
	before := s.judge.proved
	s.compare("{newPayload "+real.name, question{payload: &real.Payload, right: true}, direct[0], through[0])
	proved := s.judge.proved
	s.judge.proved = before // it doesn't matter here: what is forged is INVALID by itself
	s.compare(" newPayload "+real.name+" with "+form+"}", question{payload: &forged}, direct[1], through[1])
	s.judge.proved = proved
}

// call makes a call on both sides and returns the payload ids that they give.
func (s *Stream) call(body, what string, q question) (ids [2]string) {
	return s.ask(body, body, what, q)
}

func (s *Stream) ask(direct, through, what string, q question) (ids [2]string) {
	return s.compare(what, q, s.Direct([]byte(direct)), s.Through([]byte(through)))
}

func (s *Stream) compare(what string, q question, direct, through []byte) (ids [2]string) {
	d, t, wrong := s.judge.compare(q, direct, through, s.Faulty, s.Objects)
	if q.payload != nil && q.right && d.Status.Status == "VALID" {
		s.followed[q.payload.BlockHash] = true
	}
	line := fmt.Sprintf("%-60s %s", what, s.short(d))
	if s.short(d) != s.short(t) {
		line += ", through us " + s.short(t)
	}
	s.Say("%s", line)
	if wrong != "" {
		s.Fail("%s", wrong)
	}
	return [2]string{d.payloadID, t.payloadID}
}

// short is an answer in a few words.
func (s *Stream) short(a answer) string {
	switch {
	case a.code != 0:
		return fmt.Sprint("error ", a.code)
	case a.Status.Status == "":
		return fmt.Sprintf("%.60s", a.result)
	}
	text := a.Status.Status
	if a.LatestValidHash != "" {
		text += " " + s.name(common.HexToHash(a.LatestValidHash))
	}
	if a.payloadID != "" {
		text += " with an id"
	}
	return text
}

func (s *Stream) name(hash common.Hash) string {
	for _, b := range s.blocks {
		if b.BlockHash == hash {
			return b.name
		}
	}
	return hash.Hex()[:10]
}

// Say adds a line to the conversation.
func (s *Stream) Say(format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

// Fail breaks the stream, for a reason that the conversation then ends with.
func (s *Stream) Fail(format string, args ...any) {
	s.Say("    ^ "+format, args...)
	s.broken = true
}
