package forks

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The names of precompiles, at addresses from 1 on.
var precompiles = []string{
	"ECREC", "SHA256", "RIPEMD160", "ID", "MODEXP", "BN254_ADD", "BN254_MUL", "BN254_PAIRING", "BLAKE2F",
	"KZG_POINT_EVALUATION", "BLS12_G1ADD", "BLS12_G1MSM", "BLS12_G2ADD", "BLS12_G2MSM", "BLS12_PAIRING_CHECK",
	"BLS12_MAP_FP_TO_G1", "BLS12_MAP_FP2_TO_G2",
}

// firstPrecompiles writes the first of them as an Entry does.
func firstPrecompiles(n int, more ...string) string {
	for i, name := range precompiles[:n] {
		more = append(more, name+" "+address(uint64(i+1)))
	}
	slices.Sort(more)
	return strings.Join(more, ", ")
}

const (
	beaconRoots = "BEACON_ROOTS_ADDRESS 0x000f3df6d732807ef1319fb7b8bb8522d0beac02"
	prague      = beaconRoots +
		", CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS 0x0000bbddc7ce488642fb579f8b00f3a590007251" +
		", DEPOSIT_CONTRACT_ADDRESS %s" +
		", HISTORY_STORAGE_ADDRESS 0x0000f90827f1c53a10cb7a02335b175320002935" +
		", WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS 0x00000961ef480eb55e80d19ad83579a64c007002"
	mainnetDeposits = "0x00000000219ab540356cbb839cbe05303d7705fa"
)

// Facts of execution-apis' examples of eth_config.
var (
	cancunHere = Entry{
		Known, 0, "560048", "0xbef71d30", blobs(3, 6, 3338477), firstPrecompiles(10), beaconRoots,
	}
	pragueHere = Entry{
		Known, 1742999832, "560048", "0x0929e24e", blobs(6, 9, 5007716), firstPrecompiles(17),
		fmt.Sprintf(prague, mainnetDeposits),
	}
	mainnet = Entry{
		Known, 1746612311, "1", "0x3ff0e375", blobs(6, 9, 5007716), firstPrecompiles(17),
		fmt.Sprintf(prague, mainnetDeposits),
	}
	devnet = Entry{
		Known, 540, "3503995874084926", "0xe272ecbe", blobs(14, 21, 11684671),
		firstPrecompiles(17, "P256VERIFY "+address(0x100)), fmt.Sprintf(prague, address(0)),
	}
)

// examples are the three forms of execution-apis' answers, written here.
var examples = []struct {
	answer string
	want   Config
}{
	{`{"current":` + write(cancunHere) + `,"next":` + write(pragueHere) + `,"last":` + write(pragueHere) + `}`,
		Config{cancunHere, pragueHere, pragueHere}},
	{`{"current":` + write(devnet) + `,"next":null,"last":null}`, Config{devnet, none, none}},
	{`{"current":` + write(mainnet) + `}`, Config{mainnet, none, none}},
}

func TestExamples(t *testing.T) {
	for _, c := range examples {
		if got, err := Read([]byte(c.answer)); err != nil || got != c.want {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", c.answer, got, err, c.want)
		}
	}
}

