#!/bin/sh
# Runs before the files of the package go. Debian calls it with `remove` (or `upgrade`), RPM with the number of
# versions that stay: 0 on a removal. An upgrade stops nothing.
set -e

case "$1" in
remove | 0) ;;
*) exit 0 ;;
esac

if [ -d "${DPKG_ROOT:-}/run/systemd/system" ]; then
  systemctl disable --now oci-proxy-mirror.timer oci-proxy.socket oci-proxy.service || true
  systemctl stop oci-proxy-mirror.service || true
fi
