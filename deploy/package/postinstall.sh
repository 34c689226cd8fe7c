#!/bin/sh
# Runs after the files of the package are there. Debian calls it with `configure` and the version that was there
# before, RPM with the number of versions that are installed now: 1 on a first install. DPKG_ROOT is where dpkg installs
# with --root and --force-script-chrootless; otherwise it is empty.
#
# It enables and starts nothing: the sample config names hosts that do not exist. After an upgrade it restarts a
# server that runs, but only with a config that the new version accepts.
set -e

root=${DPKG_ROOT:-}
config=$root/etc/oci-proxy/config.yaml

upgrade=
case "$1" in
configure) [ -z "$2" ] || upgrade=1 ;;
[2-9]*) upgrade=1 ;;
1) ;;
*) exit 0 ;; # Debian's abort-*
esac

running() { [ -d "$root/run/systemd/system" ]; }

if running; then
  systemctl daemon-reload || true
fi

if [ -n "$upgrade" ]; then
  if ! running || ! systemctl is-active --quiet oci-proxy.service; then
    exit 0
  fi
  if oci-proxy check --no-files "$config" >/dev/null 2>&1; then
    systemctl try-restart oci-proxy.service || true
  else
    echo "oci-proxy: the new version does not accept $config: the old one keeps running" >&2
    echo "hint: oci-proxy check $config; then systemctl restart oci-proxy.service" >&2
  fi
  exit 0
fi

cat <<END
oci-proxy is installed. Nothing is enabled or started yet:
  1. write your registry and buckets into $config
  2. oci-proxy check --live
  3. systemctl enable --now oci-proxy.socket oci-proxy.service
END
