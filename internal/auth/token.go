package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"executionbackup/internal/rawjson"
)

const (
	// maxToken bounds what Verify reads, in bytes. Consensus clients send less than 200.
	maxToken = 8 << 10
	// maxSkew is how far a token's iat may be from our clock, in whole seconds, both ways and inclusive.
	maxSkew = 60
)

// Why a token is refused. None of these contains any of it.
var (
	errNoSecret  = errors.New("there is no secret to verify a token with")
	errTooLong   = errors.New("token is too long")
	errMalformed = errors.New("token is not a JSON Web Token")
	errAlgorithm = errors.New("token is not signed with HS256")
	errSignature = errors.New("token is signed with another secret")
	errIssuedAt  = errors.New("token has no iat claim that is a number")
	errAmbiguous = errors.New("token can be read in two ways")
)

// header is the base64url form of what every token of ours begins with.
var header = base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"JWT","alg":"HS256"}`))

// Token mints a token for now. The zero Secret mints an empty one, which nobody accepts.
func (s Secret) Token(now time.Time) string {
	if s.IsZero() {
		return ""
	}
	claims := `{"iat":` + strconv.FormatInt(now.Unix(), 10) + `}`
	signed := header + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	return signed + "." + s.sign(signed)
}

// Verify returns nil where the token is signed with this secret, by HS256, and its iat is within 60 s of now. All
// other claims are ignored, exp and nbf too: the specification wants iat only. Otherwise the error says why, without
// the token.
func (s Secret) Verify(token string, now time.Time) error {
	if s.IsZero() {
		return errNoSecret
	}
	if len(token) > maxToken {
		return errTooLong
	}
	head, rest, _ := strings.Cut(token, ".")
	claims, signature, ok := strings.Cut(rest, ".")
	if !ok {
		return errMalformed
	}
	alg, err := member(head, "alg")
	if err != nil {
		return err
	}
	if string(alg) != `"HS256"` {
		return errAlgorithm
	}
	// Comparing the encoded form leaves a signature no second spelling.
	if !hmac.Equal([]byte(signature), []byte(s.sign(head+"."+claims))) {
		return errSignature
	}
	iat, err := member(claims, "iat")
	if err != nil {
		return err
	}
	// Of all JSON values, this accepts the numbers only. They may have fractions.
	issued, err := strconv.ParseFloat(string(iat), 64)
	if err != nil {
		return errIssuedAt
	}
	if skew := issued - float64(now.Unix()); math.Abs(skew) > maxSkew {
		return fmt.Errorf("token's iat is %+.9g s from our clock, more than %d: check both clocks", skew, maxSkew)
	}
	return nil
}

// sign returns the HS256 signature of text, base64url-encoded.
func (s Secret) sign(text string) string {
	mac := hmac.New(sha256.New, []byte(s.key.Value()))
	mac.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// member returns the value of name, or nil, in a JSON object that is base64url-encoded. A second member of that name,
// or one whose name differs in case, is an error: another reader might take that one.
func member(encoded, name string) ([]byte, error) {
	object, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || !json.Valid(object) {
		return nil, errMalformed
	}
	var value [1][]byte
	err = rawjson.Members(object, []string{name}, value[:])
	if _, ambiguous := errors.AsType[*rawjson.AmbiguousError](err); ambiguous {
		return nil, errAmbiguous
	}
	if err != nil {
		return nil, errMalformed
	}
	return value[0], nil
}

// Minter mints a node's tokens, at most one a second. It is safe for concurrent use.
type Minter struct {
	secret Secret
	last   atomic.Pointer[minted]
}

// minted is a token with the second in which it was made, in Unix time.
type minted struct {
	second int64
	bearer string
}

// NewMinter returns a Minter of tokens signed with secret.
func NewMinter(secret Secret) *Minter { return &Minter{secret: secret} }

// Bearer returns the value of an Authorization header, with a token of the second of now: never older than a second.
func (m *Minter) Bearer(now time.Time) string {
	second := now.Unix()
	if last := m.last.Load(); last != nil && last.second == second {
		return last.bearer
	}
	// Two callers may both come here. They mint the same token.
	bearer := "Bearer " + m.secret.Token(now)
	m.last.Store(&minted{second, bearer})
	return bearer
}
