package app_test

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
)

var base64url = base64.RawURLEncoding.EncodeToString

// token makes a token by hand.
func token(header, claims string, sign func(signed string) []byte) string {
	signed := base64url([]byte(header)) + "." + base64url([]byte(claims))
	return signed + "." + base64url(sign(signed))
}

func hs256(secret []byte) func(string) []byte {
	return func(signed string) []byte {
		h := hmac.New(sha256.New, secret)
		h.Write([]byte(signed))
		return h.Sum(nil)
	}
}

// Every call needs a fresh token of the CL's secret. What is refused reaches no node.
func TestTokens(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	m := start(t, apptest.Fakes(nodes...), nil)
	ours := hs256(m.Secret)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rs256 := func(signed string) []byte {
		digest := sha256.Sum256([]byte(signed))
		signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
	const header = `{"alg":"HS256","typ":"JWT"}`
	iat := func(seconds int) string { return fmt.Sprintf(`{"iat":%d}`, time.Now().Unix()+int64(seconds)) }
	good := token(header, iat(0), ours)
	for _, test := range []struct {
		name, authorization string
		ok                  bool
	}{
		{"good", "Bearer " + good, true},
		{"other claims", "Bearer " + token(header, iat(0)[:len(iat(0))-1]+`,"id":"x","clv":"y","exp":1}`, ours), true},
		{"another case", "bearer " + good, true},

		{"no token", "", false},
		{"an empty token", "Bearer ", false},
		{"no scheme", good, false},
		{"another scheme", "Basic " + good, false},
		{"garbage", "Bearer garbage", false},
		{"more garbage", "Bearer a.b.c", false},
		{"no iat", "Bearer " + token(header, `{"exp":99999999999}`, ours), false},
		{"iat as text", "Bearer " + token(header, fmt.Sprintf(`{"iat":"%d"}`, time.Now().Unix()), ours), false},
		{"wrong secret", "Bearer " + token(header, iat(0), hs256(make([]byte, 32))), false},
		{"a node's secret", "Bearer " + token(header, iat(0), hs256(nodes[0].Secret)), false},
		{"alg none", "Bearer " + token(`{"alg":"none"}`, iat(0), func(string) []byte { return nil }), false},
		{"alg none, signed", "Bearer " + token(`{"alg":"none"}`, iat(0), ours), false},
		{"RS256", "Bearer " + token(`{"alg":"RS256","typ":"JWT"}`, iat(0), rs256), false},
		{"RS256, signed with our secret", "Bearer " + token(`{"alg":"RS256","typ":"JWT"}`, iat(0), ours), false},
		{"HS512", "Bearer " + token(`{"alg":"HS512","typ":"JWT"}`, iat(0), ours), false},
		{"no signature", "Bearer " + good[:strings.LastIndexByte(good, '.')+1], false},
		{"half a signature", "Bearer " + good[:len(good)-20], false},
		{"other claims than those signed",
			"Bearer " + strings.Replace(good, ".", "."+base64url([]byte(`{}`)), 1), false},
	} {
		for _, body := range []string{
			`{"jsonrpc":"2.0","id":1,"method":"eth_test"}`,
			`[{"jsonrpc":"2.0","id":1,"method":"eth_test"}]`, ``, `garbage`,
		} {
			before := called(nodes)
			got := m.REST(t, "POST", "/", body, "Authorization", test.authorization)
			if want := map[bool]int{true: 200, false: 401}[test.ok]; got.Status != want {
				t.Errorf("%s: got %+v, want HTTP %d", test.name, got, want)
			}
			if !test.ok && (called(nodes) != before || strings.Contains(got.Body, "jsonrpc") ||
				got.Header.Get("WWW-Authenticate") == "") {
				t.Errorf("%s: it reached a node, or got an odd answer: %+v", test.name, got)
			}
		}
	}
	// The clock may tick a few times on the way.
	for seconds, ok := range map[int]bool{-3600: false, -61: false, -50: true, 60: true, 70: false, 3600: false} {
		authorization := "Bearer " + token(header, iat(seconds), ours)
		got := m.REST(t, "POST", "/", `{"jsonrpc":"2.0","id":1,"method":"eth_test"}`, "Authorization", authorization)
		if (got.Status == 200) != ok {
			t.Errorf("issued %d s from now: got %+v", seconds, got)
		}
	}
	for _, two := range [][]string{{"Bearer " + good, "Bearer " + good}, {"Bearer " + good, ""}} {
		req, err := http.NewRequestWithContext(t.Context(), "POST", m.URL,
			strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"eth_test"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header["Authorization"] = two
		resp, err := m.HTTP.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("two tokens: got HTTP %d", resp.StatusCode)
		}
	}
	for _, path := range []string{"/metrics", "/recheck", "/nodes", "/blocks", "/healthz", "/readyz"} {
		if got := m.REST(t, "GET", path, ""); got.Status != http.StatusOK {
			t.Errorf("GET %s without a token: %+v", path, got)
		}
	}
	for _, line := range m.Log.Lines("") {
		if strings.Contains(line, clSecret) || strings.Contains(line, "Bearer ey") || strings.Contains(line, good) {
			t.Errorf("a secret is logged: %s", line)
		}
	}
}

func called(nodes []*enginetest.Node) (calls int) {
	for _, n := range nodes {
		calls += len(n.CallsOf("eth_test"))
	}
	return calls
}

// Every node has a secret of its own here, in all tests, and sees good tokens only: the harness looks. A node that is
// configured with a wrong one is dead, and says why.
func TestWrongNodeSecret(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	configured := apptest.Fakes(nodes...)
	configured[1].Secret = nodes[0].Secret
	configured[1].Fake = nil
	m := start(t, configured, nil)
	if got := m.Node(t, "n2"); got.State != "dead" || !strings.Contains(got.Reason, "HTTP 401") {
		t.Errorf("got %+v", got)
	}
	m.hears(t, "VALID", "engine_newPayload", enginetest.Chain(4, 1, nil)[0])
	for _, violation := range nodes[1].Violations() {
		if violation != "token not minted with this node's secret" {
			t.Errorf("n2 saw %s", violation)
		}
	}
	if calls := nodes[1].Calls(); len(calls) > 0 {
		t.Errorf("n2 let %d calls through", len(calls))
	}
}
