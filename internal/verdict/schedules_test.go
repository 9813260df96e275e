package verdict_test

import (
	"fmt"
	"time"
)

// fork is an entry of eth_config: mainnet's, but for the deposit contract.
type fork struct {
	at       int64
	id       string
	max      int // blobs
	deposits string
}

const (
	mainnetDeposits = "0x00000000219ab540356cbb839cbe05303d7705fa"
	holeskyDeposits = "0x4242424242424242424242424242424242424242"
)

var (
	atShanghai = fork{1681338455, "0xdce96c2d", 0, ""}
	atPrague   = fork{1746612311, "0xc376cf8b", 9, mainnetDeposits}
	atOsaka    = fork{1764798551, "0x5167e2a6", 9, mainnetDeposits}
	atBPO1     = fork{1765290071, "0xcba2a1c0", 15, mainnetDeposits}
	atBPO2     = fork{1767747671, "0x07c9462e", 21, mainnetDeposits}
)

// entry is the fork as eth_config has it.
func (f fork) entry() string {
	system := ""
	if f.deposits != "" {
		system = fmt.Sprintf(`"DEPOSIT_CONTRACT_ADDRESS":%q`, f.deposits)
	}
	return fmt.Sprintf(`{"activationTime":%d,"blobSchedule":{"baseFeeUpdateFraction":5007716,"max":%d,"target":%d},`+
		`"chainId":"0x1","forkId":%q,"precompiles":{"ECREC":"0x0000000000000000000000000000000000000001"},`+
		`"systemContracts":{%s}}`, f.at, f.max, f.max*2/3, f.id, system)
}

// schedule is the eth_config of a client that knows these forks, in their order.
func schedule(forks ...fork) func(now time.Time) string {
	return func(now time.Time) string {
		current := 0
		for current+1 < len(forks) && forks[current+1].at <= now.Unix() {
			current++
		}
		next, last := "null", "null"
		if current+1 < len(forks) {
			next, last = forks[current+1].entry(), forks[len(forks)-1].entry()
		}
		return fmt.Sprintf(`{"current":%s,"next":%s,"last":%s}`, forks[current].entry(), next, last)
	}
}

var (
	shanghai  = schedule(atShanghai)
	prague    = schedule(atPrague)
	osaka     = schedule(atPrague, atOsaka, atBPO1, atBPO2)
	osakaOnly = schedule(atPrague, atOsaka)
)

// holesky is the eth_config of a client that takes a contract to be Holesky's deposit contract.
func holesky(deposits string) func(time.Time) string {
	return schedule(fork{1707305664, "0x9b192ad0", 6, ""}, fork{1740434112, "0xdfbd9bed", 9, deposits})
}
