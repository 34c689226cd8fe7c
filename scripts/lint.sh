#!/usr/bin/env bash
# Looks at what is written, without running it: gofmt, the length of files, and in each module go vet, golangci-lint and
# go mod tidy; shellcheck of scripts and actionlint of workflows. Every fault is shown, then it fails.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
root=$PWD
bin=${OCIPROXY_PARTS:-$root/.bin}
status=0

fault() {
  printf 'lint: %s\n' "$*" >&2
  status=1
}

# lacks PROGRAM: it is not there; that is a fault where no suite may be skipped.
lacks() {
  command -v "$1" >/dev/null && return 1
  if [ "${OCIPROXY_REQUIRE_PARTS:-}" = 1 ]; then
    fault "no ${1##*/} (hint: scripts/parts.sh lint)"
  else
    printf 'lint: no %s: skipped (hint: scripts/parts.sh lint)\n' "${1##*/}" >&2
  fi
}

mapfile -t sources < <(git ls-files -co --exclude-standard '*.go')
unformatted=$(gofmt -l "${sources[@]}")
[ -z "$unformatted" ] || fault "not formatted (hint: gofmt -w FILE):
$unformatted"

max=500 # lines of a file, tests too
long=$(awk -v max=$max 'FNR > max && !seen[FILENAME]++ { print FILENAME }' "${sources[@]}")
[ -z "$long" ] || fault "more than $max lines (hint: split it by subject):
$long"

while read -r file; do
  module=$(dirname "$file")
  (cd "$module" && go mod tidy -diff) || fault "$file is not tidy (hint: go mod tidy)"
  (cd "$module" && go vet ./...) || status=1
  (cd "$module" && "$bin/golangci-lint" run --config "$root/.golangci.yml" ./...) || status=1
done < <(git ls-files '*go.mod')

if ! lacks shellcheck; then
  mapfile -t scripts < <(git grep -lE '^#!.*\b(ba)?sh\b' -- ':!*.go' ':!*.md' ':!*.txtar')
  shellcheck "${scripts[@]}" || status=1
fi
if ! lacks "$bin/actionlint"; then
  mapfile -t workflows < <(git grep -lE '^ +runs-on:' -- '*.yaml' '*.yml')
  [ ${#workflows[@]} = 0 ] || "$bin/actionlint" "${workflows[@]}" || status=1
fi
exit $status
