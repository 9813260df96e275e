package proxy

import (
	"strings"
	"testing"
	"time"
)

// The Engine API's timeout is not for logs: CLs wait for those. A node that hangs with them is given up all the same.
func TestReadTimeout(t *testing.T) {
	const call = `{"jsonrpc":"2.0","id":1,"method":"eth_getLogs"}`
	for _, test := range []struct {
		n1   time.Duration
		want time.Duration
	}{
		{9 * time.Second, 9 * time.Second},
		{29 * time.Second, 29 * time.Second},
		{forever, 39 * time.Second}, // the other one, after 30 s
	} {
		for _, body := range []string{call, "[" + call + "]"} {
			taking := func(d time.Duration, syncing string) *fake {
				answers := map[string]string{"eth_getLogs": `"logs"`, "eth_syncing": syncing}
				return &fake{
					answer: func(method string) (string, bool) { return answers[method], answers[method] != "" },
					delay: func(method string, _ int) time.Duration {
						if method == "eth_getLogs" {
							return d
						}
						return 0
					},
				}
			}
			n1, n2 := taking(test.n1, `false`), taking(9*time.Second, `{}`) // so n1 is the primary
			inBubble(t, []*fake{n1, n2}, func(t *testing.T, b *bubble) {
				s := *b.settings.Load()
				s.ReadTimeout = 30 * time.Second
				b.Reload(s)
				begun := time.Now()
				answer := string(b.answerBody(t.Context(), []byte(body)))
				if took := time.Since(begun); took != test.want || !strings.Contains(answer, `"result":"logs"`) {
					t.Errorf("%s, n1 takes %v: got %s after %v, want %v", body, test.n1, answer, took, test.want)
				}
			})
		}
	}
}

// A transaction that a node hangs with holds up a drain no longer than anything else.
func TestDrainWithATransaction(t *testing.T) {
	const method = "eth_sendRawTransaction"
	sent := func(string) (string, bool) { return `"0xhash"`, true }
	hangs := func(m string, _ int) time.Duration {
		if m == method {
			return forever
		}
		return 0
	}
	inBubble(t, []*fake{{answer: sent}, {answer: sent, delay: hangs}}, func(t *testing.T, b *bubble) {
		s := *b.settings.Load()
		s.ReadTimeout = 30 * time.Second
		b.Reload(s)
		call := []byte(`{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":["0x02"]}`)
		if got := string(b.answerBody(t.Context(), call)); !strings.Contains(got, "0xhash") {
			t.Fatalf("got %s", got)
		}
		begun := time.Now()
		ctx, cancel := withTimeout(12 * time.Second)
		defer cancel()
		b.Drain(ctx)
		if took := time.Since(begun); took > 12*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}
