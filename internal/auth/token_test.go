package auth

import (
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// noon is a time with a fraction of a second, as real ones have.
var noon = time.Date(2026, 6, 1, 12, 0, 0, 987654321, time.UTC)

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// forge signs any header and claims by HS256.
func forge(s Secret, header, claims string) string {
	signed := encode(header) + "." + encode(claims)
	return signed + "." + s.sign(signed)
}

func TestTokenVerifies(t *testing.T) {
	s := mustSecret(t, digits)
	if err := s.Verify(s.Token(noon), noon); err != nil {
		t.Error(err)
	}
	claims := strings.Split(s.Token(noon), ".")[1]
	if got, _ := base64.RawURLEncoding.DecodeString(claims); string(got) != `{"iat":1780315200}` {
		t.Errorf("claims are %s", got)
	}
}

func TestVerify(t *testing.T) {
	s := mustSecret(t, digits)
	const hs256 = `{"typ":"JWT","alg":"HS256"}`
	iat := func(offset int64) string { return fmt.Sprintf(`{"iat":%d}`, noon.Unix()+offset) }
	good := forge(s, hs256, iat(0))
	parts := strings.Split(good, ".")
	now := fmt.Sprint(noon.Unix())

	for _, test := range []struct{ name, token, want string }{
		{"now", good, ""},
		{"59 s old", forge(s, hs256, iat(-59)), ""},
		{"60 s old", forge(s, hs256, iat(-60)), ""},
		{"61 s old", forge(s, hs256, iat(-61)), "token's iat is -61 s from our clock, more than 60: check both clocks"},
		{"59 s ahead", forge(s, hs256, iat(59)), ""},
		{"60 s ahead", forge(s, hs256, iat(60)), ""},
		{"61 s ahead", forge(s, hs256, iat(61)),
			"token's iat is +61 s from our clock, more than 60: check both clocks"},
		{"two hours ahead", forge(s, hs256, iat(7200)),
			"token's iat is +7200 s from our clock, more than 60: check both clocks"},
		{"fraction", forge(s, hs256, `{"iat":`+now+`.25}`), ""},
		{"exponent", forge(s, hs256, `{"iat":1.7803152e9}`), ""},
		{"huge iat", forge(s, hs256, `{"iat":1e308}`),
			"token's iat is +1e+308 s from our clock, more than 60: check both clocks"},

		{"other claims", forge(s, hs256, `{"id":"cl","clv":"x/1","iat":`+now+`,"n":[{"iat":1}]}`), ""},
		{"expired exp", forge(s, hs256, `{"exp":1,"nbf":9999999999,"iat":`+now+`}`), ""},
		{"other headers", forge(s, `{"alg":"HS256","kid":"1"}`, iat(0)), ""},

		{"wrong secret", forge(mustSecret(t, otherDigits), hs256, iat(0)), errSignature.Error()},
		{"no signature", parts[0] + "." + parts[1] + ".", errSignature.Error()},
		{"cut signature", good[:len(good)-1], errSignature.Error()},
		{"padded signature", good + "=", errSignature.Error()},
		{"four parts", good + "." + parts[2], errSignature.Error()},
		{"changed claims", parts[0] + "." + encode(iat(1)) + "." + parts[2], errSignature.Error()},
		// The claims of an unsigned token are not even looked at.
		{"wrong secret, bad claims", forge(mustSecret(t, otherDigits), hs256, "{"), errSignature.Error()},

		{"alg none", encode(`{"alg":"none"}`) + "." + parts[1] + ".", errAlgorithm.Error()},
		{"alg none, signed", forge(s, `{"alg":"none"}`, iat(0)), errAlgorithm.Error()},
		{"alg RS256", forge(s, `{"alg":"RS256"}`, iat(0)), errAlgorithm.Error()},
		{"alg HS512", forge(s, `{"alg":"HS512"}`, iat(0)), errAlgorithm.Error()},
		{"alg hs256", forge(s, `{"alg":"hs256"}`, iat(0)), errAlgorithm.Error()},
		{"alg a list", forge(s, `{"alg":["HS256"]}`, iat(0)), errAlgorithm.Error()},
		{"alg null", forge(s, `{"alg":null}`, iat(0)), errAlgorithm.Error()},
		{"no alg", forge(s, `{"typ":"JWT"}`, iat(0)), errAlgorithm.Error()},

		{"two alg", forge(s, `{"alg":"HS256","alg":"HS256"}`, iat(0)), errAmbiguous.Error()},
		{"alg and Alg", forge(s, `{"alg":"HS256","Alg":"none"}`, iat(0)), errAmbiguous.Error()},
		{"ALG only", forge(s, `{"ALG":"HS256"}`, iat(0)), errAmbiguous.Error()},
		{"escaped alg", forge(s, `{"alg":"HS256","\u0061lg":"none"}`, iat(0)), errAmbiguous.Error()},
		{"two iat", forge(s, hs256, `{"iat":`+now+`,"iat":`+now+`}`), errAmbiguous.Error()},
		{"null iat and iat", forge(s, hs256, `{"iat":null,"iat":`+now+`}`), errAmbiguous.Error()},
		{"iat and IAT", forge(s, hs256, `{"iat":`+now+`,"IAT":1}`), errAmbiguous.Error()},

		{"no iat", forge(s, hs256, `{}`), errIssuedAt.Error()},
		{"iat a string", forge(s, hs256, `{"iat":"`+now+`"}`), errIssuedAt.Error()},
		{"iat null", forge(s, hs256, `{"iat":null}`), errIssuedAt.Error()},
		{"iat a list", forge(s, hs256, `{"iat":[`+now+`]}`), errIssuedAt.Error()},
		{"iat a bool", forge(s, hs256, `{"iat":true}`), errIssuedAt.Error()},
		{"iat out of range", forge(s, hs256, `{"iat":1e999}`), errIssuedAt.Error()},

		{"claims a list", forge(s, hs256, `[]`), errMalformed.Error()},
		{"claims null", forge(s, hs256, `null`), errMalformed.Error()},
		{"claims cut", forge(s, hs256, `{"iat":`+now), errMalformed.Error()},
		{"claims and more", forge(s, hs256, iat(0)+`{}`), errMalformed.Error()},
		{"header empty", "." + parts[1] + "." + parts[2], errMalformed.Error()},
		{"header not base64", "!." + parts[1] + "." + parts[2], errMalformed.Error()},
		{"empty", "", errMalformed.Error()},
		{"garbage", "garbage", errMalformed.Error()},
		{"dots", "..", errMalformed.Error()},
		{"two parts", parts[0] + "." + parts[1], errMalformed.Error()},
		{"8 KiB", strings.Repeat("a", maxToken), errMalformed.Error()},
		{"more than 8 KiB", strings.Repeat("a", maxToken+1), errTooLong.Error()},
	} {
		got := ""
		if err := s.Verify(test.token, noon); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: got error %q, want %q", test.name, got, test.want)
		}
	}
}

