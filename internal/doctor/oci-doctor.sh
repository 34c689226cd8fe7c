#!/bin/sh
# oci-doctor.sh: why do pulls from a registry fail on this machine? It needs a POSIX shell and curl. It sends no
# credentials but those in HTTPS_PROXY, to that proxy. The program oci-doctor knows more.
set -u
LC_ALL=C
export LC_ALL

usage() {
  cat <<'END'
usage: oci-doctor.sh [-t SECONDS] [http://]NAME[/REPOSITORY[:TAG|@DIGEST]]

Tries what a container runtime does when it pulls from the registry NAME, and says in one sentence
what to open or to fix. Below it is a table of what was tried. It uses HTTPS, except for 127.0.0.1 and
localhost; write http://NAME for plain HTTP.

  -t SECONDS  time for one step (default 5)
  -h, --help  print this text

  oci-doctor.sh registry.example.org
  oci-doctor.sh registry.example.org/sample/app:1.0

Exit codes: 0 all is well, 1 a fault of this machine or its network, 2 usage, 4 no fault of these: the
registry is at fault, or has no such image. It takes six times SECONDS at most, and reads at most 32 MiB.
END
}

wrong() {
  printf 'oci-doctor.sh: %s\nhint: oci-doctor.sh registry.example.org/sample/app:1.0\n' "$1" >&2
  exit 2
}

t=5
if [ "${1:-}" = --help ]; then usage && exit 0; fi
while getopts :t:h option; do
  case $option in
  t) t=$OPTARG ;;
  h) usage && exit 0 ;;
  :) wrong "-$OPTARG: want a number of seconds" ;;
  *) wrong "unknown option; --help lists them" ;;
  esac
done
shift $((OPTIND - 1))
case $t in '' | 0* | *[!0-9]* | ????*) wrong "-t $t: want a number of seconds" ;; esac
[ $# = 1 ] || wrong "name the registry"
command -v curl >/dev/null || { echo 'oci-doctor.sh: there is no curl: install it' >&2 && exit 1; }

# literal HOST: is it an address of IPv4? loopback HOST: is it this machine?
literal() { case ${1%:*} in *[!0-9.]*) return 1 ;; *.*.*.*) return 0 ;; *) return 1 ;; esac }
loopback() { case ${1%:*} in localhost) return 0 ;; 127.*) literal "$1" ;; *) return 1 ;; esac }

rest=${1#http://}
[ "$rest" != "$1" ] || rest=${rest#https://}
registry=$(printf '%s' "${rest%%/*}" | tr '[:upper:]' '[:lower:]')
scheme=https
case $1 in
http://*) scheme=http ;;
https://*) ;;
*) ! loopback "$registry" || scheme=http ;;
esac
case $registry in '' | *[!A-Za-z0-9.:_-]*) wrong "registry $registry: want a name such as registry.example.org" ;; esac
image=
case $rest in */?*) image=${rest#*/} ;; esac
tag=latest
case $image in
*@*) tag=${image#*@} image=${image%%@*} ;;
*:*) tag=${image##*:} image=${image%:*} ;;
esac
case $image$tag in *[!A-Za-z0-9.:_/-]*) wrong "image $image:$tag: want REPOSITORY[:TAG]" ;; esac
base=$scheme://$registry
begin=$(date +%s)

# readable PROXY: can curl read this setting? Some runtimes read more, such as an @ in the password.
readable() {
  case $1 in '') return 0 ;; *[![:print:]]*) return 1 ;; esac
  printf '%s\n' "$1" |
    grep -Eiq "^((https?|socks5h?)://)?(([a-z0-9._~!\$&'()*+,;=:-]|%[0-9a-f]{2})*@)?([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?/?\$"
}

# The environment as runtimes read it: names in upper case first, and no ALL_PROXY. curl never sees a proxy that it cannot
# read: its errors repeat the password.
https_proxy=${HTTPS_PROXY:-${https_proxy:-}}
http_proxy=${HTTP_PROXY:-${http_proxy:-}}
no_proxy=${NO_PROXY:-${no_proxy:-}}
unset HTTPS_PROXY HTTP_PROXY NO_PROXY ALL_PROXY all_proxy
unread=
readable "$https_proxy" || https_proxy='' unread=HTTPS_PROXY
readable "$http_proxy" || http_proxy='' unread="$unread HTTP_PROXY"
export https_proxy http_proxy no_proxy
variable=HTTPS_PROXY
[ "$scheme" = https ] || variable=HTTP_PROXY

dir=${TMPDIR:-/tmp}/oci-doctor.$$
(umask 077 && mkdir "$dir") || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
: >"$dir/rows"
: >"$dir/hosts"

