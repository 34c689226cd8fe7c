#!/usr/bin/env bash
# gofmt, go vet and golangci-lint over both modules. Every fault is shown, then it fails.
set -uo pipefail
cd "$(dirname "$0")/.."
bin=${OCIPROXY_PARTS:-$PWD/.bin}
status=0

unformatted=$(gofmt -l $(git ls-files -co --exclude-standard '*.go'))
if [ -n "$unformatted" ]; then
  printf 'lint: not formatted (hint: gofmt -w FILE):\n%s\n' "$unformatted" >&2
  status=1
fi
for module in . test; do
  (cd "$module" && go vet ./...) || status=1
  (cd "$module" && "$bin/golangci-lint" run --config "$OLDPWD/.golangci.yml" ./...) || status=1
done
exit $status
