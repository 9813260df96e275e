package enginetest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// clv is the claim that marks a CL's token, so that a node can tell when one is passed on to it.
const clv = "enginetest-cl"

var base64url = base64.RawURLEncoding

// Token mints a token as a CL does: HS256, issued at iat.
func Token(secret []byte, iat time.Time) string {
	return mint(secret, "HS256", fmt.Sprintf(`{"iat":%d,"clv":%q}`, iat.Unix(), clv))
}

func mint(secret []byte, alg, claims string) string {
	signed := base64url.EncodeToString(fmt.Appendf(nil, `{"alg":%q,"typ":"JWT"}`, alg)) + "." +
		base64url.EncodeToString([]byte(claims))
	return signed + "." + base64url.EncodeToString(mac(secret, signed))
}

func mac(secret []byte, signed string) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(signed))
	return h.Sum(nil)
}

// authorize verifies the token of a request, and notes what is wrong with it. A CL's token is noted even if it is good:
// whoever stands between a CL and a node has to mint its own.
func (n *Node) authorize(header http.Header) error {
	c, err := verify(n.Secret, header.Get("Authorization"), time.Now())
	n.mu.Lock()
	defer n.mu.Unlock()
	if err != nil {
		n.violations = append(n.violations, err.Error())
	}
	if c.CLV == clv {
		n.violations = append(n.violations, "a CL's token")
	}
	return err
}

type claims struct {
	IAT int64  `json:"iat"`
	CLV string `json:"clv"`
}

// verify checks an Authorization header as the specification asks. The claims are returned also for a wrong secret.
func verify(secret []byte, authorization string, now time.Time) (c claims, err error) {
	token, ok := strings.CutPrefix(authorization, "Bearer ")
	if !ok {
		return c, errors.New("no token")
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c, errors.New("malformed token")
	}
	var header struct {
		Alg string `json:"alg"`
	}
	if decode(parts[0], &header) != nil || decode(parts[1], &c) != nil {
		return c, errors.New("malformed token")
	}
	if header.Alg != "HS256" {
		return c, fmt.Errorf("token with algorithm %q", header.Alg)
	}
	signature, err := base64url.DecodeString(parts[2])
	if err != nil || !hmac.Equal(signature, mac(secret, parts[0]+"."+parts[1])) {
		return c, errors.New("token not minted with this node's secret")
	}
	if age := now.Sub(time.Unix(c.IAT, 0)); age.Abs() > time.Minute {
		return c, fmt.Errorf("token issued %v ago", age.Round(time.Second))
	}
	return c, nil
}

func decode(part string, v any) error {
	raw, err := base64url.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, v)
}
