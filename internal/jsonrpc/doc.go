// Package jsonrpc reads and writes JSON-RPC 2.0 messages without decoding what they carry.
//
// A message is scanned once, in place: what comes out are slices of the bytes that came in, so that a payload of
// twenty megabytes costs one pass and no copy. The package knows nothing of Ethereum.
//
// It is strict where a second reader could understand a message in another way than we do: an object whose members
// we judge must name each of them once and in the right case, because decoders differ in which of two they take (Go's
// takes the last, and any case). Everything else passes through as it is.
package jsonrpc
