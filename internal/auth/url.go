package auth

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unique"
)

// URL is the address of a receiver that knows its callers by it: path, query, user and password may each be a secret.
// It prints itself without them: https://host/…. Two URLs are == when their text is the same; the zero URL is none.
type URL struct{ text unique.Handle[string] }

// IsZero reports whether u is no URL.
func (u URL) IsZero() bool { return u == URL{} }

// maxURL bounds a URL, in bytes: nobody takes longer ones.
const maxURL = 4 << 10

// ParseURL reads an http or https URL; white space around it is ignored, and an empty text is none. An error has
// nothing of the text.
func ParseURL(text string) (URL, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return URL{}, nil
	}
	if err := dressed(text); err != nil {
		return URL{}, fmt.Errorf("not a URL: %w", err)
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return URL{}, errors.New("not a URL: write one that begins with http:// or https:// (it isn't repeated here, " +
			"as it may be a secret)")
	}
	if strings.ContainsFunc(text, unicode.IsSpace) {
		return URL{}, errors.New("not a URL: there is white space in it")
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); u.Port() != "" && (err != nil || port == 0) {
		return URL{}, errors.New("not a URL: the port must be 1 to 65535")
	}
	if len(text) > maxURL {
		return URL{}, fmt.Errorf("not a URL: it has more than %d bytes", maxURL)
	}
	if IsPlaceholder(u.Path + "?" + u.RawQuery) {
		return URL{}, errors.New("a placeholder, not a URL")
	}
	return URL{unique.Make(text)}, nil
}

// ReadURL reads a file with a URL. An error has the path, unless that may be a secret, and never the content.
func ReadURL(path string, readFile func(string) ([]byte, error)) (URL, error) {
	data, err := ReadFile(path, readFile)
	if err != nil {
		return URL{}, err
	}
	u, err := ParseURL(string(data))
	if err == nil && u.IsZero() {
		err = errors.New("the file is empty")
	}
	if err != nil {
		return URL{}, fmt.Errorf("%s: %w", path, err)
	}
	return u, nil
}

// Reveal returns all of the URL, for whoever goes there; "" for none.
func (u URL) Reveal() string {
	if u.IsZero() {
		return ""
	}
	return u.text.Value()
}

// String returns what of the URL is no secret; "" for none.
func (u URL) String() string {
	if u.IsZero() {
		return ""
	}
	parsed, err := url.Parse(u.text.Value())
	if err != nil {
		return placeholder
	}
	return parsed.Scheme + "://" + Redact(parsed.Host) + "/…"
}

// All ways in which fmt, encoding/json and log/slog would print a URL lead to String.

func (u URL) GoString() string             { return u.String() }
func (u URL) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, u.String()) }
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }
func (u URL) LogValue() slog.Value         { return slog.StringValue(u.String()) }
