package rawjson

// An ElementReader finds the elements of an array that still comes in. Each byte is looked at once. The zero
// ElementReader stands before the array.
type ElementReader struct {
	scanner Scanner
	at      int // how many bytes have been looked at
	from    int // where the present element begins
	place   place
}

// place is where in an array an ElementReader stands.
type place uint8

const (
	beforeArray place = iota
	beforeFirst
	beforeElement
	inElement
	behindElement
	behindArray
	noArray
)

// Next returns the next element if it is there as a whole, else nil. b is what has come of the array: at each call the
// same, or more of it.
func (r *ElementReader) Next(b []byte) []byte {
	for r.place != behindArray && r.place != noArray {
		if r.place == inElement {
			n, err := r.scanner.Scan(b[r.at:])
			r.at += n
			switch {
			case err != nil:
				r.place = noArray
			case r.scanner.Done():
				r.place = behindElement
				return b[r.from:r.at]
			case r.at == len(b):
				return nil
			}
			continue
		}
		if r.at = SkipSpace(b, r.at); r.at == len(b) {
			return nil
		}
		r.step(b[r.at])
	}
	return nil
}

// Rest returns what of b the next elements need. From here on they are looked for in what begins with it.
func (r *ElementReader) Rest(b []byte) []byte {
	from := r.at
	if r.place == inElement || r.place == noArray {
		from = r.from
	}
	r.at, r.from = r.at-from, 0
	return b[from:]
}

// step takes in a byte between elements.
func (r *ElementReader) step(c byte) {
	switch {
	case r.place == beforeArray && c == '[':
		r.place = beforeFirst
	case (r.place == beforeFirst || r.place == behindElement) && c == ']':
		r.place = behindArray
	case r.place == behindElement && c == ',':
		r.place = beforeElement
	case r.place == beforeFirst || r.place == beforeElement:
		r.scanner, r.from, r.place = Scanner{}, r.at, inElement
		return // the byte is the element's
	default:
		r.place = noArray
		return
	}
	r.at++
}

// Ended reports whether the array's end has been seen.
func (r *ElementReader) Ended() bool { return r.place == behindArray }
