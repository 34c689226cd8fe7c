#!/usr/bin/env bash
# Proves in an account what the modules promise about a store: it tries what each identity may and may not do.
set -uo pipefail

help() {
  cat <<'END'
smoke.sh proves in an account what the modules promise about a store. It tries what each identity
may and may not do, and compares the answers with what is expected.

  smoke.sh aws   --bucket BUCKET --region REGION [--as WHO] [--cloudfront URL]
                 [--role ARN --token FILE [--wrong-token FILE]]
  smoke.sh gcp   --bucket BUCKET [--as WHO]
  smoke.sh azure --account ACCOUNT --container CONTAINER [--as WHO]

  --as WHO            whose credentials aws, gcloud or az have now: reader (none; default), writer, repair,
                      purge, or settings (AWS: somebody who may read the settings of the bucket)
  --cloudfront URL    the bucket is closed, and this distribution reads it
  --role ARN          try to exchange tokens for this role
  --token FILE        a token that the role must accept
  --wrong-token FILE  a token that it must refuse: other audience or subject
  --endpoint URL      an S3-compatible server, with paths in place of host names
  --dry-run           print each request and what is expected of it; send nothing
  --help

Before you start, run `oci-proxyctl mirror --once`: the script reads the mirror's own probe, a blob of
2 bytes. As writer and repair it makes one object below inventory/check/ and removes it. As repair it writes
the probe once more with the same bytes. As purge it deletes a blob that does not exist, and removes the delete
marker of that. What must be refused is chosen so that nothing is lost if it is not.

Needs bash and curl, and the command line tool of the cloud except for reader. Each request ends after 30 s.

Examples:
  smoke.sh aws --bucket prod-use1 --region us-east-1
  AWS_PROFILE=mirror smoke.sh aws --bucket prod-use1 --region us-east-1 --as writer
  smoke.sh gcp --bucket prod-euw1 --as writer --dry-run

Exit codes: 0 everything is as expected; 1 something is not, or could not be tried; 2 usage.
END
}

usage() { printf 'smoke.sh: %s\nhint: smoke.sh --help\n' "$1" >&2; exit 2; }

bucket='' region='' as=reader cloudfront='' role='' token='' wrong='' endpoint='' account='' container='' dry=''
[ $# -gt 0 ] || usage "name a cloud: aws, gcp or azure"
case $1 in
--help | -h) help; exit 0 ;;
aws | gcp | azure) cloud=$1; shift ;;
*) usage "$1 is not aws, gcp or azure" ;;
esac
while [ $# -gt 0 ]; do
  case $1 in
  --help | -h) help; exit 0 ;;
  --dry-run) dry=yes; shift; continue ;;
  esac
  [ $# -ge 2 ] || usage "$1 needs a value, or is not a flag"
  case $1 in
  --bucket) bucket=$2 ;;
  --region) region=$2 ;;
  --as) as=$2 ;;
  --cloudfront) cloudfront=${2%/} ;;
  --role) role=$2 ;;
  --token) token=$2 ;;
  --wrong-token) wrong=$2 ;;
  --endpoint) endpoint=${2%/} ;;
  --account) account=$2 ;;
  --container) container=$2 ;;
  *) usage "$1 is not a flag" ;;
  esac
  shift 2
done
case $cloud.$as in
*.reader | *.writer | *.purge | aws.repair | aws.settings) ;;
*) usage "--as $as is not possible for $cloud" ;;
esac

dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
printf 'oci-proxy smoke test\n' >"$dir/probe"
printf '{}' >"$dir/empty"

# The mirror's own probe is the blob `{}`. A repeated write of it changes nothing.
blob=containers/images/sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a
nothing=containers/images/sha256:0000000000000000000000000000000000000000000000000000000000000000
probe=inventory/check/smoke-$$-$RANDOM/probe
wrongs=0 tried=0