func TestZeroSecret(t *testing.T) {
	var zero Secret
	if got := zero.Token(noon); got != "" {
		t.Errorf("the zero secret minted %q", got)
	}
	for _, token := range []string{
		"", "..", mustSecret(t, digits).Token(noon), mustSecret(t, otherDigits).Token(noon),
	} {
		if err := zero.Verify(token, noon); err != errNoSecret {
			t.Errorf("got error %v, want %v", err, errNoSecret)
		}
	}
}

// An independent library and we accept each other's tokens.
func TestInteroperability(t *testing.T) {
	s := mustSecret(t, digits)
	key := []byte(s.key.Value())
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithIssuedAt(),
		jwt.WithTimeFunc(func() time.Time { return noon }))
	parsed, err := parser.Parse(s.Token(noon), func(*jwt.Token) (any, error) { return key, nil })
	if err != nil {
		t.Fatal(err)
	}
	if issued, err := parsed.Claims.GetIssuedAt(); err != nil || issued.Unix() != noon.Unix() {
		t.Errorf("iat is %v, error %v", issued, err)
	}
	claims := jwt.MapClaims{"iat": noon.Unix(), "id": "lighthouse", "exp": noon.Unix() - 1}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(token, noon); err != nil {
		t.Error(err)
	}
}

