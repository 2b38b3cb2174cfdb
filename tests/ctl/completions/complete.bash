#!/usr/bin/env bash
# What bash completes with the installed files: complete.bash FOLDER_OF_OUTBOXCTL FOLDER_OF_COMPLETIONS
set -u
PATH=$1:$PATH
for program in outboxctl outboxd; do
  bash -n "$2/$program.bash" || exit 1
  . "$2/$program.bash"
done

failed=0
# expect WORDS LINE...: the line's last word is completed.
expect() {
  local expected=$1
  shift
  COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
  "_$1"
  [ "${COMPREPLY[*]}" = "$expected" ] && return
  echo "$*: \"${COMPREPLY[*]}\" instead of \"$expected\"" >&2
  failed=1
}

folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
mkdir "$folder/jobs"
touch "$folder/jobs.ndjson"

complete -p outboxctl outboxd >/dev/null || failed=1
expect "status" outboxctl st
expect "redrive" outboxctl dead re
expect "--state" outboxctl list --sta
expect "ready in_flight deferred blocked" outboxctl list --state ""
expect "deferred" outboxctl list --state = de
expect "" outboxctl list --state nothing
expect "$folder/jobs $folder/jobs.ndjson" outboxctl import "$folder/jo"
expect "$folder/jobs" outboxctl tls-init --directory "$folder/jo"
expect "--config --check" outboxd --c
expect "$folder/jobs $folder/jobs.ndjson" outboxd --config "$folder/jo"
exit "$failed"