# safe leaves nothing that a terminal would obey. Servers choose much of the text.
safe() { tr -d '\000-\010\013-\037\177' | tr '\200-\377' '?'; }

# row FILE RESULT HOST WHAT DETAIL adds a row of the table.
row() { printf '%-6s  %-40s  %-8s  %s\n' "$2" "$3" "$4" "$5" | safe >>"$dir/$1"; }

# says CODE SENTENCE ends with the sentence and the table.
says() {
  printf '%s\n\n' "$2" | safe
  printf '%-6s  %-40s  %-8s  %s\n' RESULT HOST WHAT DETAIL
  n=1
  while [ -f "$dir/$n.rows" ]; do
    cat "$dir/$n.rows"
    n=$((n + 1))
  done
  cat "$dir/rows"
  exit "$1"
}

owner() { says 4 "$1, which is not your network's fault: tell the operator of $registry."; }

# ask FILE SECONDS URL [OPTION…] makes a request. The body comes into FILE, curl's talk into FILE.talk, and what is known of
# the answer into FILE.meta: curl's exit code, the status, the proxy's status, the times of name, connection and TLS, the
# bytes, and where it redirects to. curl gets no more than $most KiB. It obeys nothing that a server can write into a URL:
# no scheme but these, and no patterns.
most=8192
spent=0 # bytes, of requests that are not made at the same time as others
ask() {
  file=$dir/$1 seconds=$2 url=$3
  shift 3
  ! loopback "$(hostof "$url")" || set -- "$@" --noproxy '*'
  : >"$file"
  left=$((begin + 6 * t - $(date +%s)))
  [ "$seconds" -le "$left" ] || seconds=$left
  if [ "$seconds" -le 0 ]; then
    : >"$file.talk"
    : >"$file.header"
    echo '99 000 000 0 0 0 0' >"$file.meta" # no code of curl
    return
  fi
  if [ "$spent" -gt 16777216 ]; then
    : >"$file.talk"
    : >"$file.header"
    echo '63 000 000 0 0 0 0' >"$file.meta"
    return
  fi
  meta=$(
    trap '' XFSZ # then writing fails, and curl says so
    ulimit -f $((most * 2 + 16)) 2>/dev/null # for answers that do not say how long they are
    curl -q -sS -v -g --proto '=http,https' --connect-timeout "$t" --max-time "$seconds" --max-filesize $((most * 1024)) \
      -A oci-doctor.sh -o "$file" -D "$file.header" \
      -w '%{http_code} %{http_connect} %{time_namelookup} %{time_connect} %{time_appconnect} %{size_download} %{redirect_url}' \
      "$@" --url "$url" 2>"$file.talk"
  )
  echo "$? $meta" >"$file.meta"
  spent=$((spent + $(wc -c <"$file")))
}

said() { grep -qiE "$1" "$dir/$2.talk"; }

# told FILE prints curl's error up to a quotation, which may be something secret.
told() { sed -n "s/ '.*//; s/^curl: ([0-9]*) //p" "$dir/$1.talk" | sed -n 1p; }

# fault FILE prints why a request failed, or nothing.
fault() {
  read -r code status connect looked connected _ <"$dir/$1.meta"
  case $code in
  0) if page "$1"; then echo web-page; fi ;;
  5 | 97) echo proxy-dead ;;
  99) echo late ;;
  23 | 63) if page "$1"; then echo web-page; else echo too-much; fi ;;
  98) echo redirect ;;
  6) echo no-name ;;
  7)
    if via "$1" >/dev/null; then
      echo proxy-dead
    elif said 'network (is )?unreachable|cannot assign requested address' "$1"; then
      echo no-route
    elif said 'no route to host|permission denied|host is unreachable|invalid argument|operation not permitted' "$1"; then
      echo rejected
    else
      echo refused
    fi
    ;;
  28)
    if [ "$(zero "$connected")" = no ] || said 'client hello|ALPN' "$1"; then
      echo stalled
    elif via "$1" >/dev/null; then
      echo proxy-dead
    elif [ "$(zero "$looked")" = yes ]; then
      echo dns-dead
    else
      echo no-answer
    fi
    ;;
  60 | 51)
    if said 'expired|not yet valid' "$1"; then
      echo tls-time
    elif said 'subject name|does not match|alternative name' "$1"; then
      echo tls-name
    else
      echo tls-untrusted
    fi
    ;;
  *)
    case $connect in
    407) echo proxy-login ;;
    4??) echo proxy-refuses ;;
    5??) echo proxy-fails ;;
    *)
      if [ "$code" = 35 ] && said 'wrong version|http request|packet length' "$1"; then
        echo not-tls
      else
        echo cut-off
      fi
      ;;
    esac
    ;;
  esac
}

