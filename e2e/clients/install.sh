#!/bin/sh
# install.sh CLIENT...: real clients for the end-to-end tests, at pinned versions, into EXECUTIONBACKUP_E2E_HOME (by
# default executionbackup-e2e in the user's cache). What is there already is left alone. The versions are in the go.mod and
# package.json files and in SHA512SUMS beside this one; geth's is that of the project. Needs Go, a C compiler and Node.js with npm.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
home=${EXECUTIONBACKUP_E2E_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/executionbackup-e2e}
mkdir -p "$home/bin"

# go_build MODULE FOLDER PACKAGE...: build programs of a module of ours that only pins a version
go_build() {
	module=$1 folder=$2
	shift 2
	(cd "$here/$module" && go build -buildvcs=false -ldflags '-s -w' -o "$home/$folder/" "$@")
}

# npm_ci CLIENT: the packages of a package-lock.json of ours, with what is beside it, into a folder of their own
npm_ci() {
	mkdir -p "$home/$1"
	cp "$here/$1"/* "$home/$1/"
	(cd "$home/$1" && npm ci --no-audit --no-fund --ignore-scripts)
}

# version CLIENT: what pins it
version() { cat "$here/$1"/go.mod "$here/$1"/*.json "$here/$1"/*.[cm]js "$here/$1"/SHA512SUMS 2>/dev/null || true; }

# is_new CLIENT: whether that version of it is not yet there
is_new() {
	version "$1" | cmp -s - "$home/$1.installed" && return 1
	echo "installing $1"
}

for client in "$@"; do
	is_new "$client" || continue
	case $client in
	geth) go_build geth bin github.com/ethereum/go-ethereum/cmd/geth ;;
	prysm)
		prysm=github.com/OffchainLabs/prysm/v7/cmd
		go_build prysm bin -pgo=off -trimpath $prysm/beacon-chain $prysm/validator $prysm/prysmctl
		;;
	erigon)
		# The flags of its own Makefile that matter: no assertions in the database, a BLS library for every processor.
		CGO_CFLAGS="-O2 -DMDBX_FORCE_ASSERTIONS=0 -DMDBX_ENV_CHECKPID=0 -D__BLST_PORTABLE__ -Wno-unknown-warning-option -Wno-enum-int-mismatch -Wno-strict-prototypes -Wno-unused-but-set-variable" \
			go_build erigon bin -pgo=off -trimpath -tags nosqlite,noboltdb,nosilkworm github.com/erigontech/erigon/cmd/erigon
		;;
	ethereumjs) npm_ci ethereumjs ;;
	lodestar)
		npm_ci lodestar
		# Not by npm ci: half of what its package.json wants isn't there, and its Engine API client doesn't need it.
		(
			cd "$home/lodestar"
			npm pack --silent @lodestar/beacon-node@1.44.0
			sha512sum -c SHA512SUMS
			mkdir -p node_modules/@lodestar/beacon-node
			tar xzf lodestar-beacon-node-1.44.0.tgz -C node_modules/@lodestar/beacon-node --strip-components 1
		)
		;;
	beaconkit)
		mkdir -p "$home/beaconkit" # its geth is Berachain's
		go_build beaconkit beaconkit -pgo=off -trimpath \
			github.com/berachain/beacon-kit/cmd/beacond github.com/ethereum/go-ethereum/cmd/geth
		# The configuration of its own tests' chain.
		files=$(cd "$here/beaconkit" && go list -m -f '{{.Dir}}' github.com/berachain/beacon-kit)/testing/files
		install -m 644 "$files/spec.toml" "$files/eth-genesis.json" "$files/kzg-trusted-setup.json" "$home/beaconkit/"
		;;
	*)
		echo "install.sh: $client: there are geth, prysm, ethereumjs, erigon, lodestar, beaconkit" >&2
		exit 2
		;;
	esac
	version "$client" >"$home/$client.installed"
done
