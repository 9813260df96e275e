package webhook

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"executionbackup/internal/auth"
	"executionbackup/internal/engine"
)

const (
	// maxRead is how many bytes are read of an answer that says no.
	maxRead = 4 << 10
	// maxHead bounds an answer's head, in bytes: what is no HTTP may be repeated by an error.
	maxHead = 16 << 10
)

// pauses are those between the tries of one message.
var pauses = []time.Duration{2 * time.Second, 8 * time.Second}

// sender POSTs messages. A connection is not kept: there are hours between two messages. Redirects are not followed:
// they would carry to somebody else what is meant for one.
type sender struct {
	client  *http.Client
	agent   string
	timeout time.Duration // for one try
}

func newSender(version string) *sender {
	return &sender{agent: "executionbackup/" + version, timeout: 10 * time.Second, client: &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, MaxResponseHeaderBytes: maxHead,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Send sends a message: once, and again after each pause as long as that may help. An error says why the last try
// failed, without what of the URL is a secret.
func (s *sender) Send(ctx context.Context, to auth.URL, m *Message, pauses ...time.Duration) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	for {
		mayHelp, err := s.try(ctx, to, body)
		if err == nil || !mayHelp || len(pauses) == 0 {
			return err
		}
		select {
		case <-time.After(pauses[0]):
			pauses = pauses[1:]
		case <-ctx.Done():
			return err
		}
	}
}

// try sends a message once. As with Alertmanager another try may help where there was no answer, and after 429 and 5xx.
func (s *sender) try(ctx context.Context, to auth.URL, body []byte) (mayHelp bool, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.timeout, fmt.Errorf("no answer within %v", s.timeout))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.Reveal(), bytes.NewReader(body))
	if err != nil {
		return false, errors.New("the URL is no good")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", s.agent)
	resp, err := s.client.Do(req)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return true, cause
		}
		if e, ok := errors.AsType[*url.Error](err); ok { // it has the URL
			err = e.Err
		}
		return true, errors.New(engine.Excerpt(hide(to, visible(err.Error()))))
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 == 2 {
		return false, nil
	}
	mayHelp = resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500
	said, _ := io.ReadAll(io.LimitReader(resp.Body, maxRead)) // what comes within the time
	words := visible(string(said))
	if len(said) == maxRead { // half of a secret could not be hidden
		words = words[:max(0, strings.LastIndexByte(words, ' '))]
	}
	text := fmt.Sprintf("HTTP %d", resp.StatusCode)
	if resp.StatusCode/100 == 3 {
		text += " (redirects are not followed)"
	}
	if words = hide(to, words); words != "" {
		text += ": " + engine.Excerpt(words)
	}
	return mayHelp, errors.New(text)
}

// visible is a text in one line, without what a terminal would take for commands.
func visible(text string) string {
	return strings.Join(strings.Fields(engine.Printable(strings.ToValidUTF8(text, ""))), " ")
}

// shortest is the length from which on a part of a URL is hidden, in characters.
const shortest = 4

var (
	parts = regexp.MustCompile(`[0-9A-Za-z_-]{4,}`)
	runs  = regexp.MustCompile(`[0-9A-Za-z]{4,}`)
)

// hide returns a text without any part of the URL that may be a secret: what stands beside scheme and host, as it is
// and unescaped, as a whole and in its parts, because whoever repeats a URL may write it in another way.
func hide(to auth.URL, text string) string {
	u, err := url.Parse(to.Reveal())
	if err != nil {
		return "the URL is no good"
	}
	var secrets []string
	password, _ := u.User.Password()
	query, _ := url.QueryUnescape(u.RawQuery)
	for _, s := range []string{
		u.EscapedPath(), u.Path, u.RawQuery, query, u.Fragment, u.User.String(), u.User.Username(), password,
		base64.StdEncoding.EncodeToString([]byte(u.User.Username() + ":" + password)), // in the Authorization header
	} {
		if len(strings.Trim(s, "/")) >= shortest {
			secrets = append(secrets, strings.Trim(s, "/"))
		}
		secrets = slices.Concat(secrets, parts.FindAllString(s, -1), runs.FindAllString(s, -1))
	}
	slices.SortFunc(secrets, func(a, b string) int { return cmp.Compare(len(b), len(a)) }) // the longest first
	for _, s := range secrets {
		text = regexp.MustCompile("(?i)"+regexp.QuoteMeta(s)).ReplaceAllString(text, "…")
	}
	return auth.Redact(text) // the host may be one
}
