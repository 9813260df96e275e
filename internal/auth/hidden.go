package auth

import (
	"fmt"
	"io"
	"log/slog"
)

// placeholder is what stands wherever a hidden value would be printed.
const placeholder = "[secret]"

// hidden, embedded in a type, keeps its values out of logs, errors, JSON and YAML. It cannot help where such a
// value sits in an unexported field, because fmt calls no methods there. So the types that embed it hold their bytes
// as a unique.Handle[string]: fmt prints the address in it. (It would follow a pointer to an array.)
type hidden struct{}

// All ways in which fmt, encoding/json and log/slog would print a value lead to the placeholder.

func (hidden) String() string               { return placeholder }
func (hidden) GoString() string             { return placeholder }
func (hidden) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, placeholder) }
func (hidden) MarshalText() ([]byte, error) { return []byte(placeholder), nil }
func (hidden) LogValue() slog.Value         { return slog.StringValue(placeholder) }
