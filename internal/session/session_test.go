package session

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/quorum"
)

// block is the hash of a block that a test names by a letter; "-" is no block.
func block(name string) common.Hash {
	if name == "-" {
		return common.Hash{}
	}
	return common.Hash{name[0]}
}

// What the CL may be told of its chain, after what it has been told. A script has words: a3 is that we answered VALID
// to block a with number 3, a<b that a is the head and b finalized, a<b@9 that this was the ninth call, and ! an error.
func TestChain(t *testing.T) {
	for _, test := range []struct {
		script   string
		head     string
		toFollow string
		sendBack string // the blocks of a, b, c to which the CL may be sent back
	}{
		{"", "-", "-", ""},
		{"a1 b2", "-", "-", "ab"},
		{"a1 a<-", "a", "a", "a"},
		{"a<-", "a", "a", "a"}, // known from forkchoiceUpdated alone
		{"a1 b2 c3 c<b", "c", "c", "bc"},
		{"a1 b2 c3 c<b c<-", "c", "c", "bc"},  // what is finalized stays it
		{"a1 b2 c3 b<a c<x", "c", "c", "abc"}, // it is finalized, and we don't know where it stands
		{"a1 b2 a<- b<-", "b", "b", "ab"},
		{"a1 b2 b<-@2 a<-@1", "b", "b", "ab"}, // decided at once, the later one first
		{"a1 a<- !", "a", "-", "a"},
		{"a1 b2 a<- ! b<-", "b", "b", "ab"},
		{"a1 b2 a<-@2 ! b<-@1", "a", "-", "ab"},
	} {
		var c Chain
		for i, word := range strings.Fields(test.script) {
			switch {
			case word == "!":
				c.Refuse()
			case word[1] == '<':
				seq := uint64(i)
				fmt.Sscanf(word[3:], "@%d", &seq)
				c.SetHead(block(word[:1]), block(word[2:3]), seq)
			default:
				c.AnsweredValid(block(word), uint64(word[1]-'0'))
			}
		}
		if c.Head() != block(test.head) || c.ToFollow() != block(test.toFollow) {
			t.Errorf("%s: the head is %x, to follow %x", test.script, c.Head(), c.ToFollow())
		}
		got := ""
		for _, name := range []string{"a", "b", "c"} {
			if c.MayBeLatestValid(block(name)) {
				got += name
			}
			if c.IsHead(block(name)) != (name == test.head) {
				t.Errorf("%s: %s is the head: %t", test.script, name, c.IsHead(block(name)))
			}
		}
		if got != test.sendBack || c.IsHead(common.Hash{}) || c.MayBeLatestValid(common.Hash{}) {
			t.Errorf("%s: the CL may be sent back to %s, want %s", test.script, got, test.sendBack)
		}
	}
}

// A chain remembers so many blocks, and forgets the oldest first.
func TestChainIsBounded(t *testing.T) {
	var c Chain
	hash := func(i int) common.Hash { return common.BytesToHash(fmt.Appendf(nil, "block %d", i)) }
	for i := range maxValid + 2 {
		c.AnsweredValid(hash(i), uint64(i))
		c.AnsweredValid(hash(i), uint64(i)) // once more counts once
	}
	if c.MayBeLatestValid(hash(1)) || !c.MayBeLatestValid(hash(2)) {
		t.Error("it isn't the oldest two that are forgotten")
	}
	if n := c.valid.Len(); n != maxValid {
		t.Errorf("%d blocks are remembered", n)
	}
}

