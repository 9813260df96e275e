// Package jsonrpc reads and writes JSON-RPC 2.0 messages without decoding what they carry. What comes out are slices of
// the bytes that came in (see package rawjson). The package knows nothing of Ethereum but the codes of its errors.
package jsonrpc
