package engine

import (
	"fmt"

	"github.com/ethereum/go-ethereum/common"
)

// List is what getBlobs, hasBlobs and getPayloadBodies ask for: a list with an entry for each position.
type List struct {
	Kind   ListKind
	Size   uint64        // how many entries are asked for
	Short  bool          // an answer may have fewer: its node knows no later block
	Free   bool          // the method is newer than we are: an answer that is no list passes through
	Cells  int           // how many cells of each blob (getBlobsV4)
	Hashes []common.Hash // of the blocks whose bodies are asked for; nil where they are asked for by number
	First  uint64        // the number of the first of these blocks
}

// ListKind says what the entries of a list are.
type ListKind uint8

// The kinds of lists.
const (
	NoList      ListKind = iota // the parameters can't be read: they are the node's to judge
	Anything                    // of a method that is newer than we are, or judged by nobody
	Blobs                       // BlobAndProof V1 or V2 (cancun.md#blobandproofv1, osaka.md#blobandproofv2)
	Cells                       // BlobCellsAndProofsV1 (amsterdam.md#blobcellsandproofsv1)
	Having                      // whether a node has a blob (hasBlobs)
	Bodies                      // ExecutionPayloadBodyV1 (shanghai.md#executionpayloadbodyv1)
	BodiesSince                 // V2 and later: with the block access list (amsterdam.md#executionpayloadbodyv2)
)

// Fits reports, as an error, that an answer has not as many entries as were asked for.
func (l *List) Fits(entries int) error {
	if n := uint64(entries); n > l.Size || n < l.Size && !l.Short {
		return fmt.Errorf("%d entries for %d asked for", n, l.Size)
	}
	return nil
}

// Entry is what a node has at one position of a list.
type Entry struct {
	Raw []byte // as the node wrote it; nil where the entry is put together from its parts
	// Parts are what is judged of a body or of cells, raw, each nil where the node lacks it; nil where it has nothing,
	// or nothing else is judged. A body has transactions, withdrawals and block access list; cells are a blob's, each
	// with its proof behind it, both nil where either is missing.
	Parts [][]byte
	From  int  // whose list it is from, by the order of the nodes; means nothing in a mixed entry
	Null  bool // the node has nothing there
	Gap   bool // something is missing that another node may have
	// Empty says that a body has no transactions: it may be a block without any, or one that its node has pruned.
	Empty bool
}

// MaxInclusionList is MAX_BYTES_PER_INCLUSION_LIST (bogota.md#constants).
const MaxInclusionList = 8192

// BodyParts is how many parts a body has: transactions, withdrawals and the block access list.
const BodyParts = 3