// What the nodes build under an id of the CL's, after builds were put. A build is written as the CL's id, the head, the
// attributes (a letter each) and the ids of nodes: "1 h x n1=1,n2=2".
func TestBuilds(t *testing.T) {
	for _, test := range []struct {
		name   string
		builds []string
		won    string // node and id: "n1 1"
		id     string
		want   string // "-" where it isn't known
	}{
		{"nothing", nil, "", "1", "-"},
		{"another id", []string{"1 h x n1=1"}, "", "2", "-"},
		{"one", []string{"1 h x n1=1,n2=2"}, "", "1", "h n1=1,n2=2"},
		{"the last of two", []string{"1 h x n1=1", "2 h y n1=2"}, "", "2", "h n1=2"},
		{"the first of two", []string{"1 h x n1=1", "2 h y n1=2"}, "", "1", "h n1=1"},
		{"the same again, where a node is late", []string{"1 h x n1=1,n2=2", "1 h x n1=3"}, "", "1", "h n1=3,n2=2"},
		{"the id again for another head", []string{"1 h x n1=1,n2=2", "1 i x n1=3"}, "", "1", "i n1=3"},
		{"the id again for other attributes", []string{"1 h x n1=1,n2=2", "1 h y n1=3"}, "", "1", "h n1=3"},
		{"a node repeats its id for something else", []string{"1 h x n1=1,n2=2", "2 h y n2=2"}, "", "1", "h n1=1"},
		{"a winner", []string{"1 h x n1=1,n2=2"}, "n2 1", "1", "h n1=1,n2=2 won n2"},
		{"of another build", []string{"1 h x n1=1", "2 h y n1=2"}, "n1 1", "2", "h n1=2"},
	} {
		var bs Builds
		for _, text := range test.builds {
			bs.Put(build(text))
		}
		if node, id, won := strings.Cut(test.won, " "); won {
			bs.Won(id, quorum.NodeID(node))
		}
		if got := shown(bs.Find(test.id)); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// build is the build of a text; see TestBuilds.
func build(text string) *Build {
	f := strings.Fields(text)
	b := &Build{ID: f[0], Head: block(f[1]), Attributes: new(engine.Attributes), IDs: make(map[quorum.NodeID]string)}
	b.Attributes.Digest[0] = f[2][0]
	for _, pair := range strings.Split(f[3], ",") {
		node, id, _ := strings.Cut(pair, "=")
		b.IDs[quorum.NodeID(node)] = id
	}
	return b
}

// shown is a build in a test's words.
func shown(b Build, known bool) string {
	if !known {
		return "-"
	}
	var pairs []string
	for _, node := range []quorum.NodeID{"n1", "n2", "n3"} {
		if id := b.IDs[node]; id != "" {
			pairs = append(pairs, string(node)+"="+id)
		}
	}
	text := string(b.Head[0]) + " " + strings.Join(pairs, ",")
	if b.Winner != "" {
		text += " won " + string(b.Winner)
	}
	return text
}

// A late id is added to the build; what has been found is a copy. The oldest build goes when there are too many.
func TestBuildsAreShared(t *testing.T) {
	var bs Builds
	first := build("1 h x n1=1")
	bs.Put(first)
	found, _ := bs.Find("1")
	bs.Add(first, "n2", "2")
	bs.Add(nil, "n3", "3") // of a call that started none
	if len(found.IDs) != 1 {
		t.Errorf("what was found has become %v", found.IDs)
	}
	again, _ := bs.Find("1")
	if want := map[quorum.NodeID]string{"n1": "1", "n2": "2"}; !maps.Equal(again.IDs, want) {
		t.Errorf("got %v, want %v", again.IDs, want)
	}
	for i := range maxBuilds {
		bs.Put(build(fmt.Sprintf("b%d h x n3=%d", i, i)))
	}
	_, gone := bs.Find("1")
	_, stays := bs.Find("b0")
	if gone || !stays {
		t.Errorf("the oldest is there: %t, the next one: %t", gone, stays)
	}
}

// A method is the usual one when the last three calls of its family were made with it. A script has one word for each
// call: a family's letter and a version; it is a capital letter where the method is found to be usual.
func TestMethods(t *testing.T) {
	for _, script := range []string{
		"p1 p1 p1 P1 P1",
		"p1 p1 p2 p1 p1 p1 P1",
		"p1 p1 p1 p2 p2 p2 P2",
		"p1 p1 p1 f1 P1 f1 f1 F1",
	} {
		var ms Methods
		got := ""
		for word := range strings.FieldsSeq(script) {
			lower := strings.ToLower(word)
			family := map[byte]engine.Family{'p': engine.NewPayload, 'f': engine.ForkchoiceUpdated}[lower[0]]
			if ms.Use(engine.Method{Name: lower, Family: family}) {
				lower = strings.ToUpper(lower)
			}
			got += " " + lower
		}
		if got[1:] != script {
			t.Errorf("got %s, want %s", got[1:], script)
		}
	}
}

// What the CL said last is kept, unless it is too long, and not in the request's bytes.
func TestCapabilities(t *testing.T) {
	most := strings.Repeat("7", engine.MaxCapabilities)
	for _, test := range []struct {
		said []string
		want string
	}{
		{nil, ""},
		{[]string{`[["a"]]`}, `[["a"]]`},
		{[]string{`[["a"]]`, `[]`}, `[]`},
		{[]string{`[["a"]]`, most + "7"}, `[["a"]]`},
		{[]string{most}, most},
	} {
		var c Capabilities
		for _, s := range test.said {
			params := []byte(s)
			c.Say(params)
			clear(params)
		}
		if got := string(c.Said()); got != test.want {
			t.Errorf("%.40q: got %.40q, want %.40q", test.said, got, test.want)
		}
	}
}

// What another process kept is good for sending the CL back to, and makes no head; a part of it takes nothing away.
func TestChainIsRestored(t *testing.T) {
	var c, again Chain
	c.AnsweredValid(block("a"), 1)
	c.AnsweredValid(block("b"), 2)
	c.AnsweredValid(block("c"), 3)
	c.SetHead(block("d"), block("b"), 1)
	s := c.State()
	if len(s.Valid) != 2 {
		t.Errorf("kept are %+v, want the blocks from the finalized one on", s.Valid)
	}
	again.Restore(s)
	again.Restore(ChainState{})
	for name, want := range map[string]bool{"a": false, "b": true, "c": true, "d": true, "e": false} {
		if again.MayBeLatestValid(block(name)) != want {
			t.Errorf("the CL may be sent back to %s: %t, want %t", name, !want, want)
		}
	}
	if again.Head() != (common.Hash{}) || again.ToFollow() != (common.Hash{}) || again.IsHead(block("d")) {
		t.Error("the head of another process is one")
	}
	if kept := again.State(); kept.Head != block("d") || kept.Finalized != block("b") {
		t.Errorf("kept on is %+v", kept)
	}
	if again.Drop(); again.MayBeLatestValid(block("d")) || len(again.State().Valid) > 0 {
		t.Error("something is left of another chain")
	}
}
