package auth

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestHandler(t *testing.T) {
	secret := mustSecret(t, digits)
	token := secret.Token(noon)
	for _, test := range []struct {
		name   string
		header []string
		want   string // the reason, or "" where the request passes
	}{
		{"good", []string{"Bearer " + token}, ""},
		{"lower case", []string{"bearer " + token}, ""},
		{"upper case", []string{"BEARER " + token}, ""},
		{"more spaces", []string{"Bearer   " + token}, ""},
		{"missing", nil, "the Authorization header is missing"},
		{"two headers", []string{"Bearer " + token, "Bearer " + token}, "there is more than one Authorization header"},
		{"empty", []string{""}, "the Authorization header is not a bearer token"},
		{"scheme only", []string{"Bearer"}, "the Authorization header is not a bearer token"},
		{"no scheme", []string{token}, "the Authorization header is not a bearer token"},
		{"basic", []string{"Basic dXNlcjpwYXNz"}, "the Authorization header is not a bearer token"},
		{"tab", []string{"Bearer\t" + token}, "the Authorization header is not a bearer token"},
		{"no token", []string{"Bearer "}, "token is not a JSON Web Token"},
		{"two tokens", []string{"Bearer " + token + ", Bearer " + token}, "token is signed with another secret"},
		{"wrong secret", []string{"Bearer " + mustSecret(t, otherDigits).Token(noon)},
			"token is signed with another secret"},
		{"old", []string{"Bearer " + secret.Token(noon.Add(-61*time.Second))},
			"token's iat is -61 s from our clock, more than 60: check both clocks"},
	} {
		t.Run(test.name, func(t *testing.T) {
			passed, reason := false, ""
			next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				passed = true
				if len(r.Header.Values("Authorization")) != 0 {
					t.Error("the next handler sees the token")
				}
				if body, _ := io.ReadAll(r.Body); string(body) != "{}" {
					t.Errorf("the next handler reads %q", body)
				}
			})
			handler := Handler(func() Secret { return secret }, func() time.Time { return noon },
				func(_ *http.Request, err error) { reason = err.Error() }, next)
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{}"))
			r.Header["Authorization"] = test.header
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)

			if reason != test.want {
				t.Errorf("got reason %q, want %q", reason, test.want)
			}
			if passed != (test.want == "") {
				t.Errorf("passed %t", passed)
			}
			if passed {
				return
			}
			if w.Code != http.StatusUnauthorized || w.Body.String() != test.want+"\n" {
				t.Errorf("got %d with body %q, want 401 with the reason", w.Code, w.Body)
			}
			if got := w.Header().Get("Content-Type"); got != "text/plain; charset=utf-8" {
				t.Errorf("got content type %q", got)
			}
			if got := w.Header().Get("WWW-Authenticate"); got != "Bearer" {
				t.Errorf("got WWW-Authenticate %q", got)
			}
		})
	}
}

func TestHandlerFollowsTheSecret(t *testing.T) {
	old, changed := mustSecret(t, digits), mustSecret(t, otherDigits)
	current := old
	handler := Handler(func() Secret { return current }, func() time.Time { return noon }, nil,
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	code := func(s Secret) int {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header.Set("Authorization", "Bearer "+s.Token(noon))
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code
	}
	if got := [2]int{code(old), code(changed)}; got != [2]int{200, 401} {
		t.Errorf("before: got %v, want [200 401]", got)
	}
	current = changed
	if got := [2]int{code(old), code(changed)}; got != [2]int{401, 200} {
		t.Errorf("after: got %v, want [401 200]", got)
	}
	current = Secret{}
	if got := [2]int{code(old), code(changed)}; got != [2]int{401, 401} {
		t.Errorf("without a secret: got %v, want [401 401]", got)
	}
}
