#!/usr/bin/env bash
# Finds tests that fail by chance: runs them again and again beside busy cores. --help says how.
cd "$(dirname "$0")/.." || exit 1
exec go run ./scripts/suite flaky "$@"