// Execution-apis' own examples, if EXECUTION_APIS names a checkout. Which there are, and of which networks, changes:
// those that are written above are compared.
func TestExecutionAPIs(t *testing.T) {
	checkout := os.Getenv("EXECUTION_APIS")
	if checkout == "" {
		t.Skip("EXECUTION_APIS names no checkout of ethereum/execution-apis")
	}
	files, err := filepath.Glob(filepath.Join(checkout, "tests/eth_config/*.io"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no examples of eth_config: %v", checkout, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, line, _ := strings.Cut(string(text), "\n<< ")
		var answer struct{ Result json.RawMessage }
		if err := json.Unmarshal([]byte(line), &answer); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		got, err := Read(answer.Result)
		if err != nil || got.Current.State != Known {
			t.Errorf("%s: got %+v, %v", file, got, err)
		}
		for _, c := range examples {
			if c.want.Current.ForkID == got.Current.ForkID {
				t.Logf("%s is compared", file)
				if got != c.want {
					t.Errorf("%s:\n got %+v\nwant %+v", file, got, c.want)
				}
			}
		}
	}
}

// write writes an entry as most clients do.
func write(e Entry) string {
	switch e.State {
	case Unknown:
		return `"?"`
	case None:
		return "null"
	}
	blobs := "null"
	if numbers := strings.Fields(strings.ReplaceAll(e.BlobSchedule, ",", "")); len(numbers) == 6 {
		blobs = fmt.Sprintf(`{"target":%s,"max":%s,"baseFeeUpdateFraction":%s}`, numbers[1], numbers[3], numbers[5])
	}
	names := func(list string) string {
		written, _ := json.Marshal(addresses(list))
		return string(written)
	}
	return fmt.Sprintf(
		`{"activationTime":%d,"blobSchedule":%s,"chainId":%s,"forkId":"%s","precompiles":%s,"systemContracts":%s}`,
		e.Activation, blobs, e.ChainID, e.ForkID, names(e.Precompiles), names(e.SystemContracts))
}

// small is an entry that has a member replaced.
func small(member, value string) string {
	values := map[string]string{
		"activationTime": "7", "chainId": `"0x1"`, "forkId": `"0x0929e24e"`,
		"precompiles": "{}", "systemContracts": "{}",
	}
	values[member] = value
	var all []string
	for _, name := range members {
		if values[name] != "" {
			all = append(all, strconv.Quote(name)+":"+values[name])
		}
	}
	return "{" + strings.Join(all, ",") + "}"
}

// with returns small's entry with one thing of it changed.
func with(change func(*Entry)) Entry {
	e := Entry{State: Known, Activation: 7, ChainID: "1", ForkID: "0x0929e24e", BlobSchedule: "none"}
	change(&e)
	return e
}

// Each member of an entry, in its spellings, and in those that can't be read.
func TestReadMembers(t *testing.T) {
	const one, full = `0x0000000000000000000000000000000000000001`, `0xAbCdEf0000000000000000000000000000000010`
	activation := func(n uint64) func(*Entry) { return func(e *Entry) { e.Activation = n } }
	chain := func(id string) func(*Entry) { return func(e *Entry) { e.ChainID = id } }
	forkID := func(id string) func(*Entry) { return func(e *Entry) { e.ForkID = id } }
	blobSchedule := func(words string) func(*Entry) { return func(e *Entry) { e.BlobSchedule = words } }
	names := func(list string) func(*Entry) { return func(e *Entry) { e.Precompiles = list } }
	for _, c := range []struct {
		member, value string
		want          func(*Entry) // nil: it can't be read
		err           string
	}{
		{"activationTime", "0", activation(0), ""},
		{"activationTime", "16", activation(16), ""},
		{"activationTime", `"0x10"`, activation(16), ""},
		{"activationTime", `"0X00010"`, activation(16), ""},
		{"activationTime", `"16"`, activation(16), ""},
		{"activationTime", `"0016"`, activation(16), ""},
		{"activationTime", `"\u0031\u0036"`, activation(16), ""},
		{"activationTime", `18446744073709551615`, activation(1<<64 - 1), ""},
		{"activationTime", `"0xFFFFffffffffffff"`, activation(1<<64 - 1), ""},
		{"activationTime", `18446744073709551616`, nil, `"18446744073709551616" has more than 64 bits`},
		{"activationTime", `"0x10000000000000000"`, nil, `"10000000000000000" has more than 64 bits`},
		{"activationTime", strings.Repeat("9", 1<<20), nil, `"` + strings.Repeat("9", 40) + `" has more than 64 bits`},
		{"activationTime", "", nil, "missing"},
		{"activationTime", "null", nil, "missing"},
		{"activationTime", "-1", nil, `"-1" is no quantity`},
		{"activationTime", `"+1"`, nil, `"+1" is no quantity`},
		{"activationTime", `"0x-1"`, nil, `"-1" is no quantity`},
		{"activationTime", `"1_000"`, nil, `"1_000" is no quantity`},
		{"activationTime", "1.0", nil, `"1.0" is no quantity`},
		{"activationTime", "1e3", nil, `"1e3" is no quantity`},
		{"activationTime", `"ff"`, nil, `"ff" is no quantity`},
		{"activationTime", `""`, nil, `"" is no quantity`},
		{"activationTime", `"0x"`, nil, `"" is no quantity`},
		{"activationTime", "true", nil, `"true" is no quantity`},
		{"activationTime", "[1]", nil, `"[1]" is no quantity`},

		{"chainId", "17000", chain("17000"), ""},
		{"chainId", `"0x4268"`, chain("17000"), ""},
		{"chainId", `"0x` + strings.Repeat("f", 64) + `"`,
			chain("115792089237316195423570985008687907853269984665640564039457584007913129639935"), ""},
		{"chainId", `"0x1` + strings.Repeat("0", 64) + `"`, nil,
			`"1` + strings.Repeat("0", 39) + `" has more than 256 bits`},
		{"chainId", "", nil, "missing"},
		{"chainId", "{}", nil, `"{}" is no quantity`},

		{"forkId", `"0xBEF71D30"`, forkID("0xbef71d30"), ""},
		{"forkId", `"0x929e24e"`, forkID("0x0929e24e"), ""},
		{"forkId", `"0x000929e24e"`, forkID("0x0929e24e"), ""},
		{"forkId", `"0x0"`, forkID("0x00000000"), ""},
		{"forkId", `"0x1bef71d30"`, nil, `"1bef71d30" has more than 32 bits`},
		{"forkId", `"bef71d30"`, nil, `"\"bef71d30\"" is no string of hexadecimal digits`},
		{"forkId", "7", nil, `"7" is no string of hexadecimal digits`},
		{"forkId", `"0xg"`, nil, `"g" is no quantity`},
		{"forkId", "", nil, "missing"},
		{"forkId", "null", nil, "missing"},

		{"blobSchedule", "", blobSchedule("none"), ""},
		{"blobSchedule", "null", blobSchedule("none"), ""},
		{"blobSchedule", `{"max":"0x9","baseFeeUpdateFraction":"5007716","more":[],"target":6}`,
			blobSchedule("target 6, max 9, baseFeeUpdateFraction 5007716"), ""},
		{"blobSchedule", `{"max":9,"target":6}`, nil, "baseFeeUpdateFraction: missing"},
		{"blobSchedule", `{"max":9,"target":{},"baseFeeUpdateFraction":1}`, nil, `target: "{}" is no quantity`},
		{"blobSchedule", `{"max":9,"max":9,"target":6,"baseFeeUpdateFraction":1}`, nil,
			`member "max" is duplicated or spelled in another case`},
		{"blobSchedule", "[]", nil, "no object"},

		{"precompiles", `{}`, names(""), ""},
		{"precompiles", `{"ecrec":"` + one + `"}`, names("ECREC " + one), ""},
		{"precompiles", `{"` + one + `":"ECREC"}`, names("ECREC " + one), ""},
		{"precompiles", ` { "B" : "` + one + `" , "A" : "` + full + `" } `,
			names("A " + strings.ToLower(full) + ", B " + one), ""},
		{"precompiles", `{"AB":"` + one + `","A_":"` + full + `","A":"` + address(2) + `"}`,
			names("A " + address(2) + ", AB " + one + ", A_ " + strings.ToLower(full)), ""},
		{"precompiles", `{"\u0041":"\u0030x0000000000000000000000000000000000000001"}`, names("A " + one), ""},
		{"precompiles", "", nil, "missing"},
		{"precompiles", "null", nil, "missing"},
		{"precompiles", "[]", nil, "no object"},
		{"precompiles", `"A"`, nil, "no object"},
		{"precompiles", `{"A":"` + one + `","a":"` + full + `"}`, nil,
			`"A", ` + strings.ToLower(full) + `: one of them is there twice`},
		{"precompiles", `{"A":"` + full + `","B":"` + strings.ToLower(full) + `"}`, nil,
			`"B", ` + strings.ToLower(full) + `: one of them is there twice`},
		{"precompiles", `{"` + full + `":"A","` + strings.ToLower(full) + `":"B"}`, nil,
			`"B", ` + strings.ToLower(full) + `: one of them is there twice`},
		{"precompiles", `{"A":"0x01"}`, nil, `"A": "\"0x01\"" are no name and its address`},
		{"precompiles", `{"A":1}`, nil, `"A": "1" are no name and its address`},
		{"precompiles", `{"A":"` + one + `0"}`, nil, `"A": "\"` + one + `0\"" are no name and its address`},
		{"precompiles", `{"` + one + `":"` + one + `"}`, nil,
			`"` + one + `": "\"` + one + `\"" are no name and its address`},
		{"precompiles", `{"":"` + one + `"}`, nil, `"": "\"` + one + `\"" are no name and its address`},
		{"precompiles", `{"A B":"` + one + `"}`, nil, `"A B": "\"` + one + `\"" are no name and its address`},
		{"precompiles", `{"A,":"` + one + `"}`, nil, `"A,": "\"` + one + `\"" are no name and its address`},
		{"precompiles", `{"A;":"` + one + `"}`, nil, `"A;": "\"` + one + `\"" are no name and its address`},
		{"precompiles", `{"é":"` + one + `"}`, nil, `"é": "\"` + one + `\"" are no name and its address`},
		{"precompiles", `{"\x":"` + one + `"}`, nil, `"\\x": "\"` + one + `\"" are no name and its address`},

		{"systemContracts", `{"` + one + `":"a"}`, func(e *Entry) { e.SystemContracts = "A " + one }, ""},
		{"systemContracts", "", nil, "missing"},
	} {
		want, wantErr := Config{with(func(*Entry) {}), none, none}, ""
		if c.want != nil {
			want.Current = with(c.want)
		} else {
			want.Current, wantErr = unknown, "current: "+c.member+": "+c.err
		}
		got, err := Read([]byte(`{"current":` + small(c.member, c.value) + `}`))
		if got != want || err == nil && wantErr != "" || err != nil && err.Error() != wantErr {
			t.Errorf("%s: %.200s: got %+v, %v\nwant %+v, %s", c.member, c.value, got, err, want.Current, wantErr)
		}
	}
}

// An entry that can't be read spoils no other.
func TestRead(t *testing.T) {
	good, ok := small("", ""), with(func(*Entry) {})
	bad := small("forkId", "7")
	for _, c := range []struct {
		in   string
		want Config
		err  string
	}{
		{`{"current":` + good + `,"next":` + good + `,"last":` + good + `}`, Config{ok, ok, ok}, ""},
		{` { "more" : {} , "last" : ` + good + ` , "next" : ` + good + ` } `, Config{unknown, ok, ok}, ""},
		{`{"current":` + good + `}`, Config{ok, none, none}, ""},
		{`{"current":` + good + `,"next":null,"last":null}`, Config{ok, none, none}, ""},
		{`{"current":` + good + `,"next":` + good + `,"last":null}`, Config{ok, ok, unknown}, ""},
		{`{"current":` + good + `,"next":` + good + `}`, Config{ok, ok, unknown}, ""},
		{`{"current":` + good + `,"next":null,"last":` + good + `}`, Config{ok, none, ok}, ""},
		{`{"current":null}`, Config{unknown, none, none}, ""},
		{`{}`, Config{unknown, none, none}, ""},
		{`{"current":` + bad + `,"next":` + good + `,"last":` + good + `}`, Config{unknown, ok, ok},
			`current: forkId: "7" is no string of hexadecimal digits`},
		{`{"current":` + good + `,"next":` + bad + `,"last":null}`, Config{ok, unknown, unknown},
			`next: forkId: "7" is no string of hexadecimal digits`},
		{`{"current":[],"next":` + good + `,"last":` + bad + `}`, Config{unknown, ok, unknown},
			"current: no object\n" + `last: forkId: "7" is no string of hexadecimal digits`},
		{`{"current":` + good + `,"next":` + good + `,"Next":1,"last":` + good + `}`, Config{ok, unknown, ok},
			`next: member "next" is duplicated or spelled in another case`},
		{`{"current":` + good + `,"next":` + good + `,"next":` + good + `,"last":` + good + `}`,
			Config{ok, unknown, ok}, `next: member "next" is duplicated or spelled in another case`},
		{`{"current":` + strings.Replace(good, `{`, `{"chainid":1,`, 1) + `}`, Config{unknown, none, none},
			`current: member "chainId" is duplicated or spelled in another case`},
		{`{"current":` + strings.Replace(good, `{`, `{"more":1,"more":1,`, 1) + `,"x":1,"x":2}`,
			Config{ok, none, none}, ""},
		{`null`, Config{}, "no object"},
		{`[]`, Config{}, "no object"},
		{``, Config{}, "no object"},
		{`{"current":` + good + `} x`, Config{}, "no object"},
		{`{"current":` + good + `,"next":}`, Config{}, "no object"},
		{`{"current":` + good, Config{}, "no object"},
	} {
		got, err := Read([]byte(c.in))
		if got != c.want || err == nil && c.err != "" || err != nil && err.Error() != c.err {
			t.Errorf("%s: got %+v, %v\nwant %+v, %s", c.in, got, err, c.want, c.err)
		}
	}
}

// What is kept of an entry is bounded, and what is looked at for it, too.
func TestReadIsBounded(t *testing.T) {
	names := func(n, size int) string {
		list := make(map[string]string)
		for i := range n {
			list[fmt.Sprintf("%0*d", size, i)] = address(uint64(i))
		}
		written, _ := json.Marshal(list)
		return string(written)
	}
	read := func(precompiles, contracts string) (int, error) {
		entry := small("precompiles", precompiles)
		entry = strings.Replace(entry, `"systemContracts":{}`, `"systemContracts":`+contracts, 1)
		c, err := Read([]byte(`{"current":` + entry + `}`))
		return len(c.Current.Text()), err
	}
	fixed, err := read("{}", "{}")
	if err != nil {
		t.Fatal(err)
	}
	room := maxEntry - fixed
	first := room / 2 / 100 // names of 55 bytes, with their addresses and what stands between them
	last := room - first*100 + 2 - 43
	for _, c := range []struct {
		name, precompiles, contracts string
		size                         int
		err                          string
	}{
		{"as much as there may be", names(first, 55), names(1, last), maxEntry, ""},
		{"a byte more", names(first, 55), names(1, last+1), 0, "current: too long"},
		{"very much", names(1<<12, 20), "{}", 0, "current: precompiles: too long"},
		{"one long name", "{}", names(1, 1<<16), 0, "current: systemContracts: too long"},
	} {
		size, err := read(c.precompiles, c.contracts)
		if size != c.size || err == nil && c.err != "" || err != nil && err.Error() != c.err {
			t.Errorf("%s: %d bytes, %v", c.name, size, err)
		}
	}
}

// However an entry is spelt, it reads as the same.
func TestSpelling(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Config{someEntries.Draw(t, "current"), someEntries.Draw(t, "next"), someEntries.Draw(t, "last")}
		if c.Current.State == None || c.Last.State == None && c.Next.State != None {
			t.Skip("not to be read")
		}
		answer := spelt{t}.config(c)
		if got, err := Read([]byte(answer)); got != c || (err != nil) != strings.Contains(answer, `"?"`) {
			t.Fatalf("%s: got %+v, %v\nwant %+v", answer, got, err, c)
		}
	})
}