func TestMinter(t *testing.T) {
	s := mustSecret(t, digits)
	m := NewMinter(s)
	start := noon.Truncate(time.Second)
	first := m.Bearer(start)
	if want := "Bearer " + s.Token(start); first != want {
		t.Errorf("got %s, want %s", first, want)
	}
	if got := m.Bearer(start.Add(time.Second - 1)); got != first {
		t.Error("minted twice in a second")
	}
	if allocs := testing.AllocsPerRun(10, func() { m.Bearer(start) }); allocs != 0 {
		t.Errorf("a token of this second costs %v allocations, want 0", allocs)
	}
	// Later, and where the clock was set back.
	for _, now := range []time.Time{start.Add(time.Second), start.Add(-time.Hour)} {
		if got, want := m.Bearer(now), "Bearer "+s.Token(now); got != want {
			t.Errorf("at %v: got %s, want %s", now, got, want)
		}
	}
}

func TestMinterConcurrently(t *testing.T) {
	s := mustSecret(t, digits)
	m := NewMinter(s)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			now := noon.Add(time.Duration(i%2) * time.Second)
			for range 100 {
				if got, want := m.Bearer(now), "Bearer "+s.Token(now); got != want {
					t.Errorf("got %s, want %s", got, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

// FuzzToken tries any token, and any header and claims with a right signature. What we accept, another library does.
func FuzzToken(f *testing.F) {
	now := fmt.Sprint(noon.Unix())
	for _, seed := range []struct{ header, claims string }{
		{`{"alg":"HS256"}`, `{"iat":` + now + `}`},
		{`{"typ":"JWT","alg":"HS256"}`, `{"iat":` + now + `,"id":"x","exp":1}`},
		{`{"alg":"none"}`, `{"iat":"1"}`},
		{`{"alg":"HS256","Alg":"none"}`, `{"iat":null,"iat":` + now + `}`},
		{`[]`, `{"iat":1e999}`},
		{``, `{"iat":{"iat":1}}`},
	} {
		f.Add(seed.header, seed.claims)
	}
	s := mustSecret(f, digits)
	key := []byte(s.key.Value())
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithoutClaimsValidation())
	f.Fuzz(func(t *testing.T, header, claims string) {
		if err := s.Verify(header, noon); err == nil {
			t.Fatal("accepted a token that nobody signed")
		}
		token := forge(s, header, claims)
		if err := mustSecret(t, otherDigits).Verify(token, noon); err == nil {
			t.Fatal("accepted a token of another secret")
		}
		err := s.Verify(token, noon)
		if err != nil {
			if strings.Contains(err.Error(), token) {
				t.Fatal("the error contains the token")
			}
			return
		}
		parsed, err := parser.Parse(token, func(*jwt.Token) (any, error) { return key, nil })
		if err != nil {
			t.Fatalf("we accept what another library refuses: %v", err)
		}
		issued, err := parsed.Claims.GetIssuedAt()
		if err != nil || issued == nil || issued.Sub(noon).Abs() > (maxSkew+1)*time.Second {
			t.Fatalf("another library reads iat as %v, error %v", issued, err)
		}
	})
}

// A node's token is minted once a second; a consensus client's is verified at every call.
func BenchmarkBearer(b *testing.B) {
	m := NewMinter(mustSecret(b, digits))
	b.ReportAllocs()
	for b.Loop() {
		m.Bearer(noon)
	}
}

func BenchmarkVerify(b *testing.B) {
	s := mustSecret(b, digits)
	token := s.Token(noon)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Verify(token, noon); err != nil {
			b.Fatal(err)
		}
	}
}
