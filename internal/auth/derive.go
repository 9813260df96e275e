package auth

import (
	"crypto/hkdf"
	"crypto/sha256"
)

// Derive returns a key of 32 bytes for another purpose, which a label names: who has it can't find the secret (HKDF).
func (s Secret) Derive(label string) []byte {
	key, err := hkdf.Key(sha256.New, []byte(s.key.Value()), nil, label, sha256.Size)
	if err != nil { // only for keys that are too long
		panic(err)
	}
	return key
}
