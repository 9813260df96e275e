package auth

import (
	"errors"
	"net/http"
	"strings"
	"time"
)

// Why a request has no token to verify.
var (
	errNoToken    = errors.New("the Authorization header is missing")
	errManyTokens = errors.New("there is more than one Authorization header")
	errNotBearer  = errors.New("the Authorization header is not a bearer token")
)

// Handler lets only those requests through to next that bring a token of the secret, and answers 401 to the others.
// The secret is asked for at each request, because a reload may change it. refused, if not nil, is told which, and why.
//
// next doesn't see the token: it is the consensus client's and must not leave us.
func Handler(
	secret func() Secret, now func() time.Time, refused func(r *http.Request, reason error), next http.Handler,
) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := BearerToken(r)
		if err == nil {
			err = secret().Verify(token, now())
		}
		if err != nil {
			if refused != nil {
				refused(r, err)
			}
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		r.Header.Del("Authorization")
		next.ServeHTTP(w, r)
	})
}

// BearerToken returns the token of a request's one Authorization header. An error doesn't have the header's value.
func BearerToken(r *http.Request) (string, error) {
	values := r.Header.Values("Authorization")
	switch len(values) {
	case 0:
		return "", errNoToken
	case 1:
	default:
		return "", errManyTokens
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", errNotBearer
	}
	return strings.TrimLeft(token, " "), nil
}
