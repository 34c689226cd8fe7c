#!/usr/bin/env bash
# Signs a release: goreleaser calls it (.goreleaser.yaml).
#
#   scripts/sign.sh CHECKSUMS SIGNATURE PROVENANCE
#
# signs the list of checksums into SIGNATURE, writes what the release was built from, and signs that into PROVENANCE.
#
# With OCIPROXY_SIGN_KEY it signs by that key of cosign, without network; COSIGN_PASSWORD opens the key. Otherwise it
# signs as the workflow that runs it (keyless): cosign gets a certificate for the workflow's identity and records the
# signature in the public log.
set -euo pipefail

checksums=$1 signature=$2 provenance=$3

flags=(--yes)
if [ -n "${OCIPROXY_SIGN_KEY:-}" ]; then
  flags+=(--key "$OCIPROXY_SIGN_KEY" --use-signing-config=false --tlog-upload=false)
fi

cosign sign-blob "${flags[@]}" --bundle "$signature" "$checksums"

statement=$(mktemp)
trap 'rm -f "$statement"' EXIT
go run ./scripts/provenance -checksums "$checksums" -version "v$VERSION" -out "$statement"
cosign attest-blob "${flags[@]}" --statement "$statement" --bundle "$provenance"
