package auth

import (
	"strings"
	"testing"
)

func TestAdminToken(t *testing.T) {
	const text = "0123456789abcdef"
	token, err := ParseAdminToken(" " + text + "\n")
	if err != nil {
		t.Fatal(err)
	}
	if !token.Matches(text) {
		t.Error("the token doesn't match its text")
	}
	for _, other := range []string{"", text[1:], text + "0", strings.ToUpper(text), " " + text} {
		if token.Matches(other) {
			t.Errorf("the token matches %q", other)
		}
	}
	if got, want := token.Bearer(), "Bearer "+text; got != want {
		t.Errorf("Bearer() = %q, want %q", got, want)
	}
	if same, _ := ParseAdminToken(text); same != token {
		t.Error("two tokens of one text are not equal")
	}
	var zero AdminToken
	if !zero.IsZero() || zero.Matches("") || zero.Bearer() != "" || token.IsZero() {
		t.Error("the zero token must match nothing, and only it is zero")
	}
}

func TestParseAdminTokenErrors(t *testing.T) {
	const notMadeToken = "a placeholder, not a token: make one with: openssl rand -hex 32"
	for _, test := range []struct{ text, want string }{
		{"", "not a token: want at least 16 characters, got 0"},
		{"0123456789abcde\n", "not a token: want at least 16 characters, got 15"},
		{"0123456789abcdef 1", "not a token: want visible ASCII characters only, without white space"},
		{"0123456789abcdef\n1", "not a token: want visible ASCII characters only, without white space"},
		{"0123456789abcdéf", "not a token: want visible ASCII characters only, without white space"},
		{`"0123456789abcdef"`, "not a token: it is in quotes: remove them"},
		{"\ufeff0123456789abcdef\r\n", "not a token: " + marked},
		{"change-me-change-me-change-me", notMadeToken},
		{"REPLACE_ME_0123456789", notMadeToken},
		{"<your-token-goes-here>", notMadeToken},
		{"0000000000000000", notMadeToken},
	} {
		if _, err := ParseAdminToken(test.text); err == nil || err.Error() != test.want {
			t.Errorf("ParseAdminToken(%q): got error %v, want %s", test.text, err, test.want)
		}
	}
}