# check tries a command. EXPECTED has one or more of: allowed, denied, missing, exists, refused (for its form).
check() { # EXPECTED WHAT COMMAND…
  local expected=$1 what=$2 output got
  shift 2
  if [ -n "$dry" ]; then
    printf '%-8s %s\n         %s\n' "${expected%%|*}" "$what" "$(printf '%q ' "$@")"
    return
  fi
  tried=$((tried + 1))
  output=$("$@" 2>&1 </dev/null)
  got=$(judge $? "$output")
  if [[ "|$expected|" == *"|$got|"* ]]; then
    printf 'ok     %-8s %s\n' "$got" "$what"
  else
    wrongs=$((wrongs + 1))
    printf 'WRONG  expected %s, got %s: %s\n' "$expected" "$got" "$what"
    printf '       %s\n       %s\n' "$(printf '%q ' "$@")" "${output:0:300}"
  fi
}

# judge makes one word of an exit code and what the command printed: a status of HTTP, or the text of aws.
judge() { # CODE OUTPUT
  case $1.$2 in
  *.2[0-9][0-9]) echo allowed ;;
  0.401 | 0.403) echo denied ;;
  0.404) echo missing ;;
  0.409 | 0.412) echo exists ;;
  0.400) echo refused ;;
  0.[1-5][0-9][0-9] | 0.000) echo "status ${2}" ;;
  0.*) echo allowed ;;
  *AccessDenied* | *Forbidden* | *InvalidIdentityToken* | *"(403)"*) echo denied ;;
  *PreconditionFailed* | *"(412)"*) echo exists ;;
  *NoSuchKey* | *"(404)"*) echo missing ;;
  *) echo "exit code $1" ;;
  esac
}

http=(curl --silent --show-error --max-time 30 --output /dev/null --write-out '%{http_code}')
contains() { # TEXT COMMAND…: the command's output has this text
  local text=$1 out
  shift
  out=$("$@" 2>&1) || { printf '%s' "$out"; return 1; }
  [[ $out == *"$text"* ]] || { printf 'no %s in: %s' "$text" "$out"; return 1; }
}

