package enginetest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/beacon/engine"
)

// CL is a consensus client. It is safe for concurrent use as long as its fields are left alone.
type CL struct {
	URL    string
	Secret []byte
	Token  func() string // instead of a fresh good token; "" sends no Authorization header
	HTTP   *http.Client
	Header http.Header // that each call has besides; nil = none

	Safe, Finalized string // sent with each ForkchoiceUpdated; default: the zero hash

	lastID atomic.Int64
}

// NewCL returns a CL that calls url with fresh tokens minted with secret.
func NewCL(t testing.TB, url string, secret []byte) *CL {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &CL{URL: url, Secret: secret, HTTP: &http.Client{Transport: transport}}
}

// Status is the answer to a newPayload or forkchoiceUpdated. Null is "".
type Status struct {
	Status          string `json:"status"`
	LatestValidHash string `json:"latestValidHash"`
	ValidationError string `json:"validationError"`
	PayloadID       string `json:"-"` // from forkchoiceUpdated
}

// NewPayload sends a payload with the engine_newPayload of its version.
func (cl *CL) NewPayload(ctx context.Context, p Payload) (status Status, err error) {
	result, err := cl.Call(ctx, fmt.Sprintf("engine_newPayloadV%d", p.Version), p.Params()...)
	if err != nil {
		return Status{}, err
	}
	return status, json.Unmarshal(result, &status)
}

// ForkchoiceUpdated makes head the head, with the engine_forkchoiceUpdated of its version, and asks for a build if
// attributes isn't nil.
func (cl *CL) ForkchoiceUpdated(
	ctx context.Context, head Payload, attributes *engine.PayloadAttributes,
) (Status, error) {
	state := map[string]string{
		"headBlockHash":      head.Hash(),
		"safeBlockHash":      cmp.Or(cl.Safe, zeroHash),
		"finalizedBlockHash": cmp.Or(cl.Finalized, zeroHash),
	}
	var build any
	if attributes != nil {
		var err error
		if build, err = withoutNulls(attributes); err != nil {
			return Status{}, err
		}
	}
	version := [...]int{1: 1, 2: 2, 3: 3, 4: 3, 5: 4}[head.Version]
	params := []any{state, build}
	if version >= 4 {
		params = append(params, nil) // no custody columns
	}
	result, err := cl.Call(ctx, fmt.Sprintf("engine_forkchoiceUpdatedV%d", version), params...)
	if err != nil {
		return Status{}, err
	}
	var answer struct {
		PayloadStatus Status `json:"payloadStatus"`
		PayloadID     string `json:"payloadId"`
	}
	if err := json.Unmarshal(result, &answer); err != nil {
		return Status{}, err
	}
	answer.PayloadStatus.PayloadID = answer.PayloadID
	return answer.PayloadStatus, nil
}

// Call makes a JSON-RPC call. A JSON-RPC error is returned as an *RPCError; anything but a proper answer with the
// id of the call is some other error.
func (cl *CL) Call(ctx context.Context, method string, params ...any) (json.RawMessage, error) {
	id := strconv.FormatInt(cl.lastID.Add(1), 10)
	if params == nil {
		params = []any{}
	}
	body, err := json.Marshal(map[string]any{
		"jsonrpc": "2.0", "id": json.RawMessage(id), "method": method, "params": params,
	})
	if err != nil {
		return nil, err
	}
	status, _, raw, err := cl.Post(ctx, body)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("http status %d: %s", status, strings.TrimSpace(string(raw)))
	}
	var answer struct {
		JSONRPC string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Result  json.RawMessage `json:"result"`
		Error   *RPCError       `json:"error"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return nil, fmt.Errorf("malformed answer: %w", err)
	}
	switch {
	case answer.JSONRPC != "2.0" || string(answer.ID) != id:
		return nil, fmt.Errorf("answer with version %q and id %s, want 2.0 and %s", answer.JSONRPC, answer.ID, id)
	case (answer.Result == nil) == (answer.Error == nil):
		return nil, errors.New("answer without exactly one of result and error")
	case answer.Error != nil:
		return nil, answer.Error
	}
	return answer.Result, nil
}

// Post sends a body as it is, with a token, and returns the whole answer.
func (cl *CL) Post(ctx context.Context, body []byte) (status int, header http.Header, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, cl.URL, bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	maps.Copy(req.Header, cl.Header)
	req.Header.Set("Content-Type", "application/json")
	token := ""
	if cl.Token != nil {
		token = cl.Token()
	} else {
		token = Token(cl.Secret, time.Now())
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := cl.HTTP.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, answer, err
}
