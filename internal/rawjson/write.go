package rawjson

import "encoding/json"

// SetMember returns the object with its member name set to a raw value: replaced where it stands, else appended. The
// other members keep their bytes and their order.
func SetMember(object []byte, name string, raw []byte) ([]byte, error) {
	var from, to int
	members := 0
	end, err := EachMember(object, SkipSpace(object, 0), func(n []byte, at int) (int, error) {
		members++
		v, end, err := Value(object, at)
		if string(n) == name {
			from, to = at, at+len(v)
		}
		return end, err
	})
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(object)+len(name)+len(raw)+4)
	if to > 0 {
		return append(append(append(out, object[:from]...), raw...), object[to:]...), nil
	}
	out = append(out, object[:end-1]...) // up to the closing brace
	if members > 0 {
		out = append(out, ',')
	}
	out = append(append(out, Quote(name)...), ':')
	return append(append(out, raw...), '}'), nil
}

// Quote encodes a string as JSON.
func Quote(s string) []byte {
	b, _ := json.Marshal(s) // a string always can be
	return b
}
