package auth

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"unicode"
)

// ReadFile reads a file that a setting names and that has a secret in it. Some write the secret itself where the path
// belongs. So an error repeats the path only where it can be nothing else.
func ReadFile(path string, read func(string) ([]byte, error)) ([]byte, error) {
	if LooksSecret(path) {
		return nil, errItself
	}
	data, err := read(path)
	switch {
	case err == nil:
		return data, nil
	case plainPath(path):
		return nil, err
	}
	return nil, fmt.Errorf("%w (the path isn't shown, as it may be the secret itself)", reason(err))
}

var errItself = errors.New("this is a secret itself: give the path of a file that contains it")

// reason says why a file can't be read, without its path.
func reason(err error) error {
	for _, known := range []error{fs.ErrNotExist, fs.ErrPermission} {
		if errors.Is(err, known) {
			return known
		}
	}
	return errors.New("it can't be read")
}

// LooksSecret reports whether a text is a JWT secret, perhaps one in quotes, or with digits that are wrong, too many or
// too few.
func LooksSecret(text string) bool { return !strings.ContainsAny(text, `/\`) && mostlyDigits(text) }

// mostlyDigits reports whether a text has so many hexadecimal digits that half a secret may be in it.
func mostlyDigits(text string) bool {
	digits := 0
	for _, c := range []byte(text) {
		if '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' {
			digits++
		}
	}
	return digits >= 32 && 5*digits >= 3*len(text)
}

var (
	rooted   = regexp.MustCompile(`^(/|\./|\.\./|~/|[A-Za-z]:\\)`)
	extended = regexp.MustCompile(`\.(crt|hex|json|jwt|key|password|pem|secret|token|txt|ya?ml)$`)
	// rootFile is what base64 that begins with a slash looks like.
	rootFile = regexp.MustCompile(`^/[^/.]{16,}$`)
)

// plainPath reports whether a text can only be a path: it begins or ends like one, and has nothing in it that random
// digits or letters would have. Where in doubt it is none.
func plainPath(text string) bool {
	if !rooted.MatchString(text) && !extended.MatchString(text) || rootFile.MatchString(text) {
		return false
	}
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r == '/' || r == '\\' }) {
		if mostlyDigits(part) {
			return false
		}
	}
	return !strings.ContainsFunc(text, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(`/\._-~@:, ()`, r)
	})
}

// words are the parts of a text that Redact looks at.
var words = regexp.MustCompile(`[^\s"'\x60=#,()/\\?&;<>\[\]{}]+`)

// Redact returns a text with "[secret]" in the place of whatever may be a JWT secret: hexadecimal digits, as a whole or
// but for a few. For texts that repeat what somebody wrote, and that have no hashes.
func Redact(text string) string {
	return words.ReplaceAllStringFunc(text, func(word string) string {
		if mostlyDigits(word) {
			return placeholder
		}
		return word
	})
}

// dressed says what editors and shells have left around a secret; nil where that is nothing.
func dressed(text string) error {
	for _, mark := range []string{"\ufeff", "\xff\xfe", "\xfe\xff"} {
		if strings.HasPrefix(text, mark) {
			return errors.New(
				"it begins with a byte order mark (saved by a Windows editor?): save it as plain text without one")
		}
	}
	runes := bytes.Runes([]byte(text))
	const quotes = "\"'`“”„‘’‚«»"
	if len(runes) > 1 && strings.ContainsRune(quotes, runes[0]) && strings.ContainsRune(quotes, runes[len(runes)-1]) {
		return errors.New("it is in quotes: remove them")
	}
	return nil
}

// repeated reports whether a text is one character again and again.
func repeated(text string) bool { return text != "" && strings.Trim(text, text[:1]) == "" }

// IsPlaceholder reports whether a token or a password is what examples have in its place.
func IsPlaceholder(text string) bool {
	letters := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, text)
	for _, example := range []string{"changeme", "replaceme", "placeholder", "yourtoken", "yourpassword"} {
		if strings.Contains(letters, example) {
			return true
		}
	}
	return false
}