# reach FILE prints why a host cannot be reached, or nothing. How much it sends does not matter.
reach() {
  f=$(fault "$1")
  [ "$f" = too-much ] || echo "$f"
}

zero() { case $1 in *[1-9]*) echo no ;; *) echo yes ;; esac; }

# page FILE: is the answer a web page?
page() {
  read -r _ status _ <"$dir/$1.meta"
  case $status in
  511) return 0 ;;
  2??) grep -qi '^content-type: *text/html' "$dir/$1.header" ;;
  *) return 1 ;;
  esac
}

# via FILE prints the proxy of the environment that a request took.
via() {
  case $(sed -n 's/^\* Uses proxy env variable \(https*_proxy\) ==.*/\1/p' "$dir/$1.talk" | sed -n 1p) in
  https_proxy) proxy=$https_proxy ;;
  http_proxy) proxy=$http_proxy ;;
  *) return 1 ;;
  esac
  proxy=${proxy#*://}
  proxy=${proxy##*@}
  echo "${proxy%/}"
}

# issuer FILE prints the authority of the certificate in curl's talk.
issuer() {
  sed -n 's/^\*  *issuer: *//p' "$dir/$1.talk" | sed -n 1p | tr -d "\"'" | awk '{
    o = cn = $0
    if (!sub(/.*O *= */, "", o)) o = ""
    if (!sub(/.*CN *= */, "", cn)) cn = ""
    sub(/[;,].*/, "", o); sub(/[;,].*/, "", cn)
    if (cn == "") cn = o
    else if (o != "" && index(cn, o) == 0) cn = o " " cn
    print cn
  }'
}

# skew FILE prints how many seconds the clock of the host is ahead of this machine's.
skew() {
  {
    sed -n 's/^[Dd]ate: *[A-Za-z]*, *\([0-9]\{1,2\} [A-Za-z]\{3\} [0-9]\{4\} [0-9][0-9]:[0-9][0-9]:[0-9][0-9]\) GMT.*/\1/p' "$dir/$1.header" | sed -n 1p
    date -u '+%d %b %Y %H:%M:%S'
  } | awk '
    function seconds(text, p, h, y, m, a) {
      split(text, p, " "); split(p[4], h, ":")
      m = (index("JanFebMarAprMayJunJulAugSepOctNovDec", p[2]) + 2) / 3
      a = m <= 2; y = p[3] - a; m = m + 12 * a - 3
      return ((y * 365 + int(y / 4) - int(y / 100) + int(y / 400) + int((153 * m + 2) / 5) + p[1]) * 24 + h[1]) * 3600 + h[2] * 60 + h[3]
    }
    { at[NR] = seconds($0) }
    END { if (NR == 2) printf "%d\n", at[1] - at[2] }'
}

# look N HOST KIND tries the ways to a host, and leaves what it finds in files N.*.
look() {
  n=$1 host=$2 most=32
  path=/sha256:0000000000000000000000000000000000000000000000000000000000000000
  case $3 in registry | upstream) path=/v2/ ;; esac
  : >"$dir/$n.rows"
  if [ -n "$https_proxy$http_proxy" ]; then
    ask "$n.proxy" "$t" "$scheme://$host$path"
    if via "$n.proxy" >/dev/null; then
      f=$(reach "$n.proxy")
      [ "$f" != no-name ] || f="proxy-fails"
      if [ "$f" = not-tls ] && plain "$n" "$host" "$3"; then f=plain-http; fi
      result "$n" "$host" proxy "$f"
      echo "$f" >"$dir/$n.fault"
      echo "$n.proxy" >"$dir/$n.shows"
      via "$n.proxy" >"$dir/$n.via"
      if [ "$f" = proxy-refuses ]; then
        ask "$n.ipv4" "$t" "$scheme://$host$path" --noproxy '*'
        [ -n "$(reach "$n.ipv4")" ] || : >"$dir/$n.direct"
      fi
      inspect "$n" "$host" "$path" "$f"
      return
    fi
  fi
  if literal "$host"; then
    : >"$dir/$n.ipv6.talk"
    echo '6 000 000 0 0 0 0' >"$dir/$n.ipv6.meta" # it has no IPv6
    ask "$n.ipv4" "$t" "$scheme://$host$path" -4
  else
    ask "$n.ipv6" "$t" "$scheme://$host$path" -6 &
    ask "$n.ipv4" "$t" "$scheme://$host$path" -4
    wait $!
  fi
  f4=$(reach "$n.ipv4") f6=$(reach "$n.ipv6")
  # A name without an address of one family is no fault.
  f=$f4 shows=$n.ipv4
  case $f4:$f6 in
  :*) ;;
  no-name:no-route | no-route:no-name) f=no-route ;;
  *:) f="" shows=$n.ipv6 ;;
  no-name:* | no-route:*) f=$f6 shows=$n.ipv6 ;;
  esac
  [ "$f4" != no-route ] || [ "$f6" != no-route ] || f=no-route
  if [ "$f" = not-tls ] && plain "$n" "$host" "$3"; then
    f=plain-http
    [ "$f4" != not-tls ] || f4=plain-http
    [ "$f6" != not-tls ] || f6=plain-http
  fi
  result "$n" "$host" ipv4 "$f4"
  result "$n" "$host" ipv6 "$f6"
  echo "$f" >"$dir/$n.fault"
  echo "$shows" >"$dir/$n.shows"
  # A server of this machine often listens in one family only, and a refusal there costs no time.
  if [ -z "$f" ] && ! loopback "$host"; then
    case $f4 in '' | no-name | no-route | dns-dead | late) ;; *) echo "$host" >"$dir/$n.broken4" ;; esac
    case $f6 in '' | no-name | no-route | dns-dead | late) ;; *) echo "$host" >"$dir/$n.broken6" ;; esac
  fi
  inspect "$n" "$host" "$path" "$f"
}

