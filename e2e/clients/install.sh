#!/bin/sh
# install.sh CLIENT...: real clients for the end-to-end tests, at pinned versions, into EXECUTIONBACKUP_E2E_HOME (by
# default executionbackup-e2e in the user's cache). What is there already is left alone. The versions are in the go.mod and
# package.json files beside this one; geth's is that of the project. Needs Go, a C compiler and Node.js with npm.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
home=${EXECUTIONBACKUP_E2E_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/executionbackup-e2e}
mkdir -p "$home/bin" "$home/ethereumjs"

# go_build MODULE PACKAGE...: build programs of a module of ours that only pins a version
go_build() {
	module=$1
	shift
	(cd "$here/$module" && go build -buildvcs=false -ldflags '-s -w' -o "$home/bin/" "$@")
}

# version CLIENT: what pins it
version() { cat "$here/$1"/go.mod "$here/$1"/*.json "$here/$1"/*.cjs 2>/dev/null || true; }

# is_new CLIENT: whether that version of it is not yet there
is_new() {
	version "$1" | cmp -s - "$home/$1.installed" && return 1
	echo "installing $1"
}

for client in "$@"; do
	is_new "$client" || continue
	case $client in
	geth) go_build geth github.com/ethereum/go-ethereum/cmd/geth ;;
	prysm)
		prysm=github.com/OffchainLabs/prysm/v7/cmd
		go_build prysm -pgo=off -trimpath $prysm/beacon-chain $prysm/validator $prysm/prysmctl
		;;
	erigon)
		# The flags of its own Makefile that matter: no assertions in the database, a BLS library for every processor.
		CGO_CFLAGS="-O2 -DMDBX_FORCE_ASSERTIONS=0 -DMDBX_ENV_CHECKPID=0 -D__BLST_PORTABLE__ -Wno-unknown-warning-option -Wno-enum-int-mismatch -Wno-strict-prototypes -Wno-unused-but-set-variable" \
			go_build erigon -pgo=off -trimpath -tags nosqlite,noboltdb,nosilkworm github.com/erigontech/erigon/cmd/erigon
		;;
	ethereumjs)
		cp "$here"/ethereumjs/* "$home/ethereumjs/"
		(cd "$home/ethereumjs" && npm ci --no-audit --no-fund --ignore-scripts)
		;;
	*)
		echo "install.sh: $client: there are geth, prysm, ethereumjs, erigon" >&2
		exit 2
		;;
	esac
	version "$client" >"$home/$client.installed"
done
