//go:build e2e

package e2e

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/ethereum/go-ethereum/core"

	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/geth"
)

// startTelemetry starts a geth as an operator does who wants its traces, and returns its Engine API's URL.
func startTelemetry(t *testing.T, genesis *core.Genesis, secret []byte, collector string) (url string) {
	t.Helper()
	dir, port := t.TempDir(), apptest.FreePort(t)
	text, err := json.Marshal(genesis)
	if err != nil {
		t.Fatal(err)
	}
	data, first, jwt := filepath.Join(dir, "data"), filepath.Join(dir, "genesis.json"), filepath.Join(dir, "jwt.hex")
	write(t, first, string(text))
	write(t, jwt, hex.EncodeToString(secret))
	program := apptest.Installed(t, "bin/geth")
	init := exec.Command(program, "--datadir", data, "init", first)
	if said, err := init.CombinedOutput(); err != nil {
		t.Fatalf("geth init: %v: %s", err, said)
	}
	cmd := exec.Command(program, "--datadir", data, "--networkid", genesis.Config.ChainID.String(),
		"--syncmode", "full", "--nodiscover", "--maxpeers", "0", "--port", apptest.FreePort(t), "--nat", "none",
		"--ipcdisable", "--authrpc.port", port, "--authrpc.jwtsecret", jwt,
		"--rpc.telemetry", "--rpc.telemetry.endpoint", collector)
	cmd.Stderr = t.Output()
	p := apptest.StartProcess(t, cmd)
	url = "http://127.0.0.1:" + port
	cl := enginetest.NewCL(t, url, secret)
	apptest.Try(t, apptest.Patience, func() error {
		_, err := cl.Call(t.Context(), "eth_chainId")
		return err
	})
	t.Cleanup(func() { p.Terminate() })
	return url
}

// One trace goes from a consensus client through us into two real geths: its call's span is above ours, ours above that
// of each node's call, and that above what geth says of the call itself.
func TestTraceIntoGeth(t *testing.T) {
	collector := apptest.NewCollector(t)
	collector.Listen(t)
	active := uint64(0)
	genesis := geth.Genesis(geth.Schedule{Shanghai: &active, Cancun: &active, Prague: &active, Osaka: &active})
	var nodes []apptest.Node
	for i := range byte(2) {
		secret := [32]byte{i + 1}
		nodes = append(nodes, apptest.Node{
			URL:    startTelemetry(t, genesis, secret[:], collector.URL),
			Secret: secret[:], Name: "geth-" + strconv.Itoa(int(i+1)),
		})
	}
	m := apptest.Start(t, apptest.Options{Nodes: nodes})
	const trace, caller = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	m.Header = http.Header{"Traceparent": {"00-" + trace + "-" + caller + "-01"}}
	producer, err := geth.NewProducer(t.Context(), genesis.Config, m.Call)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := producer.Produce(t.Context(), geth.Order{}); err != nil {
			t.Fatal(err)
		}
	}
	for method, theirs := range map[string]string{
		"engine_newPayloadV4":        "jsonrpc.engine/newPayloadV4",
		"engine_forkchoiceUpdatedV3": "jsonrpc.engine/forkchoiceUpdatedV3",
		"engine_getPayloadV5":        "jsonrpc.engine/getPayloadV5",
	} {
		call := collector.Wait(t, method, func(s apptest.Span) bool { return s.Name == method && s.Parent == caller })
		if call.Trace != trace || call.Service != "executionbackup" {
			t.Errorf("%s: %+v isn't the consensus client's trace", method, call)
		}
		for _, n := range nodes {
			ours := collector.Under(t, call, method+" "+n.Name)
			inside := collector.Under(t, ours, theirs)
			if inside.Service != "geth" || inside.Begun.Before(ours.Begun) || inside.Ended.After(ours.Ended) {
				t.Errorf("%s: %s says %+v, which isn't within our call to it: %+v", method, n.Name, inside, ours)
			}
		}
	}
}