# plain N HOST KIND: is a server without TLS a registry, or another server that is there on purpose? A portal has a page of
# its own for every request.
plain() {
  [ "$3" = registry ] || return 1
  ask "$1.plain" "$t" "http://$(ported "$2")/v2/"
  read -r code _ _ _ _ _ _ redirect <"$dir/$1.plain.meta"
  [ "$code" = 0 ] && [ -z "$redirect" ] && ! page "$1.plain"
}

ported() { case $1 in *:*) echo "$1" ;; *) echo "$1:443" ;; esac }

# inspect N HOST PATH FAULT reads issuer and clock of a host whose certificate is not taken.
inspect() {
  case $4 in
  tls-*)
    ask "$1.inspect" "$t" "$scheme://$2$3" -k
    issuer "$1.inspect" >"$dir/$1.issuer"
    skew "$1.inspect" >"$dir/$1.skew"
    ;;
  esac
}

result() {
  case $4 in
  '') row "$1.rows" ok "$2" "$3" "status $(cut -d' ' -f2 "$dir/$1.$3.meta")" ;;
  no-name | no-route) row "$1.rows" info "$2" "$3" "$4" ;;
  *) row "$1.rows" error "$2" "$3" "$4: $(told "$1.$3")" ;;
  esac
}

# with FAULT… lists the hosts that have one of these faults, and leaves the first one's number in $first.
with() {
  : >"$dir/with"
  first=
  n=1
  while read -r host _; do
    for f in "$@"; do
      if [ "$(cat "$dir/$n.fault")" = "$f" ]; then
        echo "$host" >>"$dir/with"
        first=${first:-$n}
      fi
    done
    n=$((n + 1))
  done <"$dir/hosts"
  [ -s "$dir/with" ]
}

# series FILE writes its lines as people say a list.
series() {
  awk '{ line[NR] = $0 } END {
    last = NR; more = ""
    if (NR > 5) { last = 4; more = " and " (NR - 4) " more" }
    for (i = 1; i <= last; i++) printf "%s%s", i == 1 ? "" : i == last && more == "" ? " and " : ", ", line[i]
    printf "%s", more
  }' "$1"
}

them() { if [ "$(wc -l <"$dir/with")" -eq 1 ]; then echo it; else echo them; fi; }

ports() {
  if [ "$scheme" = https ] && ! grep -q ':' "$dir/with"; then
    echo "TCP port 443 to $(series "$dir/with")"
  else
    echo "TCP to $(series "$dir/with")"
  fi
}

