package forks

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"executionbackup/internal/rawjson"
)

// maxEntry is how many bytes of an entry's texts are kept. A client's take two thousand.
const maxEntry = 16 << 10

// entries are those of a Config, in EIP-7910's words.
var entries = [...]struct {
	name string
	of   func(*Config) *Entry
}{
	{"current", func(c *Config) *Entry { return &c.Current }},
	{"next", func(c *Config) *Entry { return &c.Next }},
	{"last", func(c *Config) *Entry { return &c.Last }},
}

// members are those of an entry.
var members = [...]string{"activationTime", "chainId", "forkId", "blobSchedule", "precompiles", "systemContracts"}

var (
	errNoObject = errors.New("no object")
	errMissing  = errors.New("missing")
	errTooLong  = errors.New("too long")
)

// Read reads the result of eth_config. An entry that can't be read is Unknown, and the error names it ("next: forkId:
// missing"); the others are still good. Of what is no object all is. Members that EIP-7910 doesn't have don't count. A
// null last beside a next fork is Unknown, too, but no error: geth 1.17.4 says so by mistake. Of an entry no more than
// 16 KiB are kept: one with more can't be read.
func Read(result []byte) (Config, error) {
	var c Config
	var errs []error
	for _, entry := range entries {
		var raw [1][]byte
		err := readMembers(result, []string{entry.name}, raw[:]) // one at a time: what is twice spoils itself only
		if errors.Is(err, errNoObject) {
			return Config{}, err
		}
		if err == nil {
			*entry.of(&c), err = readEntry(raw[0])
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", entry.name, err))
		}
	}
	if c.Current.State == None {
		c.Current.State = Unknown // every chain has one
	}
	if c.Last.State == None && c.Next.State != None {
		c.Last.State = Unknown
	}
	return c, errors.Join(errs...)
}

func readMembers(object []byte, names []string, values [][]byte) error {
	err := rawjson.Members(object, names, values)
	if errors.Is(err, rawjson.ErrSyntax) {
		return errNoObject
	}
	return err
}

func readEntry(raw []byte) (Entry, error) {
	if rawjson.IsNull(raw) {
		return Entry{State: None}, nil
	}
	var values [len(members)][]byte
	if err := readMembers(raw, members[:], values[:]); err != nil {
		return Entry{}, err
	}
	e := Entry{State: Known}
	var errs [len(members)]error
	e.Activation, errs[0] = readUint64(values[0])
	e.ChainID, errs[1] = readChainID(values[1])
	e.ForkID, errs[2] = readForkID(values[2])
	e.BlobSchedule, errs[3] = readBlobSchedule(values[3])
	e.Precompiles, errs[4] = readNames(values[4])
	e.SystemContracts, errs[5] = readNames(values[5])
	for i, err := range errs {
		if err != nil {
			return Entry{}, fmt.Errorf("%s: %w", members[i], err)
		}
	}
	if len(e.Text()) > maxEntry {
		return Entry{}, errTooLong
	}
	return e, nil
}

func readUint64(raw []byte) (uint64, error) {
	n, err := readQuantity(raw, 64)
	if err != nil {
		return 0, err
	}
	return n.Uint64(), nil
}

func readChainID(raw []byte) (string, error) {
	n, err := readQuantity(raw, 256)
	if err != nil {
		return "", err
	}
	return n.String(), nil
}

// readQuantity reads a number of JSON, or a string of decimal digits, or of hexadecimal ones behind 0x.
func readQuantity(raw []byte, bits int) (*big.Int, error) {
	if rawjson.IsNull(raw) {
		return nil, errMissing
	}
	text, isString := rawjson.String(raw)
	if !isString {
		return number(string(raw), 10, bits)
	}
	if digits, isHex := cutHex(text); isHex {
		return number(digits, 16, bits)
	}
	return number(text, 10, bits)
}

