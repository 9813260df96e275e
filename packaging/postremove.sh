#!/bin/sh
# Secrets, state and evidence go with a purge only.
set -e
[ -d /run/systemd/system ] && systemctl daemon-reload || true
if [ "$1" = purge ]; then
	rm -rf /etc/executionbackup /var/lib/private/executionbackup
	rm -f /var/lib/executionbackup
fi
exit 0
