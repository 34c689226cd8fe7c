#!/usr/bin/env bash
# Installs the pinned parts of the named sets (scripts/parts.txt) and says how long each took.
#
#   scripts/parts.sh SET…
#
# Go programs are built into .bin/ ($OCIPROXY_PARTS when set), one after another. Which version a program there has is
# asked of the program itself, so a second run builds nothing; of a package of npm, its package.json. Debian packages are installed where root may do so;
# elsewhere it says what to install, and the tests that need them are skipped.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
bin=${OCIPROXY_PARTS:-$here/.bin}
mkdir -p "$bin"

say() { printf 'parts: %s\n' "$*" >&2; }

# installed FILE PACKAGE VERSION: does FILE say that it was built from that package at that version?
installed() {
  [ -x "$1" ] || return 1
  local info
  info=$(go version -m "$1" 2>/dev/null) || return 1
  local path module
  path=$(awk '$1 == "path" { print $2 }' <<<"$info")
  module=$(awk '$1 == "mod" { print $3 }' <<<"$info")
  [ "$path" = "$2" ] && [ "$module" = "$3" ]
}

install_go() {
  local file=$1 package=${2%@*} version=${2#*@}
  installed "$bin/$file" "$package" "$version" && return
  local start=$SECONDS
  # -mod and -modfile of a developer's environment would break `go install package@version`.
  (cd "$bin" && GOFLAGS=-buildvcs=false GOBIN=$(dirname "$bin/$file") go install "$package@$version") ||
    { say "cannot build $package@$version"; exit 1; }
  say "$file $version built in $((SECONDS - start)) s"
}

# install_module FILE PACKAGE@VERSION MODULE [LDFLAGS]: for a module whose go.mod replaces others, which `go install` refuses
# to build. A module that is thrown away requires it and takes over its replacements and settings. Those of Kubernetes are directories of
# its repository, which are released as modules of their own: at v0.36.3 for Kubernetes v1.36.3.
install_module() {
  local file=$1 package=${2%@*} version=${2#*@} module=$3 ldflags=${4:-}
  installed "$bin/$file" "$package" "$version" && return
  local start=$SECONDS dir status=0
  dir=$(mktemp -d)
  (
    cd "$dir"
    gomod=$(go mod download -json "$module@$version" | sed -n 's/^\t"GoMod": "\(.*\)",\{0,1\}$/\1/p')
    {
      printf 'module parts\n\n%s\n\nrequire %s %s\n\n' "$(awk '/^(go|godebug) [^(]/; /^godebug \(/, /^\)/' "$gomod")" "$module" "$version"
      grep '^replace [^(]' "$gomod" || true
      awk -v "v=v0.${version#v1.}" '/^replace \(/ { block = 1 } /^\)/ { block = 0 } block && $3 ~ /^\.\// { print "replace", $1, "=>", $1, v }' "$gomod"
    } >go.mod
    GOFLAGS='-mod=mod -buildvcs=false' CGO_ENABLED=0 go build -ldflags "$ldflags" -o "$bin/$file" "$package"
  ) || status=$?
  rm -rf "$dir"
  [ $status = 0 ] || { say "cannot build $package@$version"; exit 1; }
  say "$file $version built in $((SECONDS - start)) s"
}

# link_source DIR MODULE@VERSION: the files of a module in Go's cache, for those that tests read.
link_source() {
  local dir
  dir=$(go mod download -json "$2" | sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p')
  [ -d "$dir" ] || { say "cannot download $2"; exit 1; }
  ln -sfn "$dir" "$bin/$1"
}

# install_npm DIR PACKAGE@VERSION: into a directory of its own.
install_npm() {
  local dir=$bin/$1 package=${2%@*} version=${2##*@}
  local manifest=$dir/node_modules/$package/package.json
  [ -f "$manifest" ] && grep -q "\"version\": \"$version\"" "$manifest" && return
  if ! command -v npm >/dev/null; then
    say "not installed: $2"
    say "hint: install Node.js with npm and run this again; tests that need it are skipped"
    return
  fi
  local start=$SECONDS log
  log=$(mktemp)
  mkdir -p "$dir"
  if ! npm install --prefix "$dir" --no-audit --no-fund --no-update-notifier --save-exact "$2" </dev/null >"$log" 2>&1; then
    tail -20 "$log" >&2
    say "npm install $2: see above"
    exit 1
  fi
  rm -f "$log"
  say "$1 $version installed in $((SECONDS - start)) s"
}

apt_missing=()
want_apt() {
  local packages
  read -ra packages <<<"$2"
  PATH=$PATH:/usr/sbin:/sbin:/usr/lib/cni command -v "$1" >/dev/null || apt_missing+=("${packages[@]}")
}

install_apt() {
  [ ${#apt_missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    say "not installed: ${apt_missing[*]}"
    say "hint: as root, apt-get install --no-install-recommends ${apt_missing[*]}; tests that need them are skipped"
    return 0
  fi
  local start=$SECONDS log
  log=$(mktemp)
  if ! { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${apt_missing[@]}"; } \
    </dev/null >"$log" 2>&1; then
    tail -20 "$log" >&2
    say "apt-get install ${apt_missing[*]}: see above"
    exit 1
  fi
  rm -f "$log"
  say "${apt_missing[*]} installed in $((SECONDS - start)) s"
}

[ $# -gt 0 ] || { echo "usage: scripts/parts.sh SET…  (unit, lint, test, slow, kube, infra, bench, release)" >&2; exit 2; }
npms=()
while read -r kind set file source; do
  case $kind in '' | '#'*) continue ;; esac
  [[ " $* " == *" $set "* ]] || continue
  case $kind in
  go) install_go "$file" "$source" ;;
  module)
    read -r package module ldflags <<<"$source"
    install_module "$file" "$package" "$module" "$ldflags"
    ;;
  source) link_source "$file" "$source" ;;
  npm) npms+=("$file $source") ;;
  apt) want_apt "$file" "$source" ;;
  *) say "parts.txt: unknown kind $kind"; exit 2 ;;
  esac
done <"$here/scripts/parts.txt"
install_apt
# After Debian's packages, which may bring npm.
for npm in "${npms[@]}"; do install_npm "${npm% *}" "${npm#* }"; done
