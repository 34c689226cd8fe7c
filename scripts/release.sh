#!/usr/bin/env bash
# Makes a release into dist/: `make release-snapshot` and `make release` call it.
#
#   scripts/release.sh snapshot    everything, signed by a key that is thrown away; publishes nothing, needs no network
#   scripts/release.sh publish     of the tag of this commit, and a draft on the site that hosts the repository
#
# The tools are those of scripts/parts.txt, set release.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=${OCIPROXY_PARTS:-$PWD/.bin}:$PATH

pinned=$(awk '$1 == "toolchain" { print $2 }' go.mod)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
COMMIT=$(git rev-parse HEAD)
COMMIT_TIME=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
export SOURCE_DATE_EPOCH COMMIT COMMIT_TIME

case ${1:-} in
snapshot)
  VERSION=0.0.0-snapshot.g$(git rev-parse --short=12 HEAD)
  flags=(--snapshot)
  if [ "$(go env GOVERSION)" != "$pinned" ]; then
    echo "release: built by $(go env GOVERSION); a release is built by $pinned" >&2
  fi
  if [ -z "${OCIPROXY_SIGN_KEY:-}" ]; then
    keys=$(mktemp -d)
    trap 'rm -rf "$keys"' EXIT
    export COSIGN_PASSWORD="" OCIPROXY_SIGN_KEY=$keys/cosign.key
    cosign generate-key-pair --output-key-prefix "$keys/cosign"
  fi
  ;;
publish)
  tag=$(git describe --tags --exact-match) # fails where the commit has no tag
  VERSION=${tag#v}
  flags=()
  export GOTOOLCHAIN=$pinned
  ;;
*) echo "usage: scripts/release.sh snapshot|publish" >&2; exit 2 ;;
esac
export VERSION

make --no-print-directory manual VERSION="v$VERSION" MANUAL=.cache/manual
goreleaser release --clean "${flags[@]}"
if [ -n "${OCIPROXY_SIGN_KEY:-}" ]; then
  cosign public-key --key "$OCIPROXY_SIGN_KEY" >dist/cosign.pub
fi