// spelt writes in one of all the ways.
type spelt struct{ *rapid.T }

func (t spelt) config(c Config) string {
	all := map[string]string{"more": "[{}]"}
	for _, entry := range entries {
		if e := *entry.of(&c); e.State != None || rapid.Bool().Draw(t.T, "null") {
			all[entry.name] = t.entry(e)
		}
	}
	return t.object(all)
}

func (t spelt) entry(e Entry) string {
	if e.State != Known {
		return write(e)
	}
	all := map[string]string{
		"activationTime":  t.number(strconv.FormatUint(e.Activation, 10)),
		"chainId":         t.number(e.ChainID),
		"forkId":          t.hex(e.ForkID),
		"precompiles":     t.names(e.Precompiles),
		"systemContracts": t.names(e.SystemContracts),
		"fork_id":         "{}",
	}
	if n := strings.Fields(strings.ReplaceAll(e.BlobSchedule, ",", "")); len(n) == 6 {
		all["blobSchedule"] = t.object(map[string]string{
			"target": t.number(n[1]), "max": t.number(n[3]), "baseFeeUpdateFraction": t.number(n[5]), "min": "null",
		})
	} else if rapid.Bool().Draw(t.T, "null") {
		all["blobSchedule"] = "null"
	}
	return t.object(all)
}

