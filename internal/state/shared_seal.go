package state

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"strconv"
)

// A value in the store is its rank (20 digits, so that the order of strings is that of ranks, beyond 2^53 as well), an
// HMAC over the whole key, the rank and the value, and the value.
const (
	rankLength = 20
	sealLength = rankLength + sha256.Size
)

// goodPrefix is a prefix that can't end the braces of a key, nor mean anything in the pattern of an ACL.
var goodPrefix = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// The names of keys, after the braces. Records and markers stand in the index by these.
const (
	recordPrefix = "r:"
	markerPrefix = "m:"
	indexName    = "index"   // a sorted set: name → revision of its last change; markers stand beyond every revision
	channelName  = "changed" // the channel that tells of changes
)

func recordName(key string) string { return recordPrefix + key }

// seal returns a record as it is written under a name.
func (s *Shared) seal(space, name string, r Record) []byte {
	sealed := fmt.Appendf(make([]byte, 0, sealLength+len(r.Value)), "%020d", r.Rank)
	sealed = append(sealed, s.mac(space+name, sealed, r.Value)...)
	return append(sealed, r.Value...)
}

// open returns the record of a value that was read under a name, or why it isn't ours.
func (s *Shared) open(space, name string, sealed []byte) (Record, error) {
	if len(sealed) < sealLength {
		return Record{}, errors.New("it isn't a value of ours")
	}
	rank, sum, value := sealed[:rankLength], sealed[rankLength:sealLength], sealed[sealLength:]
	if !hmac.Equal(sum, s.mac(space+name, rank, value)) {
		return Record{}, errors.New("its HMAC doesn't fit: forged, or of an instance with another secret")
	}
	n, err := strconv.ParseUint(string(rank), 10, 64)
	if err != nil {
		return Record{}, fmt.Errorf("its rank: %w", err)
	}
	return Record{Rank: n, Value: value}, nil
}

func (s *Shared) mac(key string, rank, value []byte) []byte {
	h := hmac.New(sha256.New, s.o.Key)
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(key))))
	h.Write([]byte(key))
	h.Write(rank)
	h.Write(value)
	return h.Sum(nil)
}
