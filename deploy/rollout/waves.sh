#!/usr/bin/env bash
# Brings a new image of oci-proxy to production, wave by wave, and takes it back by itself when a judge says no.
#
#   waves.sh cloud-run IMAGE@sha256:… WAVES -- JUDGE…
#   waves.sh helm      IMAGE@sha256:… WAVES -- JUDGE…
#
# WAVES is a file: a line is a wave, with the places that change together. A place is a region of Cloud Run, or a context of
# kubectl. JUDGE is a command, such as `oci-proxyctl probe registry.example.org --config config.yaml --identity probe.key`.
# It says yes by exit code 0 or 4 (warnings). It gets the places of the wave in PLACES, and the percentage in PERCENT.
#
# 1. The judge must say yes before anything changes.
# 2. Each place of a wave starts the new code without traffic, then takes it in STEPS. After each step: SOAK seconds, the judge.
# 3. When all waves are done, the new code becomes the stable one everywhere.
# If the judge says no, a command fails, or the script gets a signal, all places go back to the stable code at once.
# Before step 3 the script can be run again after any end, also after SIGKILL: it begins by sending all traffic to stable.
#
# Environment: STEPS (default "5 25 50 100"), SOAK (default 600), FIRST (no: leave out 1., to repair what is broken),
# SERVICE (cloud-run; default oci-proxy), RELEASE, NAMESPACE, CHART, VALUES (helm; README.md explains them).
#
# Exit codes: 0 the new code is stable everywhere; 1 all places are back on the stable code, or were never changed;
# 2 usage; 3 some places are not: the output names each, with the command to repeat.
set -uo pipefail

usage() { printf 'waves.sh: %s\nhint: waves.sh cloud-run|helm IMAGE@sha256:DIGEST WAVES -- JUDGE…\n' "$1" >&2; exit 2; }
say() { printf '%s %s\n' "$(date -u +%H:%M:%S)" "$*" >&2; }

[ $# -ge 5 ] || usage "too few arguments"
platform=$1 image=$2 file=$3
[ "$4" = -- ] || usage "-- before the judge is missing"
shift 4
judge=("$@")
[[ $image =~ ^[^@]+@sha256:[0-9a-f]{64}$ ]] || usage "$image has no digest: a tag can move"
digest=${image#*@} repository=${image%@*}
mapfile -t waves < <(sed 's/#.*//' "$file" | grep -v '^[[:space:]]*$')
[ ${#waves[@]} -gt 0 ] || usage "$file has no waves"
read -ra steps <<<"${STEPS:-5 25 50 100}"
[ "${steps[-1]}" = 100 ] || usage "the last of STEPS must be 100"
soak=${SOAK:-600}

# Each platform has these functions of a place. stable sends all traffic to the stable code, and fails where there is none;
# stage starts the new code without traffic; shift_to sends it a percentage; finish makes it the stable code.
case $platform in
cloud-run)
  # The traffic tags `stable` and `next` are the state: whoever runs this script next finds them.
  service=${SERVICE:-oci-proxy}
  revision=$service-${digest:7:12}
  run() { local region=$1; shift; gcloud run "$@" --region "$region" --quiet; }
  traffic() { local region=$1; shift; run "$region" services update-traffic "$service" "$@"; }
  stable() { traffic "$1" --to-tags=stable=100; }
  stage() {
    if run "$1" revisions describe "$revision" >/dev/null 2>&1; then
      traffic "$1" --update-tags="next=$revision" # an earlier run deployed it
    else
      run "$1" deploy "$service" --image "$image" --revision-suffix "${digest:7:12}" --no-traffic --tag next
    fi
  }
  shift_to() { if [ "$2" = 100 ]; then traffic "$1" --to-tags=next=100; else traffic "$1" --to-tags="next=$2,stable=$((100 - $2))"; fi; }
  finish() { traffic "$1" --update-tags="stable=$revision" && stable "$1"; }
  by_hand() { echo "gcloud run services update-traffic $service --to-tags=stable=100 --region $1"; }
  ;;
helm)
  # Two releases of the chart. The stable one has the route, whose weights are the state.
  release=${RELEASE:?} namespace=${NAMESPACE:?} chart=${CHART:?} values=${VALUES:?}
  canary=$release-canary backend=$release-canary
  [[ $release == *oci-proxy* ]] || backend+=-oci-proxy # as the chart names its objects
  at() { local context=$1; shift; helm "$@" --kube-context "$context" --namespace "$namespace"; }
  weigh() { local context=$1 weight=$2; shift 2; at "$context" upgrade "$release" "$chart" --reset-then-reuse-values \
    --set "exposure.gateway.canary.service=$backend" --set "exposure.gateway.canary.weight=$weight" "$@"; }
  stable() { weigh "$1" 0; }
  stage() { at "$1" upgrade --install "$canary" "$chart" --values "$values" --set "image.repository=$repository" \
    --set "image.digest=$digest" --wait --timeout 10m; }
  shift_to() { weigh "$1" "$2"; }
  finish() {
    # All traffic is on the canary while the stable release changes.
    weigh "$1" 100 --set "image.repository=$repository" --set "image.digest=$digest" --wait --timeout 10m &&
      weigh "$1" 0 && at "$1" uninstall "$canary" --wait
  }
  by_hand() { echo "helm upgrade $release $chart --reset-then-reuse-values --set exposure.gateway.canary.weight=0 --kube-context $1 --namespace $namespace"; }
  ;;
*) usage "$platform is no platform" ;;
esac

# judged: does the judge say yes? A signal does not wait for its answer.
judged() {
  local code=0
  "${judge[@]}" &
  wait $! || code=$?
  [ $code = 0 ] || [ $code = 4 ]
}

changed=()
# give_back REASON: all places that changed, the last first.
give_back() {
  trap '' INT TERM HUP
  say "back to the stable code: $1"
  jobs -p | xargs -r kill 2>/dev/null
  local i place left=()
  for ((i = ${#changed[@]} - 1; i >= 0; i--)); do
    place=${changed[i]}
    stable "$place" || stable "$place" || left+=("$place")
  done
  [ ${#left[@]} = 0 ] && exit 1
  for place in "${left[@]}"; do say "NOT back: $place; hint: $(by_hand "$place")"; done
  exit 3
}

export PLACES='' PERCENT=0
for wave in "${waves[@]}"; do PLACES+="$wave "; done
for place in $PLACES; do
  stable "$place" >&2 || { say "$place has no stable code: nothing was changed (README.md, Set up)"; exit 1; }
done
[ "${FIRST:-yes}" = no ] || judged || { say "the judge says no before anything was changed"; exit 1; }

trap 'give_back "signal"' INT TERM HUP
for wave in "${waves[@]}"; do
  PLACES=$wave PERCENT=0
  for place in $wave; do
    changed+=("$place")
    stage "$place" || give_back "cannot start the new code in $place"
  done
  for PERCENT in "${steps[@]}"; do
    for place in $wave; do shift_to "$place" "$PERCENT" || give_back "cannot send $PERCENT % to $place"; done
    say "$wave: $PERCENT %"
    sleep "$soak" & wait $! # a signal ends the wait
    judged || give_back "the judge says no at $PERCENT % in $wave"
  done
done
trap - INT TERM HUP

unfinished=()
for place in "${changed[@]}"; do finish "$place" || unfinished+=("$place"); done
[ ${#unfinished[@]} = 0 ] && { say "$image is the stable code in all places"; exit 0; }
say "all traffic is on the new code, but it is not the stable code in: ${unfinished[*]}"
say "hint: run this again"
exit 3