// object writes members in any order, with white space.
func (t spelt) object(members map[string]string) string {
	type member struct{ name, value string }
	var list []member
	for name, value := range members {
		list = append(list, member{name, value})
	}
	slices.SortFunc(list, func(a, b member) int { return cmp.Compare(a.name, b.name) })
	var all []string
	for _, m := range rapid.Permutation(list).Draw(t.T, "order") {
		all = append(all, t.space()+t.text(m.name)+t.space()+":"+t.space()+m.value+t.space())
	}
	return "{" + strings.Join(all, ",") + "}"
}

func (t spelt) space() string {
	return rapid.SampledFrom([]string{"", "", "", " ", "\n\t\r "}).Draw(t.T, "space")
}

// text writes a string, its first letter escaped or not.
func (t spelt) text(s string) string {
	if s != "" && rapid.IntRange(0, 9).Draw(t.T, "escaped") == 0 {
		return fmt.Sprintf(`"\u%04x%s"`, s[0], s[1:])
	}
	return `"` + s + `"`
}

// number writes decimal digits as a number, a text or in hexadecimal.
func (t spelt) number(digits string) string {
	zeros := strings.Repeat("0", rapid.IntRange(0, 3).Draw(t.T, "zeros"))
	switch rapid.IntRange(0, 2).Draw(t.T, "number") {
	case 0:
		return digits
	case 1:
		return t.text(zeros + digits)
	}
	n, err := number(digits, 10, 256)
	if err != nil {
		t.Fatal(err)
	}
	return t.hex(fmt.Sprintf("0x%s%x", zeros, n))
}

