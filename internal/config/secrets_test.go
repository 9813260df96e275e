package config

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// digits are a secret in which no eight digits look like anything else.
const digits = "8f3c51d0a97be2464cb1f70e95d2683a1e74c90bd8a5f3627bc0e419d6825f3a"

// malformed are ways in which people write a secret, rightly and wrongly.
var malformed = map[string]string{
	"as it is":        digits,
	"0x":              "0x" + digits,
	"quotes":          `"` + digits + `"`,
	"single quotes":   "'0x" + digits + "'",
	"printer's":       "“" + digits + "”",
	"upper case":      strings.ToUpper(digits),
	"wrong digit":     digits[:20] + "g" + digits[21:],
	"wrong last":      digits[:63] + "o",
	"too short":       digits[:61],
	"half":            digits[:33],
	"too long":        digits + "00",
	"byte order mark": "\ufeff" + digits,
	"line end":        digits + "\r\n",
	"blank":           " " + digits + " ",
	"two":             digits + digits,
	"colons":          strings.Join(pairsOf(digits), ":"),
	"as a path":       "/" + digits,
	"as a file":       "./" + digits + ".hex",
	"in a directory":  "/run/secrets/" + digits,
	"as a URL":        "file:///" + digits,
	"with its name":   "jwt-secret=" + digits,
	"with a variable": "JWT_SECRET:" + digits,
}

func pairsOf(text string) (pairs []string) {
	for ; text != ""; text = text[2:] {
		pairs = append(pairs, text[:2])
	}
	return pairs
}

// leaks returns what of the secret is in a text.
func leaks(text string) string {
	text = strings.ToLower(text)
	colons := strings.Join(pairsOf(digits), ":")
	for _, secret := range []string{digits, colons} {
		for i := range len(secret) - 8 {
			if strings.Contains(text, secret[i:i+8]) {
				return secret[i : i+8]
			}
		}
	}
	return ""
}

// Wherever a secret is written instead of what belongs there, no error has anything of it.
func TestNoSecretInErrors(t *testing.T) {
	const node = "http://a:1#jwt-secret=a.hex"
	load := func(in Inputs) error {
		if in.ReadFile == nil {
			in.ReadFile = disk.ReadFile
		}
		_, err := Load(in)
		return err
	}
	inFile := func(content string) error {
		in := Inputs{Flags: map[string][]string{"config": {"f.yaml"}}}
		read := files{"f.yaml": content, "a.hex": hexA}
		in.ReadFile = read.ReadFile
		return load(in)
	}
	ways := map[string]func(text string) error{
		"unknown flag":     func(text string) error { return load(Inputs{Flags: map[string][]string{text: {"1"}}}) },
		"unknown variable": func(text string) error { return load(Inputs{Environ: []string{EnvPrefix + text + "=1"}}) },
		"unknown key":      func(text string) error { return inFile(fmt.Sprintf("%q: 1", text)) },
		"key of a node": func(text string) error {
			return inFile(fmt.Sprintf("nodes: [{url: 'http://a:1', %q: 1}]", text))
		},
		"anchor": func(text string) error { return inFile("jwt_secret: *" + text) },
		"tag":    func(text string) error { return inFile("jwt_secret: !<" + text + "> {}") },
		"a line": func(text string) error { return inFile(text) },
		"content": func(text string) error {
			in := Inputs{Flags: map[string][]string{"jwt-secret": {"x.hex"}, "nodes": {node}}}
			in.ReadFile = files{"x.hex": text, "a.hex": hexA}.ReadFile
			return load(in)
		},
	}
	for _, s := range Settings() {
		ways["flag "+s.Key] = func(text string) error {
			return load(Inputs{Flags: map[string][]string{"nodes": {node}, s.Key: {text}}})
		}
		if !strings.HasSuffix(s.Key, "-file") && s.Key != "jwt-secret" && s.Key != "nodes" && s.Key != "port" {
			continue // the other ways are the same
		}
		ways["variable "+s.Key] = func(text string) error {
			return load(Inputs{Flags: map[string][]string{"nodes": {node}}, Environ: []string{s.Env() + "=" + text}})
		}
		ways["key "+s.Key] = func(text string) error {
			return inFile(fmt.Sprintf("nodes: [%q]\n%s: %q", node, s.YAML(), text))
		}
	}
	for _, spec := range []string{
		"http://a:1#jwt-secret=%s", "http://a:1#jwt-secret %s", "http://a:1#%s", "http://a:1#%s=1",
		"http://a:1#timeout=%s", "%s", "%s#jwt-secret=a.hex", "http://%s", "http://%s@a:1", "http://a:1#do-not-use=%s",
	} {
		parse := func(text string) error {
			_, err := ParseNode(fmt.Sprintf(spec, text), NodeDefaults{})
			return err
		}
		ways["node "+spec] = parse
		ways["flag of a node "+spec] = func(text string) error {
			return load(Inputs{Flags: map[string][]string{"nodes": {fmt.Sprintf(spec, text)}}})
		}
	}
	ways["jwt_secret of a node"] = func(text string) error {
		return inFile(fmt.Sprintf("nodes: [{url: 'http://a:1', jwt_secret: %q}]", text))
	}
	for way, set := range ways {
		for form, text := range malformed {
			if err := set(text); err != nil && leaks(err.Error()) != "" {
				t.Errorf("%s, %s: %v", way, form, err)
			}
		}
	}
	for _, key := range []string{"jwt-secret", "admin-token-file"} {
		for form, text := range malformed {
			if ways["flag "+key](text) == nil {
				t.Errorf("%s took a secret for a path: %s", key, form)
			}
		}
	}
}

// A token or password isn't hexadecimal, and stays out of errors where it is written instead of its file's path.
func TestNoTokenInErrors(t *testing.T) {
	for _, token := range []string{
		"correct-horse-battery", `"correct-horse-battery"`, "kD8/xy+hQ0mZ1Yb7s5Vw3A==", "/D8/yhQ0mZ1Yb7s5Vw3A=",
		"Tr0ub4dor&3",
	} {
		for _, key := range []string{"jwt-secret", "admin-token-file"} {
			_, err := Load(Inputs{Flags: map[string][]string{"nodes": {"http://a:1"}, key: {token}}})
			if err == nil || strings.Contains(err.Error(), strings.Trim(token, `"`)) {
				t.Errorf("%s: %v", key, err)
			}
		}
	}
}

func FuzzNoSecretInErrors(f *testing.F) {
	f.Add("", "", uint(0), "")
	f.Add(`"`, `"`, uint(20), "g")
	f.Add("./", ".hex", uint(64), "/")
	f.Fuzz(func(t *testing.T, before, after string, at uint, inside string) {
		if len(before)+len(after) > 12 || utf8.RuneCountInString(inside) > 1 {
			t.Skip("more than a slip")
		}
		i := int(at % 65)
		text := before + digits[:i] + inside + digits[i:] + after
		for _, key := range []string{"jwt-secret", "admin-token-file"} {
			_, err := Load(Inputs{Flags: map[string][]string{"nodes": {"http://a:1"}, key: {text}}})
			if err == nil || leaks(err.Error()) != "" {
				t.Errorf("%q: %v", text, err)
			}
		}
		node := "http://a:1#jwt-secret=" + text
		if _, err := ParseNode(node, NodeDefaults{}); err == nil || leaks(err.Error()) != "" {
			t.Errorf("%q: %v", node, err)
		}
	})
}
