package claim

import (
	"context"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/blockhash"
	"executionbackup/internal/engine"
)

func newClaim(block byte, params string) *Claim {
	return &Claim{Call: &engine.Call{Block: common.Hash{block}, Params: []byte(params)}}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// A claim is told what other claims there are to its block, and whoever waits for checks of a block is let go on when
// they are over.
func TestClaims(t *testing.T) {
	var claims Claims
	first, again, forged, elsewhere := newClaim(1, "a"), newClaim(1, "a"), newClaim(1, "b"), newClaim(2, "b")
	for _, c := range []struct {
		claim         *Claim
		same, another bool
	}{
		{first, false, false}, {again, true, false}, {forged, false, true}, {elsewhere, false, false},
	} {
		if same, another := claims.Enter(c.claim); same != c.same || another != c.another {
			t.Errorf("%s: the same %t, another %t", c.claim.Call.Params, same, another)
		}
	}
	if got := claims.Checking(common.Hash{1}, nil); len(got) != 0 {
		t.Errorf("%d are checked, and none has begun", len(got))
	}
	claims.BeginCheck(first)
	claims.BeginCheck(forged)
	if got := claims.Checking(common.Hash{1}, first); len(got) != 1 {
		t.Errorf("%d others are checked", len(got))
	}
	waited := claims.Checking(common.Hash{1}, nil)
	if len(waited) != 2 || isClosed(waited[0]) || isClosed(waited[1]) {
		t.Fatalf("%d are checked", len(waited))
	}
	claims.Leave(first)
	claims.Leave(first) // once more is nothing
	claims.Leave(elsewhere)
	if !isClosed(waited[0]) || isClosed(waited[1]) {
		t.Error("the first is over, the other isn't")
	}
	if same, another := claims.Enter(newClaim(1, "b")); !same || !another {
		t.Errorf("of those that are left: the same %t, another %t", same, another)
	}
}

// A check that nobody needs any more ends, though others have all the places.
func TestCheckIsGivenUp(t *testing.T) {
	checks := NewChecks()
	for range cap(checks) {
		checks <- struct{}{}
	}
	call := &engine.Call{Method: engine.ParseMethod("engine_newPayloadV1"), Params: []byte(`[{}]`)}
	check, run := checks.Begin(context.Background(), call)
	check.Cancel()
	run()
	if !isClosed(check.Done) || check.Result.Outcome == blockhash.Match {
		t.Errorf("it came to %+v", check.Result)
	}
	<-checks
	check, run = checks.Begin(context.Background(), call)
	if run(); !isClosed(check.Done) || check.Result.Reason == "" || len(checks) != cap(checks)-1 {
		t.Errorf("it came to %+v, and %d places are taken", check.Result, len(checks))
	}
}
