#!/bin/sh
# Runs after the files of the package are gone. Debian calls it with `remove`, and with `purge` when nothing is to be
# left; RPM with the number of versions that stay.
set -e

root=${DPKG_ROOT:-}
if [ -d "$root/run/systemd/system" ]; then
  systemctl daemon-reload || true
fi

# DynamicUser= keeps the directories in private/, behind links. They hold what can be fetched again, and copies of the
# config.
case "$1" in
purge | 0)
  for name in cache/private/oci-proxy cache/oci-proxy lib/private/oci-proxy lib/oci-proxy \
    cache/private/oci-proxy-mirror cache/oci-proxy-mirror; do
    rm -rf "$root/var/${name:?}"
  done
  ;;
esac
