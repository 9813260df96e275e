package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	digits      = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	otherDigits = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"
)

func mustSecret(t testing.TB, text string) Secret {
	t.Helper()
	s, err := ParseSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestParseSecret(t *testing.T) {
	want := mustSecret(t, digits)
	if want.IsZero() {
		t.Fatal("a parsed secret is zero")
	}
	if want == mustSecret(t, otherDigits) {
		t.Fatal("two different secrets are equal")
	}
	for _, text := range []string{
		digits, "0x" + digits, "0X" + digits, strings.ToUpper(digits),
		digits + "\n", digits + "\r\n", " \t0x" + digits + " \n\n",
	} {
		got, err := ParseSecret(text)
		if err != nil || got != want {
			t.Errorf("ParseSecret(%q) = equal %t, error %v", text, got == want, err)
		}
	}
}

const (
	marked  = "it begins with a byte order mark (saved by a Windows editor?): save it as plain text without one"
	notMade = "a placeholder, not a secret: make one with: openssl rand -hex 32"
)

func TestParseSecretErrors(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"empty", "", "not a secret: want 64 hexadecimal digits, got 0 characters"},
		{"white space", " \n", "not a secret: want 64 hexadecimal digits, got 0 characters"},
		{"prefix only", "0x", "not a secret: want 64 hexadecimal digits, got 0 characters"},
		{"short", digits[:62], "not a secret: want 64 hexadecimal digits, got 62 characters"},
		{"odd", digits[:63], "not a secret: want 64 hexadecimal digits, got 63 characters"},
		{"long", digits + "00", "not a secret: want 64 hexadecimal digits, got 66 characters"},
		{"two", digits + "\n" + digits, "not a secret: want 64 hexadecimal digits, got 129 characters"},
		{"prefix twice", "0x0x" + digits, "not a secret: want 64 hexadecimal digits, got 66 characters"},
		{"not hexadecimal", digits[:63] + "g", "not a secret: want 64 hexadecimal digits, got other characters"},
		{"inner space", digits[:31] + " " + digits[32:],
			"not a secret: want 64 hexadecimal digits, got other characters"},
		{"quotes", `"` + digits + "\"\n", "not a secret: it is in quotes: remove them"},
		{"single quotes", "'0x" + digits + "'", "not a secret: it is in quotes: remove them"},
		{"printer's quotes", "“" + digits + "”", "not a secret: it is in quotes: remove them"},
		{"byte order mark", "\ufeff" + digits + "\r\n", "not a secret: " + marked},
		{"UTF-16", "\xff\xfe0\x000\x00", "not a secret: " + marked},
		{"zeros", "0x" + strings.Repeat("0", 64), notMade},
		{"one digit", strings.Repeat("aA", 32), notMade},
	} {
		s, err := ParseSecret(test.text)
		if err == nil || err.Error() != test.want {
			t.Errorf("%s: got error %v, want %s", test.name, err, test.want)
		}
		if !s.IsZero() {
			t.Errorf("%s: got a secret beside the error", test.name)
		}
	}
}

func TestReadSecret(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good"), filepath.Join(dir, "bad")
	for path, content := range map[string]string{good: "0x" + digits + "\n", bad: digits[:60]} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if s, err := ReadSecret(good, os.ReadFile); err != nil || s != mustSecret(t, digits) {
		t.Errorf("good file: equal %t, error %v", s == mustSecret(t, digits), err)
	}
	_, err := ReadSecret(bad, os.ReadFile)
	want := bad + ": not a secret: want 64 hexadecimal digits, got 60 characters"
	if err == nil || err.Error() != want {
		t.Errorf("bad file: got error %v, want %s", err, want)
	}
	missing := filepath.Join(dir, "missing")
	_, err = ReadSecret(missing, os.ReadFile)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), missing) {
		t.Errorf("missing file: got error %v, want fs.ErrNotExist with the path", err)
	}
}

func TestHiddenNeverPrints(t *testing.T) {
	secret := mustSecret(t, digits)
	admin, err := ParseAdminToken(digits)
	if err != nil {
		t.Fatal(err)
	}
	type inner struct {
		Secret Secret
		Admin  AdminToken
	}
	// fmt reaches unexported fields by reflection and calls no methods there.
	values := []any{
		secret, &secret, admin, &admin, inner{secret, admin}, &inner{secret, admin}, []Secret{secret},
		struct {
			s Secret
			a AdminToken
		}{secret, admin},
		NewMinter(secret), []AdminToken{admin}, map[Secret]AdminToken{secret: admin},
	}
	check := func(how, printed string) {
		t.Helper()
		// As hexadecimal digits, as characters (44 55 66 77), and as byte slices print.
		for _, leak := range []string{digits[8:16], strings.ToUpper(digits[16:32]), "DUfw", "17 34 51", "0x11, 0x22"} {
			if strings.Contains(printed, leak) {
				t.Errorf("%s printed the secret", how)
			}
		}
	}
	for _, value := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p", "%o"} {
			check(fmt.Sprintf("%s of %T", verb, value), fmt.Sprintf(verb, value))
		}
		var log strings.Builder
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", value)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", value)
		check(fmt.Sprintf("slog of %T", value), log.String())
		if data, err := json.Marshal(value); err == nil {
			check(fmt.Sprintf("JSON of %T", value), string(data))
		}
	}
	for _, verb := range []string{"%v", "%s", "%#v", "%x"} {
		if got := fmt.Sprintf(verb, secret); got != "[secret]" {
			t.Errorf("%s printed %s, want [secret]", verb, got)
		}
	}
	if got := secret.String() + secret.GoString() + secret.LogValue().String(); got != strings.Repeat("[secret]", 3) {
		t.Errorf("got %s, want [secret] three times", got)
	}
	if data, err := json.Marshal(inner{secret, admin}); err != nil ||
		string(data) != `{"Secret":"[secret]","Admin":"[secret]"}` {
		t.Errorf("JSON is %s, error %v", data, err)
	}
}

func FuzzSecret(f *testing.F) {
	for _, text := range []string{
		"", "0x", digits, " 0x" + digits + "\n", digits[:63], digits + "0", digits[:63] + "g",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSecret(text)
		if (err == nil) == s.IsZero() {
			t.Fatalf("got zero %t with error %v", s.IsZero(), err)
		}
		if err != nil {
			trimmed := strings.TrimSpace(text)
			if len(trimmed) > 20 && strings.Contains(err.Error(), trimmed) {
				t.Fatal("the error contains the text")
			}
			return
		}
		hex := trimHexPrefix(strings.TrimSpace(text))
		for _, same := range []string{hex, "0x" + strings.ToUpper(hex), strings.ToLower(hex)} {
			if got, err := ParseSecret(same); err != nil || got != s {
				t.Fatalf("another spelling: equal %t, error %v", got == s, err)
			}
		}
	})
}
