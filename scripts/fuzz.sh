#!/usr/bin/env bash
# Runs every fuzz target of the module for the given time (default 20s), one after another.
set -euo pipefail
cd "$(dirname "$0")/.."
for package in $(go list ./...); do
  for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
    printf '\n== %s %s\n' "$package" "$target"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "${1:-20s}" "$package"
  done
done
