//go:build e2e

package hostile

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
)

// pairRounds is how often the active instance is killed.
func pairRounds(t *testing.T) int {
	rounds, err := strconv.Atoi(os.Getenv("PAIR_ROUNDS"))
	if err != nil {
		return 100
	}
	return rounds
}

// kill -9 of the active instance of a pair between a payload id and getPayload, behind the HAProxy of our recipe: the
// other one has the payload within a second; the best one, where the id is a tenth of a second old and both share a
// Redis, and otherwise one that a node has built on the head. Nobody is alarmed.
func TestKillTheActiveOne(t *testing.T) {
	for _, c := range []struct {
		name   string
		redis  bool
		delay  func(round int) time.Duration
		best   bool
		rounds int // the share of them
	}{
		{"a tenth of a second after the id", true, func(int) time.Duration { return 100 * time.Millisecond }, true, 1},
		{"earlier", true, func(round int) time.Duration {
			return time.Duration(round%10) * 10 * time.Millisecond
		}, false, 5},
		{"without Redis", false, func(int) time.Duration { return 100 * time.Millisecond }, false, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := startPair(t, c.redis)
			var took []time.Duration
			best, alone := 0, enginetest.Chain(4, 1, nil)[0]
			for round := range max(1, pairRounds(t)/c.rounds) {
				p.await(t)
				block := alone.Child(func(b *enginetest.Payload) { b.Timestamp = uint64(time.Now().Unix()) })
				alone = block
				p.says(t, block, false)
				id := p.says(t, block, true)
				<-time.After(c.delay(round))
				p.instances[0].Kill()
				begun := time.Now()
				got := p.payload(t, id)
				took = append(took, time.Since(begun))
				if got.ExecutionPayload.ParentHash != block.Hash() {
					t.Fatalf("round %d: the payload is on %s", round, got.ExecutionPayload.ParentHash)
				}
				if got.BlockValue == "0x3" {
					best++
				} else if c.best {
					t.Errorf("round %d: the payload is worth %s", round, got.BlockValue)
				}
				if last := took[len(took)-1]; last > time.Second {
					t.Errorf("round %d: the payload came after %v", round, last)
				}
				p.start(t, 0)
			}
			slices.Sort(took)
			t.Logf("%d kills: %d of the payloads are the best one; half came within %v, the last after %v",
				len(took), best, took[len(took)/2], took[len(took)-1])
			for i, instance := range p.instances {
				if strings.Contains(instance.Log.String(), "both instances") {
					t.Errorf("instance %d is alarmed", i+1)
				}
			}
		})
	}
}

// pair is two instances behind a HAProxy.
type pair struct {
	nodes     []*enginetest.Node
	args      []string
	ports     [2]string
	instances [2]*apptest.Process
	cl        *enginetest.CL
	first     apptest.Client // the first instance, without the HAProxy
}

// built is what getPayload returns.
type built struct {
	BlockValue       string
	ExecutionPayload struct{ ParentHash string }
}

func startPair(t *testing.T, redis bool) *pair {
	t.Helper()
	p := new(pair)
	file := filepath.Join(t.TempDir(), "jwt.hex")
	if err := os.WriteFile(file, []byte(hex.EncodeToString(secret)), 0o600); err != nil {
		t.Fatal(err)
	}
	var specs []string
	for i, value := range []string{"0x1", "0x3", "0x2"} { // n1, whose id the CL has, hasn't the best
		n := enginetest.New(t, enginetest.Client{BlockValue: value})
		p.nodes = append(p.nodes, n)
		specs = append(specs, fmt.Sprintf("%s#name=n%d#jwt-secret=%s", n.URL, i+1, n.SecretFile))
	}
	p.args = []string{
		"--nodes", strings.Join(specs, ","), "--jwt-secret", file, "--evidence-dir", "", "--state-dir", "",
	}
	if redis {
		p.args = append(p.args, "--state-url", apptest.StartRedis(t).URL)
	}
	front := apptest.FreePort(t)
	for i := range p.ports {
		p.ports[i] = apptest.FreePort(t)
		p.start(t, i)
	}
	recipe, err := os.ReadFile("../../deploy/haproxy/haproxy.cfg")
	if err != nil {
		t.Fatal(err)
	}
	recipe = []byte(strings.NewReplacer("127.0.0.1:7000", "127.0.0.1:"+front, "127.0.0.1:7001", "127.0.0.1:"+p.ports[0],
		"127.0.0.1:7002", "127.0.0.1:"+p.ports[1]).Replace(string(recipe)))
	config := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(config, recipe, 0o600); err != nil {
		t.Fatal(err)
	}
	apptest.StartProcess(t, exec.Command("haproxy", "-db", "-f", config))
	p.cl = enginetest.NewCL(t, "http://127.0.0.1:"+front, secret)
	p.first = apptest.NewClient(t, "http://127.0.0.1:"+p.ports[0], secret)
	return p
}