# judge ends if the ways to the hosts show a fault.
judge() {
  if with proxy-dead; then
    says 1 "The proxy $(cat "$dir/$first.via") of your environment does not answer: start it, or correct $variable."
  fi
  if with proxy-login; then
    proxy=$(cat "$dir/$first.via")
    says 1 "The proxy $proxy wants a user and password (407): write them into $variable as http://USER:PASSWORD@$proxy."
  fi
  if with dns-dead; then
    [ "$first" != 1 ] || nobody
    says 1 "Your resolver gives no answer for $(series "$dir/with"): let it resolve $(them)."
  fi
  if with no-name && [ "$first" = 1 ]; then
    : >"$dir/dead"
    sed -n 's/^nameserver  *\([^ ]*\).*/\1/p' /etc/resolv.conf | sed -n 1,3p >"$dir/servers"
    while read -r server; do
      case $server in *:*) server="[$server]" ;; esac
      ask server "$t" "http://$server:53/" --noproxy '*'
      case $(fault server) in refused | no-answer | rejected | no-route) ;; *) : >"$dir/alive" ;; esac
    done <"$dir/servers"
    [ -f "$dir/alive" ] || nobody
  fi
  if with tls-time; then
    off=$(cat "$dir/$first.skew")
    case $off in -*) way=ahead off=${off#-} ;; *) way=behind ;; esac
    if [ "${off:-0}" -ge 300 ]; then
      says 1 "The clock of this machine is $(roughly "$off") $way: set it, and let it be kept by NTP."
    fi
  fi
  blocked
  if with tls-untrusted; then
    by=$(cat "$dir/$first.issuer") about=$(series "$dir/with")
    if [ -f "$dir/trusted" ]; then
      says 1 "Your network intercepts TLS to $about with certificates of \"$by\", which this machine does not trust: exempt $(them) from the inspection, or make machines and runtimes trust that authority."
    fi
    says 1 "The certificate of $about is of \"$by\", which this machine does not trust: if your network inspects TLS, exempt $(them) or trust that authority, otherwise tell the operator of $registry."
  fi
  if with tls-name; then
    says 1 "$(series "$dir/with") shows a certificate for another name: log in to this network if it has a portal, or correct what your resolver says of $(them)."
  fi
  if with tls-time; then
    if said 'not yet valid' "$(cat "$dir/$first.shows")"; then
      owner "The certificate of $(series "$dir/with") is not valid yet"
    fi
    owner "The certificate of $(series "$dir/with") expired"
  fi
  single
}

nobody() {
  sed -n 's/^nameserver  *\([^ ]*\).*/\1/p' /etc/resolv.conf | sed -n 1,3p >"$dir/servers"
  [ ! -s "$dir/servers" ] || servers=" ($(series "$dir/servers"))"
  says 1 "No resolver of this machine answers${servers:-}: correct /etc/resolv.conf, or let port 53 (UDP and TCP) through to it."
}

# why is the reason of the first host with a fault, in the words of the system.
why() {
  if said 'permission denied' "$(cat "$dir/$first.shows")"; then
    echo 'permission denied'
  elif said 'invalid argument' "$(cat "$dir/$first.shows")"; then
    echo 'invalid argument'
  else
    echo 'no route to host'
  fi
}

# blocked ends if nothing gets through.
blocked() {
  ! with '' || return 0
  if with no-route && [ "$first" = 1 ]; then
    says 1 "This machine has no route to $(series "$dir/with"): connect it to a network, or set HTTPS_PROXY if it must use a proxy."
  fi
  with no-answer refused rejected no-route || return 0
  [ "$first" = 1 ] || return 0
  case $(cat "$dir/1.fault") in
  refused) says 1 "Connections to $(series "$dir/with") are refused: let the firewall allow $(ports), or tell the operator of $registry if it does." ;;
  rejected) says 1 "Nothing of $registry can be reached from here ($(why)): let the firewall allow $(ports)." ;;
  *) says 1 "Nothing of $registry can be reached from here (no answer): let the firewall allow $(ports)." ;;
  esac
}

# single ends if single hosts cannot be reached.
single() {
  if with no-name; then
    if [ "$first" = 1 ]; then
      says 1 "The name ${registry%%:*} does not exist for your resolver: check the spelling, or let your resolver resolve it."
    fi
    says 1 "Your resolver does not know $(series "$dir/with"): let it resolve $(them)."
  fi
  if with proxy-refuses; then
    or=
    if [ -f "$dir/$first.direct" ]; then or=", or name $(them) in NO_PROXY, because direct connections work"; fi
    read -r _ _ connect _ <"$dir/$first.proxy.meta"
    says 1 "The proxy $(cat "$dir/$first.via") refuses connections to $(series "$dir/with") ($connect): let it allow $(ports)$or."
  fi
  if with proxy-fails; then
    read -r _ _ connect _ <"$dir/$first.proxy.meta"
    says 1 "The proxy $(cat "$dir/$first.via") cannot reach $(series "$dir/with") ($connect): let its own firewall and resolver allow $(them)."
  fi
  if with no-answer no-route; then
    says 1 "A firewall drops connections to $(series "$dir/with"): let it allow $(ports)."
  fi
  if with refused; then
    says 1 "Connections to $(series "$dir/with") are refused: let the firewall allow $(ports), or tell the operator of $registry if it does."
  fi
  if with rejected; then
    says 1 "A firewall or router rejects connections to $(series "$dir/with") ($(why)): let it allow $(ports)."
  fi
  if with cut-off; then
    says 1 "Connections to $(series "$dir/with") are cut off as soon as the name is sent: let the firewall allow $(them) by name."
  fi
  if with stalled; then
    says 1 "Connections to $(series "$dir/with") open, but no data come back: let the firewall pass them, or lower the MTU of this network (VPN)."
  fi
  if with plain-http; then
    says 4 "$registry speaks plain HTTP, not HTTPS: write http://$(ported "$registry"), and set the runtime to plain HTTP for it."
  fi
  if with not-tls web-page; then portal; fi
}

