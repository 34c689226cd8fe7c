#!/usr/bin/env bash
# Signs what a release is: goreleaser calls it (.goreleaser.yaml).
#
#   scripts/sign.sh checksums  CHECKSUMS BUNDLE    signs the list of checksums
#   scripts/sign.sh provenance CHECKSUMS BUNDLE    writes what the release was built from, and signs that
#
# With OCIPROXY_SIGN_KEY it signs by that key of cosign, without network; COSIGN_PASSWORD opens the key. Otherwise it
# signs as the workflow that runs it (keyless): cosign gets a certificate for the workflow's identity and records the
# signature in the public log.
set -euo pipefail

what=$1 checksums=$2 bundle=$3

flags=(--yes)
if [ -n "${OCIPROXY_SIGN_KEY:-}" ]; then
  flags+=(--key "$OCIPROXY_SIGN_KEY" --use-signing-config=false --tlog-upload=false)
fi

case $what in
checksums) cosign sign-blob "${flags[@]}" --bundle "$bundle" "$checksums" ;;
provenance)
  statement=$(mktemp)
  trap 'rm -f "$statement"' EXIT
  go run ./scripts/provenance -checksums "$checksums" -version "v$VERSION" -out "$statement"
  cosign attest-blob "${flags[@]}" --statement "$statement" --bundle "$bundle"
  ;;
*) echo "sign: unknown $what" >&2; exit 2 ;;
esac