# anonymous tries what anybody may do. The arguments are how the cloud writes it.
anonymous() { # BASE LIST-URL
  check 'denied|missing|exists' 'anybody lists' "${http[@]}" "$2"
  check 'denied|missing|exists' 'anybody writes' "${http[@]}" -X PUT --data-binary "@$dir/probe" -H 'x-ms-blob-type: BlockBlob' "$1/$probe"
  check 'denied|missing|exists' 'anybody deletes' "${http[@]}" -X DELETE "$1/$nothing"
  if [[ $1 == https://* ]]; then
    check 'denied|refused' 'anybody reads without TLS' "${http[@]}" "http://${1#https://}/$blob"
  fi
}

aws_store() {
  if [ -z "$bucket" ] || [ -z "$region" ]; then usage "aws needs --bucket and --region"; fi
  local suffix=amazonaws.com base again=(--key "$blob" --body "$dir/empty" --content-type application/octet-stream
    --cache-control 'public, max-age=31536000, immutable, no-transform') # as the mirror writes it
  at=(--bucket "$bucket" --region "$region" --cli-read-timeout 30 --cli-connect-timeout 10)
  [[ $region == cn-* ]] && suffix=amazonaws.com.cn
  base=https://$bucket.s3.dualstack.$region.$suffix
  [ -z "$endpoint" ] || { base=$endpoint/$bucket; at+=(--endpoint-url "$endpoint"); }

  anonymous "$base" "$base/?list-type=2"
  check denied 'anybody lists versions' "${http[@]}" "$base/?versions"
  check denied 'anybody reads the policy' "${http[@]}" "$base/?policy"
  if [ -z "$cloudfront" ]; then
    check allowed 'anybody reads a blob' "${http[@]}" "$base/$blob"
  else
    check denied 'anybody reads a blob past CloudFront' "${http[@]}" "$base/$blob"
    check allowed 'anybody reads a blob from CloudFront' "${http[@]}" "$cloudfront/$blob"
    check 'denied|missing' 'CloudFront lists' "${http[@]}" "$cloudfront/?list-type=2"
  fi

  if [ "$as" = writer ] || [ "$as" = repair ]; then
    check allowed "$as lists" aws s3api list-objects-v2 "${at[@]}" --max-items 1
    check allowed "$as writes below inventory/" aws s3api put-object "${at[@]}" --key "$probe" --body "$dir/probe"
    [ -n "$cloudfront" ] || check allowed 'anybody reads what is below inventory/' "${http[@]}" "$base/$probe"
    check allowed "$as deletes below inventory/" aws s3api delete-object "${at[@]}" --key "$probe"
    check exists "$as writes a blob that exists, with If-None-Match" aws s3api put-object "${at[@]}" "${again[@]}" --if-none-match '*'
    check denied "$as deletes a blob" aws s3api delete-object "${at[@]}" --key "$nothing"
    check denied "$as deletes a version of a blob" aws s3api delete-object "${at[@]}" --key "$nothing" --version-id null
    check denied "$as reads the policy" aws s3api get-bucket-policy "${at[@]}"
    if [ -z "$endpoint" ]; then
      check denied "$as deletes below inventory/ without TLS" aws s3api delete-object "${at[@]}" --key "$probe" --endpoint-url "http://s3.$region.$suffix"
    fi
  fi
  [ "$as" != writer ] || check denied 'writer writes a blob without If-None-Match' aws s3api put-object "${at[@]}" "${again[@]}"
  [ "$as" != repair ] || check allowed 'repair replaces a blob' aws s3api put-object "${at[@]}" "${again[@]}"
  if [ "$as" = purge ]; then
    check allowed 'purge lists versions' aws s3api list-object-versions "${at[@]}" --max-items 1
    check denied 'purge writes a blob' aws s3api put-object "${at[@]}" "${again[@]}" --if-none-match '*'
    check allowed 'purge deletes a blob' aws s3api delete-object "${at[@]}" --key "$nothing"
    check allowed 'purge deletes the marker of that' remove_marker
  fi
  if [ "$as" = settings ]; then
    local acl='"BlockPublicAcls": true'
    check allowed 'ACLs are blocked' contains "$acl" aws s3api get-public-access-block "${at[@]}" --output json
    check allowed 'ACLs are off' contains BucketOwnerEnforced aws s3api get-bucket-ownership-controls "${at[@]}"
    check allowed 'versions are kept' contains Enabled aws s3api get-bucket-versioning "${at[@]}"
    check allowed 'old versions expire' contains NoncurrentDays aws s3api get-bucket-lifecycle-configuration "${at[@]}" --output json
    check allowed 'unfinished uploads are removed' contains DaysAfterInitiation aws s3api get-bucket-lifecycle-configuration "${at[@]}" --output json
    check allowed 'objects are encrypted with SSE-S3' contains AES256 aws s3api get-bucket-encryption "${at[@]}"
    check allowed 'access is logged' contains TargetBucket aws s3api get-bucket-logging "${at[@]}" --output json
    check allowed 'the policy has its statements' contains BlobsAreNeverReplaced aws s3api get-bucket-policy "${at[@]}" --output text
    check allowed 'the region is right' contains "$region" aws s3api head-bucket "${at[@]}"
  fi
  local web=(aws sts assume-role-with-web-identity --region "$region" --role-arn "$role" --role-session-name smoke --duration-seconds 900 --query Expiration)
  [ -z "$token" ] || check allowed 'the role accepts the token' "${web[@]}" --web-identity-token "file://$token"
  [ -z "$wrong" ] || check denied 'the role refuses the other token' "${web[@]}" --web-identity-token "file://$wrong"
}

remove_marker() {
  local id
  id=$(aws s3api list-object-versions "${at[@]}" --prefix "$nothing" --query 'DeleteMarkers[0].VersionId' --output text) || { printf '%s' "$id"; return 1; }
  [ "$id" = None ] || aws s3api delete-object "${at[@]}" --key "$nothing" --version-id "$id"
}

# bearer writes the token into a file, so that the list of processes does not show it.
bearer() { # COMMAND…
  [ -n "$dry" ] && return
  local text
  text=$("$@") || { printf 'smoke.sh: no token: %q\nhint: log in first\n' "$*" >&2; exit 1; }
  (umask 077 && printf 'Authorization: Bearer %s\n' "$text" >"$dir/bearer")
}

gcp_store() {
  [ -n "$bucket" ] || usage "gcp needs --bucket"
  local base=https://storage.googleapis.com/$bucket
  anonymous "$base" "$base?list-type=2"
  check 'denied|missing' 'anybody lists by the other API' "${http[@]}" "https://storage.googleapis.com/storage/v1/b/$bucket/o"
  check allowed 'anybody reads a blob' "${http[@]}" "$base/$blob"
  [ "$as" != reader ] || return
  bearer gcloud auth print-access-token
  local auth=(-H "@$dir/bearer")
  check allowed "$as lists" "${http[@]}" "${auth[@]}" "$base?list-type=2&max-keys=1"
  check allowed "$as writes below inventory/" "${http[@]}" "${auth[@]}" -X PUT --data-binary "@$dir/probe" -H 'x-goog-if-generation-match: 0' "$base/$probe"
  check allowed 'anybody reads what is below inventory/' "${http[@]}" "$base/$probe"
  check allowed "$as deletes below inventory/" "${http[@]}" "${auth[@]}" -X DELETE "$base/$probe"
  if [ "$as" = writer ]; then
    check 'exists|denied' 'writer writes a blob that exists, with a condition' "${http[@]}" "${auth[@]}" -X PUT --data-binary "@$dir/empty" -H 'x-goog-if-generation-match: 0' "$base/$blob"
    check denied 'writer replaces a blob' "${http[@]}" "${auth[@]}" -X PUT --data-binary "@$dir/empty" "$base/$blob"
    check denied 'writer deletes a blob' "${http[@]}" "${auth[@]}" -X DELETE "$base/$nothing"
  else
    check missing 'purge may delete a blob' "${http[@]}" "${auth[@]}" -X DELETE "$base/$nothing"
  fi
}

azure_store() {
  if [ -z "$account" ] || [ -z "$container" ]; then usage "azure needs --account and --container"; fi
  local base=https://$account.blob.core.windows.net/$container
  anonymous "$base" "$base?restype=container&comp=list"
  check allowed 'anybody reads a blob' "${http[@]}" "$base/$blob"
  [ "$as" != reader ] || return
  bearer az account get-access-token --resource https://storage.azure.com/ --query accessToken --output tsv
  local auth=(-H "@$dir/bearer" -H 'x-ms-version: 2023-11-03')
  local put=("${auth[@]}" -X PUT -H 'x-ms-blob-type: BlockBlob' -H 'If-None-Match: *')
  check allowed "$as lists" "${http[@]}" "${auth[@]}" "$base?restype=container&comp=list&maxresults=1"
  if [ "$as" = writer ]; then
    check allowed 'writer writes below inventory/' "${http[@]}" "${put[@]}" --data-binary "@$dir/probe" "$base/$probe"
    check allowed 'anybody reads what is below inventory/' "${http[@]}" "$base/$probe"
    check allowed 'writer deletes below inventory/' "${http[@]}" "${auth[@]}" -X DELETE "$base/$probe"
    check exists 'writer writes a blob that exists, with If-None-Match' "${http[@]}" "${put[@]}" --data-binary "@$dir/empty" "$base/$blob"
    check denied 'writer deletes a blob' "${http[@]}" "${auth[@]}" -X DELETE "$base/$nothing"
  else
    check missing 'purge may delete a blob' "${http[@]}" "${auth[@]}" -X DELETE "$base/$nothing"
  fi
}

"${cloud}_store"
[ -z "$dry" ] || exit 0
printf '%d tried, %d wrong\n' "$tried" "$wrongs"
[ "$wrongs" -eq 0 ]
