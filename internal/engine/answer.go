package engine

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	"github.com/ethereum/go-ethereum/common"
)

// Error codes of JSON-RPC 2.0, and of the Engine API (common.md#errors), that we answer or look for ourselves.
const (
	CodeParse           = -32700
	CodeInvalidRequest  = -32600
	CodeMethodNotFound  = -32601
	CodeServer          = -32000
	CodeTooLargeRequest = -38004
)

// Error is the error that a call was answered with.
type Error struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`

	Raw []byte `json:"-"` // as the node sent it, with members that we don't know; nil in one of our own
}

// Error is the message, shortened where it is long, and the code.
func (e *Error) Error() string { return fmt.Sprintf("%s (%d)", Excerpt(e.Message), e.Code) }

// Answer is what a node says to a call, and what the CL hears: the bytes of a result, or an error; and in words what we
// judge of it. Where it has Raw it is a node's own: the CL gets those bytes, but for the members that Anew names, which
// are written from the words in their place.
type Answer struct {
	Raw  []byte // a result as a node wrote it; nil with an error, with entries, or with words of our own
	Err  *Error
	Null bool // the result is null: the node has nothing

	Whole    []byte // all that a node wrote, around the result too; nil in an answer of our own, or one that streams
	Verbatim bool   // the CL gets Whole as it is

	PayloadStatus         // of newPayload and forkchoiceUpdated
	PayloadID     string  // of forkchoiceUpdated, as the node wrote it; "" where it is null
	Anew          Members // 0 where the bytes say all as they should

	Built *Built // of getPayload

	// Entries are those of a list: of getBlobs, hasBlobs, getPayloadBodies and getClientVersion. Nil where the result
	// is no list.
	Entries []Entry
	// Methods are those that exchangeCapabilities lists; nil where the answer is no such list.
	Methods []string
	// Transaction is the hash of one that a node had taken before (eth_sendRawTransaction), in words of our own.
	Transaction *common.Hash
	// InclusionList has the transactions of getInclusionList; nil where they aren't hexadecimal.
	InclusionList [][]byte
}

// Members is a set of members of an answer: those that its words say, and its bytes don't.
type Members uint8

// The members that an answer may say anew.
const (
	AnewLatestValidHash Members = 1 << iota
	AnewValidationError
	AnewInclusionList
	AnewPayloadID
)

// OK reports whether the answer is a result.
func (a *Answer) OK() bool { return a.Err == nil }

// Failed is the answer with an error of our own.
func Failed(code int, message string) Answer {
	return Answer{Err: &Error{Code: code, Message: message}}
}

// Unavailable is the answer where no node can give one. why ends up in data.err, as common.md#errors has it.
func Unavailable(why string) Answer {
	data, _ := json.Marshal(map[string]string{"err": why}) // strings always can be
	return Answer{Err: &Error{Code: CodeServer, Message: "no execution node is available", Data: data}}
}

// Printable makes one line of a text that somebody else wrote, without what could steer a terminal.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
}

// maxExcerpt bounds what is kept of a text from outside, in bytes.
const maxExcerpt = 1 << 10

// Excerpt returns what logs, reports and memories keep of a text that somebody else wrote: its beginning, as a string
// of its own, so that ten megabytes of reasons aren't kept for the sake of a line.
func Excerpt(text string) string {
	if len(text) <= maxExcerpt {
		return text
	}
	return strings.ToValidUTF8(text[:maxExcerpt], "") + "…"
}
