#!/bin/sh
# deb: "remove"; rpm: 0 where nothing of it stays.
set -e
if { [ "$1" = remove ] || [ "$1" = 0 ]; } && [ -d /run/systemd/system ]; then
	# The socket first: it would start the service again.
	systemctl disable --now executionbackup.socket executionbackup.service || true
fi
