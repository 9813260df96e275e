package engine_test

import (
	"testing"
	"time"

	"executionbackup/internal/engine"
)

func TestParseMethod(t *testing.T) {
	for _, c := range []struct {
		name    string
		family  engine.Family
		version int
		limit   time.Duration
		pace    time.Duration
	}{
		{"engine_newPayloadV1", engine.NewPayload, 1, 7500 * time.Millisecond, 7500 * time.Millisecond},
		{"engine_newPayloadV5", engine.NewPayload, 5, 5500 * time.Millisecond, 5500 * time.Millisecond},
		{"engine_newPayloadWithWitnessV4", engine.NewPayload, 4, 7500 * time.Millisecond, 7500 * time.Millisecond},
		{"engine_newPayloadV12", engine.NewPayload, 12, 5500 * time.Millisecond, 5500 * time.Millisecond},
		{"engine_forkchoiceUpdatedV3", engine.ForkchoiceUpdated, 3, 7500 * time.Millisecond, 7500 * time.Millisecond},
		{"engine_getPayloadV5", engine.GetPayload, 5, 0, 900 * time.Millisecond},
		{"engine_getPayloadBodiesByHashV2", engine.GetPayloadBodies, 2, 9500 * time.Millisecond,
			9500 * time.Millisecond},
		{"engine_getBlobsV2", engine.GetBlobs, 2, 0, 850 * time.Millisecond},
		{"engine_hasBlobs", engine.HasBlobs, 0, 0, 850 * time.Millisecond},
		{"engine_exchangeCapabilities", engine.ExchangeCapabilities, 0, 0, 900 * time.Millisecond},
		{"engine_getClientVersionV1", engine.GetClientVersion, 1, 0, 900 * time.Millisecond},
		{"engine_getInclusionListV1", engine.GetInclusionList, 1, 0, 900 * time.Millisecond},
		{"engine_newThingV1", engine.OtherEngine, 1, 0, 0},
		{"engine_newPayloadV0", engine.NewPayload, 0, 7500 * time.Millisecond, 7500 * time.Millisecond},
		{"eth_sendRawTransaction", engine.SendRawTransaction, 0, 0, 0},
		{"eth_getLogs", engine.Other, 0, 0, 0},
		{"xengine_newPayloadV1", engine.Other, 0, 0, 0},
		{"", engine.Other, 0, 0, 0},
	} {
		m := engine.ParseMethod(c.name)
		if m.Family != c.family || m.Version != c.version || m.Limit() != c.limit ||
			m.Pace() != c.pace || m.Name != c.name {
			t.Errorf("%s: got %v, V%d, %v, %v; want %v, V%d, %v, %v", c.name,
				m.Family, m.Version, m.Limit(), m.Pace(), c.family, c.version, c.limit, c.pace)
		}
	}
}

func TestMethodLabel(t *testing.T) {
	for name, want := range map[string]string{
		"engine_newPayloadV1":            "engine_newPayloadV1 (Paris)",
		"engine_newPayloadV2":            "engine_newPayloadV2 (Shanghai)",
		"engine_newPayloadV3":            "engine_newPayloadV3 (Cancun)",
		"engine_newPayloadV4":            "engine_newPayloadV4 (Prague)",
		"engine_newPayloadV5":            "engine_newPayloadV5 (Amsterdam)",
		"engine_newPayloadV6":            "engine_newPayloadV6 (Bogota)",
		"engine_newPayloadWithWitnessV4": "engine_newPayloadWithWitnessV4 (Prague)",
		"engine_newPayloadV7":            "engine_newPayloadV7",
		"engine_newPayload":              "engine_newPayload",
		"engine_forkchoiceUpdatedV3":     "engine_forkchoiceUpdatedV3",
		"eth_chainId":                    "eth_chainId",
	} {
		if got := engine.ParseMethod(name).Label(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