// hex writes hexadecimal digits in any case, with or without leading zeros.
func (t spelt) hex(s string) string {
	if rapid.Bool().Draw(t.T, "short") {
		s = "0x" + strings.TrimLeft(s[2:len(s)-1], "0") + s[len(s)-1:]
	}
	return t.text(t.anyCase(s))
}

func (t spelt) anyCase(s string) string {
	if rapid.Bool().Draw(t.T, "upper case") {
		return strings.ToUpper(s)
	}
	return strings.ToLower(s)
}

// names writes a list of names in either direction.
func (t spelt) names(list string) string {
	all := make(map[string]string)
	turned := rapid.Bool().Draw(t.T, "turned")
	for name, address := range addresses(list) {
		name, address = t.anyCase(name), t.anyCase(address)
		if turned {
			all[address] = t.text(name)
		} else {
			all[name] = t.text(address)
		}
	}
	return t.object(all)
}

// Whatever a node says, it is read as something that holds together.
func FuzzRead(f *testing.F) {
	for _, example := range examples {
		f.Add([]byte(example.answer))
	}
	f.Add([]byte(`{"current":` + small("", "") + `,"next":null,"last":null}`))
	f.Add([]byte(`{"current":` + small("precompiles", `{"0x0000000000000000000000000000000000000001":"ecrec"}`) + `}`))
	f.Add([]byte(`{"current":` + small("blobSchedule", `{"target":"0x6","max":9,"baseFeeUpdateFraction":1}`) + `}`))
	f.Add([]byte(`{"current":1,"Next":{},"last":{"chainId":"0x"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Read(b)
		if c.Current.State == None || c.Last.State == None && c.Next.State != None {
			t.Fatalf("%q: %+v", b, c)
		}
		again := "{"
		for i, entry := range entries {
			e := *entry.of(&c)
			if e.State != Known && e != (Entry{State: e.State}) || len(e.Text()) > maxEntry {
				t.Fatalf("%q: %s is %+v", b, entry.name, e)
			}
			if err != nil && !strings.Contains(err.Error(), "no object") && len(err.Error()) > 3*500 {
				t.Fatalf("%q: %v", b, err)
			}
			again += strings.Repeat(",", min(i, 1)) + `"` + entry.name + `":` + write(e)
		}
		read, err := Read([]byte(again + "}"))
		if read != c || (err != nil) != strings.Contains(again, `:"?"`) {
			t.Fatalf("%q: %+v, written and read again: %+v, %v", b, c, read, err)
		}
	})
}
