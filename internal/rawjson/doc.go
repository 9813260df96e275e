// Package rawjson reads JSON without decoding it. It is scanned once, in place: what comes out are slices of the bytes
// that came in, so that a payload of twenty megabytes costs one pass and no copy.
//
// It is strict where a second reader could understand an object in another way than we do: one whose members we judge
// must name each of them once and in the right case, because decoders differ in which of two they take (Go's takes the
// last, and any case). Everything else passes through as it is.
package rawjson