// start starts an instance where it was.
func (p *pair) start(t *testing.T, i int) {
	t.Helper()
	args := append([]string{"--port", p.ports[i]}, p.args...)
	p.instances[i] = apptest.StartProcess(t, exec.Command(command, args...))
	p.instances[i].WaitReady(t, apptest.NewClient(t, "http://127.0.0.1:"+p.ports[i], secret))
}

// await returns when the HAProxy leads to the first instance.
func (p *pair) await(t *testing.T) {
	t.Helper()
	apptest.Until(t, "the first instance is active again", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		one, err := p.first.ReadMetric(ctx, "process_start_time_seconds")
		if err != nil {
			return false
		}
		other, err := apptest.Client{CL: p.cl}.ReadMetric(ctx, "process_start_time_seconds")
		return err == nil && one == other
	})
}

// says sends a payload, or makes it the head and asks for a build; it must be VALID. It returns the payload id.
func (p *pair) says(t *testing.T, block enginetest.Payload, head bool) (id string) {
	t.Helper()
	ask := func() (enginetest.Status, error) { return p.cl.NewPayload(t.Context(), block) }
	if head {
		ask = func() (enginetest.Status, error) {
			return p.cl.ForkchoiceUpdated(t.Context(), block, block.Attributes())
		}
	}
	s, err := ask()
	if err != nil || s.Status != "VALID" || head && s.PayloadID == "" {
		t.Fatalf("%+v, %v", s, err)
	}
	return s.PayloadID
}

// payload asks for a payload until it is there, as a CL does whose connection breaks.
func (p *pair) payload(t *testing.T, id string) (got built) {
	t.Helper()
	apptest.Try(t, apptest.Patience, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		result, err := p.cl.Call(ctx, "engine_getPayloadV4", id)
		if err != nil {
			return err
		}
		return json.Unmarshal(result, &got)
	})
	return got
}

// What newPayload takes where a Redis hangs, beside what it takes without one: rounds in turn, and a row that compares
// the latter with itself.
func TestHungRedisCostsNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("it measures, for some minutes")
	}
	const rounds, calls = 12, 100
	r := apptest.StartRedis(t)
	var nodes []string
	for range 3 {
		nodes = append(nodes, startNode(t).url)
	}
	without, again := start(t, nodes), start(t, nodes)
	for i := range nodes {
		nodes[i] += fmt.Sprintf("#name=n%d", i+1)
	}
	with := start(t, nodes, "--state-url", r.URL)
	block := enginetest.Chain(4, 1, nil)[0]
	r.Stop()
	apptest.Until(t, "it is degraded", func() bool {
		return with.Metric(t, "executionbackup_shared_state_degraded") == 1
	})
	daemons := []*daemon{without, again, with}
	took := make([][]time.Duration, len(daemons))
	for range rounds {
		for i, d := range daemons {
			for range calls {
				block = block.Child(nil)
				begun := time.Now()
				if s, err := d.NewPayload(t.Context(), block); err != nil || s.Status != "VALID" {
					t.Fatalf("%+v, %v", s, err)
				}
				took[i] = append(took[i], time.Since(begun))
			}
		}
	}
	r.Continue()
	for i, name := range []string{"without", "without, again", "with one that hangs"} {
		slices.Sort(took[i])
		at := func(share float64) time.Duration { return took[i][int(share*float64(len(took[i])-1))] }
		change := func(share float64) float64 {
			return 100 * (float64(at(share))/float64(took[0][int(share*float64(len(took[0])-1))]) - 1)
		}
		t.Logf("%-20s p50 %8v (%+5.1f %%)  p99 %8v (%+5.1f %%)", name, at(.5), change(.5), at(.99), change(.99))
	}
}
