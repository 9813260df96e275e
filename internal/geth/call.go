package geth

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/rpc"
)

// Call sends one JSON-RPC request and returns its result. An error that the other side answers with is an rpc.Error.
type Call func(ctx context.Context, method string, params ...any) (json.RawMessage, error)

// Dial returns a Call to an Engine API server, with a new token for each request. It connects when it is used.
func Dial(url string, secret [32]byte) (Call, error) {
	client, err := rpc.DialOptions(context.Background(), url, rpc.WithHTTPAuth(node.NewJWTAuth(secret)))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, method string, params ...any) (json.RawMessage, error) {
		var result json.RawMessage
		if err := client.CallContext(ctx, &result, method, params...); err != nil {
			return nil, fmt.Errorf("%s: %w", method, err)
		}
		return result, nil
	}, nil
}

// decode calls a method and reads its result into a value.
func (call Call) decode(ctx context.Context, result any, method string, params ...any) error {
	raw, err := call(ctx, method, params...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, result); err != nil {
		return fmt.Errorf("%s: decode the result: %w", method, err)
	}
	return nil
}

// StatusError is a payload status other than VALID.
type StatusError struct {
	Method string
	Status engine.PayloadStatusV1
}

// Error names the method, the status and the validation error.
func (e *StatusError) Error() string {
	text := fmt.Sprintf("%s: the status is %s", e.Method, e.Status.Status)
	if e.Status.ValidationError != nil {
		text += ": " + *e.Status.ValidationError
	}
	return text
}
