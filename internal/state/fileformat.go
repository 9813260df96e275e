package state

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The log is text, a line for each Put:
//
//	00000023 3e7412ec executionbackup state 1
//	00000057 a108af34 {"drained/http://127.0.0.1:8551":{"rank":3,"value":true}}
//
// Length of the text in bytes, its CRC-32C, and the text: the changes by their keys, in JSON. A value that is JSON
// stands there as it is, any other as "base64"; a change with neither deletes. What a later line says of a key replaces
// what an earlier one does. The first line is the same in every version of the format, but for the number.
//
// A line is written in one go, so a crash can leave a part of the last one: there the file ends within it. Whatever
// else doesn't fit is damage.

const (
	formatName    = "executionbackup state "
	formatVersion = 1

	frameSize = 8 + 1 + 8 + 1 // before the text

	maxText = 16 << 20  // bytes of a line
	maxLog  = 256 << 20 // bytes of a log
	maxRoom = 48 << 20  // bytes of what stands: a log may become four times that before it is written anew
)

// stored is a record as it stands in the log.
type stored struct {
	Rank   uint64          `json:"rank,omitzero"`
	Value  json.RawMessage `json:"value,omitzero"`
	Base64 []byte          `json:"base64,omitzero"`
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frame is what stands before a text.
func frame(text []byte) []byte {
	return fmt.Appendf(nil, "%08d %08x ", len(text), crc32.Checksum(text, castagnoli))
}

// header is the first line of a log.
func header(version int) []byte {
	text := fmt.Appendf(nil, "%s%d\n", formatName, version)
	return append(frame(text[:len(text)-1]), text...)
}

// encode is the line of one Put.
func encode(changes Records) []byte {
	all := make(map[string]stored, len(changes))
	for key, r := range changes {
		if plain(r.Value) {
			all[key] = stored{Rank: r.Rank, Value: r.Value}
		} else {
			all[key] = stored{Rank: r.Rank, Base64: r.Value}
		}
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.Encode(all) // it always can be; and ends the line
	return append(frame(text.Bytes()[:text.Len()-1]), text.Bytes()...)
}

// plain reports whether a value can stand in the log as it is: it is JSON without white space, and not so deep that
// readers of JSON, ours too, give up (at 10,000).
func plain(value []byte) bool {
	var b bytes.Buffer
	return bytes.Count(value, []byte("["))+bytes.Count(value, []byte("{")) < 9000 &&
		json.Compact(&b, value) == nil && bytes.Equal(b.Bytes(), value)
}

// roomOf is at least how much records take in a log, in bytes.
func roomOf(records Records) (n int) {
	for key, r := range records {
		n += 6*len(key) + len(r.Value)/3*4 + 100 // a byte of a key may become \u0000
	}
	return n
}

// writeLog writes a log in which these records stand, and returns its size.
func writeLog(to io.Writer, all Records) (size int64, err error) {
	w := bufio.NewWriterSize(to, 64<<10)
	n, err := w.Write(header(formatVersion))
	size = int64(n)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if err == nil {
			n, err = w.Write(encode(Records{key: all[key]}))
			size += int64(n)
		}
	}
	if err == nil {
		err = w.Flush()
	}
	return size, err
}

// unusable says why a log is to be set aside. Any other error of readLog is that of its reader.
type unusable struct{ kind, reason string }

func (u *unusable) Error() string { return u.reason }

// readLog reads a log of so many bytes. It returns what stands, and how many bytes of the last line there are where a
// part of that is missing.
func readLog(from io.Reader, size int64) (all Records, torn int64, err error) {
	if size > maxLog {
		return nil, 0, &unusable{"broken", fmt.Sprintf("it has %d bytes", size)}
	}
	l := lines{from: bufio.NewReaderSize(from, 64<<10), left: size}
	first, err := l.next()
	if err == io.EOF || err == errTorn {
		err = l.broken("no header")
	}
	if err != nil {
		return nil, 0, err
	}
	number, named := strings.CutPrefix(string(first), formatName)
	version, err := strconv.Atoi(number)
	switch {
	case !named || err != nil || version < 1:
		return nil, 0, l.broken("no header")
	case version > formatVersion:
		return nil, 0, &unusable{"newer", fmt.Sprintf("its format is %d, and we know %d", version, formatVersion)}
	}
	return l.changes() // an older version, once there is one, has its own
}

// changes reads what follows the header.
func (l *lines) changes() (all Records, torn int64, err error) {
	all = make(Records)
	for {
		left := l.left
		text, err := l.next()
		switch {
		case err == io.EOF:
			return all, 0, nil
		case err == errTorn:
			return all, left, nil
		case err != nil:
			return nil, 0, err
		}
		if err := decode(text, all); err != nil {
			return nil, 0, l.broken(err.Error())
		}
	}
}

// decode applies a line's text to what stands.
func decode(text []byte, all Records) error {
	var changes map[string]stored
	if err := json.Unmarshal(text, &changes); err != nil {
		return err
	}
	for key, s := range changes {
		switch {
		case s.Value != nil:
			all[key] = Record{s.Rank, s.Value}
		case s.Base64 != nil:
			all[key] = Record{s.Rank, s.Base64}
		default:
			delete(all, key)
		}
	}
	return nil
}

// lines reads the lines of a log.
type lines struct {
	from  *bufio.Reader
	left  int64 // bytes
	count int   // of lines that were begun
}

// errTorn says that the log ends within a line.
var errTorn = errors.New("the last line is incomplete")

// next returns the text of the next line, or io.EOF. It takes no memory for bytes that aren't there.
func (l *lines) next() (text []byte, err error) {
	if l.left == 0 {
		return nil, io.EOF
	}
	l.count++
	start, err := l.take(frameSize)
	if err != nil {
		return nil, err
	}
	if !begins(start) {
		return nil, l.broken("no line begins so")
	}
	if len(start) < frameSize {
		return nil, errTorn
	}
	length, _ := strconv.ParseInt(string(start[:8]), 10, 64) // begins has seen the digits
	if length > maxText {
		return nil, l.broken(fmt.Sprintf("it would have %d bytes", length))
	}
	rest, err := l.take(length + 1)
	switch {
	case err != nil:
		return nil, err
	case int64(len(rest)) <= length && bytes.IndexByte(rest, '\n') < 0:
		return nil, errTorn
	case int64(len(rest)) <= length || rest[length] != '\n' || !bytes.Equal(start, frame(rest[:length])):
		return nil, l.broken("length or checksum is wrong")
	}
	return rest[:length], nil
}

// take reads n bytes, or those that are left.
func (l *lines) take(n int64) ([]byte, error) {
	b := make([]byte, min(n, l.left))
	l.left -= int64(len(b))
	_, err := io.ReadFull(l.from, b)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF // there should be more
	}
	return b, err
}

var framed = regexp.MustCompile(`^[0-9]{8} [0-9a-f]{8} $`)

// begins reports whether a line may begin so. The start may be cut off.
func begins(start []byte) bool {
	return framed.Match(append(start, "00000000 00000000 "[len(start):]...))
}

func (l *lines) broken(reason string) error {
	return &unusable{"broken", fmt.Sprintf("line %d: %s", l.count, reason)}
}
