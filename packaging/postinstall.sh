#!/bin/sh
# deb: "configure" and the version before; rpm: 1 at the first installation, 2 at an upgrade.
set -e
[ -d /run/systemd/system ] && systemctl daemon-reload
if { [ "$1" = configure ] && [ -n "$2" ]; } || [ "$1" = 2 ]; then
	# A running service goes on with the new version.
	[ -d /run/systemd/system ] && systemctl try-restart executionbackup.service || true
elif [ ! -e /etc/executionbackup/jwt.hex ]; then
	echo "executionbackup: edit /etc/executionbackup/executionbackup.yaml, put the JWT secret into /etc/executionbackup/jwt.hex, then:"
	echo "  systemctl enable --now executionbackup"
fi
exit 0
