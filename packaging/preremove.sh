#!/bin/sh
# deb: "remove"; rpm: 0 where nothing of it stays.
set -e
if { [ "$1" = remove ] || [ "$1" = 0 ]; } && [ -d /run/systemd/system ]; then
	systemctl disable --now executionbackup.service || true
fi
