package enginetest

import (
	"encoding/json"
	"fmt"
	"time"
)

// Fork is what a node knows of one fork.
type Fork struct {
	At       time.Time // when it is; zero for genesis
	ID       string    // "0x0929e24e"
	Deposits string    // address of the deposit contract; "" for mainnet's
}

// Forks is a node's answer to eth_config (EIP-7910), for a Rule: its present fork and those to come, the last of which
// is the last that it knows.
func Forks(current Fork, next ...Fork) string {
	answer := map[string]any{"current": current.config(), "next": nil, "last": nil}
	if len(next) > 0 {
		answer["next"], answer["last"] = next[0].config(), next[len(next)-1].config()
	}
	b, err := json.Marshal(answer)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// TellForks has the node answer eth_config so from now on. Before, it doesn't know the method.
func (n *Node) TellForks(current Fork, next ...Fork) {
	n.Script(Rule{Method: "eth_config", Result: Forks(current, next...)})
}

func (f Fork) config() any {
	activation := int64(0)
	if !f.At.IsZero() {
		activation = f.At.Unix()
	}
	deposits := f.Deposits
	if deposits == "" {
		deposits = "0x00000000219ab540356cbb839cbe05303d7705fa"
	}
	return map[string]any{
		"activationTime": activation, "chainId": "0x1", "forkId": f.ID,
		"blobSchedule":    map[string]int{"target": 6, "max": 9, "baseFeeUpdateFraction": 5007716},
		"precompiles":     map[string]string{"ECREC": fmt.Sprintf("0x%040x", 1), "ID": fmt.Sprintf("0x%040x", 4)},
		"systemContracts": map[string]string{"DEPOSIT_CONTRACT_ADDRESS": deposits},
	}
}