portal() {
  says 1 "A web page comes from $(series "$dir/with") in place of the registry's answer: log in to this network, or exempt $(them) from its web filter."
}

roughly() {
  if [ "$1" -ge 172800 ]; then
    echo "$((($1 + 43200) / 86400)) days"
  elif [ "$1" -ge 7200 ]; then
    echo "$((($1 + 1800) / 3600)) hours"
  else
    echo "$((($1 + 30) / 60)) minutes"
  fi
}

hostof() {
  h=${1#*://}
  h=${h%%/*}
  echo "${h%:443}"
}

# known HOST KIND notes a host once.
known() {
  case $1 in '' | *[!A-Za-z0-9.:_-]*) return ;; esac
  if [ "$(wc -l <"$dir/hosts")" -lt 64 ] && ! grep -q "^$1 " "$dir/hosts"; then echo "$1 $2" >>"$dir/hosts"; fi
}

# follow FILE URL [OPTION…] makes a request and follows redirects by hand, as far as clients do. It leaves the last URL in
# FILE.url.
follow() {
  to=$1 next=$2
  shift 2
  for _ in 1 2 3 4 5 6; do
    echo "$next" >"$dir/$to.url"
    ask "$to" $((3 * t)) "$next" "$@"
    read -r _ _ _ _ _ _ _ next <"$dir/$to.meta"
    [ -n "$next" ] || return
    case $(hostof "$next") in
    '' | *[!][A-Za-z0-9.:_-]*) next=- ;;
    esac
    case $next in
    https://*) ;;
    http://*) case $(cat "$dir/$to.url") in https://*) next=- ;; esac ;;
    *) next=- ;;
    esac
    if [ "$next" = - ]; then
      echo '98 000 000 0 0 0 0' >"$dir/$to.meta" # no code of curl
      return
    fi
    known "$(hostof "$next")" redirect
  done
}

# answered FILE WHAT adds a row, and notes a fault of the answer for later. It fails if there is one.
answered() {
  read -r code status _ <"$dir/$1.meta"
  host=$(hostof "$(cat "$dir/$1.url")")
  f=$(fault "$1")
  case $1:$f in
  layer:too-much) f=changed ;;
  range:too-much) f=ranges ;;
  esac
  case $f:$status in
  :401) f=login ;;
  :429) f=rate-limit ;;
  :5??) f="server-error" ;;
  esac
  if [ -n "$f" ]; then
    row rows error "$host" "$2" "$f ${status#000} $(told "$1")"
    later "$f" "$host" "$status"
    return 1
  fi
}

later() { [ -f "$dir/later" ] || echo "$1 $2 $3" >"$dir/later"; }

hash() {
  if command -v sha256sum >/dev/null; then
    sha256sum <"$1"
  elif command -v shasum >/dev/null; then
    shasum -a 256 <"$1"
  else
    openssl dgst -sha256 -r <"$1"
  fi 2>/dev/null | cut -c1-64
}

manifest() {
  follow manifest "$base/v2/$image/manifests/$1" -H 'Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json'
  answered manifest manifest || return 1
  if [ "$status" != 200 ]; then
    row rows error "$host" manifest "$status"
    later no-image "$host" "$status"
    return 1
  fi
  row rows ok "$host" manifest "$1"
  # One object of a list on each line.
  tr -d ' \t\r\n' <"$dir/manifest" | awk '{ gsub(/[}],[{]/, "}\n{"); gsub(/"layers":\[/, "\nlayers\n"); print }' >"$dir/objects"
}

digestof() { sed -n 's/.*"digest":"\(sha256:[0-9a-f]*\)".*/\1/p'; }

pull() {
  manifest "$tag" || return
  if grep -q '"manifests":\[' "$dir/objects"; then
    child=$(grep '"architecture":"amd64"' "$dir/objects" | digestof | sed -n 1p)
    [ -n "$child" ] || child=$(digestof <"$dir/objects" | sed -n 1p)
    manifest "$child" || return
  fi
  layer=$(sed '1,/^layers$/d' "$dir/objects" | awk '
    match($0, /"size":[0-9]+/) && RLENGTH <= 22 { size = substr($0, RSTART + 7, RLENGTH - 7) } # as shells can count
    match($0, /"digest":"sha256:[0-9a-f]+"/) { digest = substr($0, RSTART + 10, RLENGTH - 11) }
    digest != "" && size > 0 && (best == "" || size + 0 < best + 0) { best = size; is = digest }
    { size = digest = "" }
    END { print best, is }')
  size=${layer% *} digest=${layer#* }
  [ -n "$digest" ] || return
  if [ "$size" -gt 8388608 ]; then
    follow layer "$base/v2/$image/blobs/$digest" -I --max-filesize 0 # of no body
  else
    follow layer "$base/v2/$image/blobs/$digest"
  fi
  answered layer layer || return
  from=$(cat "$dir/layer.url")
  case $status in
  200) ;;
  403)
    row rows error "$host" layer "$status"
    later denied "$host" "$status"
    return
    ;;
  *)
    row rows error "$host" layer "$status"
    later missing "$host" "$status"
    return
    ;;
  esac
  if [ "$size" -le 8388608 ]; then
    sum=$(hash "$dir/layer")
    if [ -n "$sum" ] && [ "sha256:$sum" != "$digest" ] || [ "$(wc -c <"$dir/layer")" -ne "$size" ]; then
      row rows error "$host" layer "the bytes are not those of the digest"
      later changed "$host" "$status"
      return
    fi
  fi
  row rows ok "$host" layer "$digest ($size bytes)"
  half=$((size / 2))
  last=$((half + 65535))
  [ $last -lt "$size" ] || last=$((size - 1))
  echo "$from" >"$dir/range.url"
  ask range $((3 * t)) "$from" -r "$half-$last"
  answered range range || return
  if [ "$status" != 206 ] || ! grep -qi "^content-range: *bytes $half-$last/$size" "$dir/range.header" || [ "$(wc -c <"$dir/range")" -ne $((last - half + 1)) ]; then
    row rows error "$host" range "$status to a request for a part of the layer"
    later ranges "$host" "$status"
    return
  fi
  row rows ok "$host" range "bytes $half-$last"
  [ "$size" -gt 8388608 ] || : >"$dir/complete"
}

# bucket HOST URL finds the bucket of a URL, and its ARN, in the published list, or in the URL.
bucket() {
  path=${2#*://*/}
  name=${path%%/*}
  case $name in *[!A-Za-z0-9._-]*) name=$1 ;; esac
  case $1 in *.s3.*) name=${1%%.s3.*} ;; esac
  arn=
  if [ -f "$dir/list" ]; then
    grep -F "\"host\":\"${1%:*}\"" "$dir/endpoints" | sed -n 's/.*"bucket":"\([^"]*\)".*/\1/p' >"$dir/arns"
    arn=$(grep ":$name\$" "$dir/arns" | sed -n 1p)
    if [ -z "$arn" ] && [ "$(wc -l <"$dir/arns")" -eq 1 ]; then arn=$(cat "$dir/arns"); fi
  fi
  case $arn in '' | *[!A-Za-z0-9:._-]*) arn=arn:aws:s3:::$name ;; esac
  name=${arn##*:}
}

# answers ends if the pull met a fault.
answers() {
  [ -f "$dir/later" ] || return 0
  read -r f host status <"$dir/later"
  echo "$host" >"$dir/with"
  case $f in
  cut-off | stalled | no-answer | refused | rejected) # a broken family explains these
    if cat "$dir"/*.broken[46] 2>/dev/null | grep -qx "$host"; then return 0; fi
    ;;
  esac
  case $f in
  not-tls | web-page) portal ;;
  login) owner "$host asks for a login (401)" ;;
  rate-limit) owner "$host answers that there are too many requests (429)" ;;
  server-error) owner "$host answers $status" ;;
  answer) owner "$host does not answer as a registry ($status to /v2/)" ;;
  too-much) owner "$host sends more data than it should" ;;
  redirect) owner "$host redirects to an address that clients do not follow" ;;
  missing) owner "$host answers $status to a layer that the image has" ;;
  no-image)
    [ "$status" = 404 ] || owner "$host answers $status to the manifest of $image:$tag"
    says 4 "$registry has no image $image:$tag: check its name and tag."
    ;;
  denied)
    if grep -q '<Code>AccessDenied</Code>' "$dir/layer"; then
      bucket "$host" "$(cat "$dir/layer.url")"
      says 1 "The bucket $name at $host denies a layer that it should have (403 AccessDenied): allow s3:GetObject on $arn/* in the policy of your VPC endpoint, and tell the operator of $registry if you have none."
    fi
    says 1 "$host refuses a layer (403): exempt it from the web filter if your network has one, otherwise tell the operator of $registry."
    ;;
  changed) says 1 "Something between here and $host changes the bytes of layers: exempt $host from the proxy or scanner that does it, and tell the operator of $registry if there is none." ;;
  ranges) says 1 "Something between here and $host breaks requests for a part of a layer, so that interrupted pulls fail: exempt $host from the proxy or scanner that does it, and tell the operator of $registry if there is none." ;;
  cut-off | stalled) says 1 "The connection to $host breaks in the middle of an answer: exempt $host from limits on the size or time of downloads." ;;
  esac
  says 1 "A request to $host fails ($f): ask the people who run your network."
}

families() {
  for bad in 6 4; do
    cat "$dir"/*.broken$bad >"$dir/with" 2>/dev/null
    if [ -s "$dir/with" ]; then
      good=$((10 - bad))
      says 1 "IPv$bad to $(series "$dir/with") is broken while IPv$good works, so clients lose seconds at each connection or fail: let firewall and router pass IPv$bad, or switch IPv$bad off on this machine."
    fi
  done
}

# looks tries the hosts that were not tried yet, all at once.
looks() {
  n=1
  pids=
  while read -r host kind; do
    if [ ! -f "$dir/$n.fault" ]; then
      look "$n" "$host" "$kind" </dev/null &
      pids="$pids $!"
    fi
    n=$((n + 1))
  done <"$dir/hosts"
  # shellcheck disable=SC2086 # these are several
  [ -z "$pids" ] || wait $pids
}

case " $unread " in
*" $variable "*)
  if ! loopback "$registry"; then
    row rows error "$registry" proxy proxy-setting
    says 1 "The proxy in $variable of your environment cannot be read: write http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT with special characters as %XX."
  fi
  ;;
esac
known "$(hostof "$registry")" registry
looks
judge
: >"$dir/trusted"
echo "$base/v2/" >"$dir/api.url"
most=32
follow api "$base/v2/"
most=8192
if answered api api; then
  if [ "$status" = 200 ]; then
    row rows ok "$host" api 200
  else
    row rows error "$host" api "$status"
    later answer "$host" "$status"
  fi
fi
if [ ! -f "$dir/later" ]; then
  ask list "$t" "$base/.well-known/oci-proxy/endpoints.json"
  read -r code status _ <"$dir/list.meta"
  if [ "$code" = 0 ] && [ "$status" = 200 ] && grep -q '"endpoints"' "$dir/list"; then
    tr -d ' \t\r\n' <"$dir/list" | awk '{ gsub(/[}],[{]/, "}\n{"); print }' >"$dir/endpoints"
    awk 'match($0, /"host":"[^"]*"/) {
      host = substr($0, RSTART + 8, RLENGTH - 9); kind = "store"; port = ""
      if (match($0, /"kind":"[^"]*"/)) kind = substr($0, RSTART + 8, RLENGTH - 9)
      if (match($0, /"port":[0-9]+/) && RLENGTH <= 12) port = substr($0, RSTART + 7, RLENGTH - 7)
      if (port != "" && port != 443) host = host ":" port
      print host, kind
    }' "$dir/endpoints" >"$dir/listed"
    row rows ok "$registry" list "$(wc -l <"$dir/listed" | tr -d ' ') hosts published"
    while read -r host kind; do known "$host" "$kind"; done <"$dir/listed"
  else
    rm -f "$dir/list"
    row rows info "$registry" list "the registry publishes no list of hosts"
  fi
  looks &
  all=$!
  if [ -n "$image" ]; then
    pull
  else
    follow none "$base/v2/oci-doctor/none/blobs/sha256:0000000000000000000000000000000000000000000000000000000000000000" -I
    [ "$(fault none)" != redirect ] || answered none redirect
  fi
  wait $all
  looks
fi
judge
answers
families
if with late; then
  says 1 "There was no time left for $(series "$dir/with"): run the script again with a longer -t."
fi
if [ -f "$dir/complete" ]; then
  says 0 "All is well: every host of $registry that was tried can be reached from here, and a layer came complete and unchanged."
elif [ -n "$image" ]; then
  says 0 "All is well: every host of $registry that was tried can be reached from here, but the image has no layer of at most 8 MiB to verify."
fi
says 0 "All is well: every host of $registry that was tried can be reached from here; name an image to read a layer too."