// readForkID reads a checksum of four bytes, which some write as a number: without its leading zeros.
func readForkID(raw []byte) (string, error) {
	if rawjson.IsNull(raw) {
		return "", errMissing
	}
	text, _ := rawjson.String(raw)
	digits, isHex := cutHex(text)
	if !isHex {
		return "", fmt.Errorf("%.40q is no string of hexadecimal digits", raw)
	}
	n, err := number(digits, 16, 32)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("0x%08x", n), nil
}

func cutHex(text string) (digits string, isHex bool) {
	if len(text) < 2 || text[0] != '0' || text[1]|0x20 != 'x' {
		return "", false
	}
	return text[2:], true
}

const hexDigits = "0123456789abcdefABCDEF"

// number reads digits and nothing else, with any number of leading zeros.
func number(digits string, base, bits int) (*big.Int, error) {
	significant := strings.TrimLeft(digits, "0")
	if digits == "" || strings.Trim(digits, hexDigits) != "" {
		return nil, fmt.Errorf("%.40q is no quantity", digits)
	}
	if len(significant) > bits { // whatever the base; spares the arithmetic
		return nil, fmt.Errorf("%.40q has more than %d bits", digits, bits)
	}
	n, ok := new(big.Int).SetString("0"+significant, base)
	if !ok {
		return nil, fmt.Errorf("%.40q is no quantity", digits)
	}
	if n.BitLen() > bits {
		return nil, fmt.Errorf("%.40q has more than %d bits", digits, bits)
	}
	return n, nil
}

func readBlobSchedule(raw []byte) (string, error) {
	if rawjson.IsNull(raw) {
		return "none", nil
	}
	names := []string{"target", "max", "baseFeeUpdateFraction"}
	values := make([][]byte, len(names))
	if err := readMembers(raw, names, values); err != nil {
		return "", err
	}
	said := make([]string, len(names))
	for i, name := range names {
		n, err := readUint64(values[i])
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		said[i] = fmt.Sprintf("%s %d", name, n)
	}
	return strings.Join(said, ", "), nil
}

// readNames reads an object of names and their addresses, or, as EIP-7910 had it first, of addresses and their names.
func readNames(raw []byte) (string, error) {
	if rawjson.IsNull(raw) {
		return "", errMissing
	}
	var list []string
	taken := make(map[string]bool) // names and addresses: none is both
	size := 0
	_, err := rawjson.EachMember(raw, 0, func(key []byte, at int) (int, error) {
		value, end, err := rawjson.Value(raw, at)
		if err != nil {
			return 0, err
		}
		name, address, err := readName(key, value)
		if err != nil {
			return 0, err
		}
		if taken[name] || taken[address] {
			return 0, fmt.Errorf("%.40q, %s: one of them is there twice", name, address)
		}
		taken[name], taken[address] = true, true
		if size += len(name) + len(address); size > maxEntry {
			return 0, errTooLong
		}
		list = append(list, name+" "+address)
		return end, nil
	})
	if errors.Is(err, rawjson.ErrSyntax) {
		return "", errNoObject
	}
	if err != nil {
		return "", err
	}
	slices.Sort(list) // by name: a space is less than what names are of
	return strings.Join(list, ", "), nil
}

// readName reads a member of a map, whichever of the two is the name.
func readName(key, value []byte) (name, address string, err error) {
	name, _ = rawjson.String(slices.Concat([]byte{'"'}, key, []byte{'"'}))
	address, _ = rawjson.String(value)
	if isAddress(name) {
		name, address = address, name
	}
	if !isName(name) || !isAddress(address) {
		return "", "", fmt.Errorf("%.60q: %.60q are no name and its address", key, value)
	}
	return strings.ToUpper(name), strings.ToLower(address), nil
}

func isAddress(text string) bool {
	digits, isHex := cutHex(text)
	return isHex && len(digits) == 40 && strings.Trim(digits, hexDigits) == ""
}

// isName reports whether a text may stand as a name in what we write: without what ends one there.
func isName(text string) bool {
	return text != "" && !isAddress(text) &&
		!strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ',' || r == ';' })
}
