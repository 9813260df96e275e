package history

import (
	"encoding/json"
	"math/big"
	"time"
)

// Micros is a time span, in JSON a whole number of microseconds.
type Micros time.Duration

// MarshalJSON writes the microseconds.
func (m Micros) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(m).Microseconds()) }

// UnmarshalJSON reads microseconds.
func (m *Micros) UnmarshalJSON(b []byte) error {
	var n int64
	if err := json.Unmarshal(b, &n); err != nil {
		return err
	}
	*m = Micros(time.Duration(n) * time.Microsecond)
	return nil
}

// Wei is an amount of wei in decimal figures: a string, because JSON's numbers are too small. "" where it isn't known.
type Wei string

// InWei writes an amount of wei; nil where it isn't known.
func InWei(v *big.Int) Wei {
	if v == nil {
		return ""
	}
	return Wei(v.String())
}
