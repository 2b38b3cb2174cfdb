#!/bin/sh
# Hands one event to outboxd for each number on standard input: producer.sh [SOCKET [CUSTOMER]]
#
# Prints each number that was accepted with the id of its job. Exit status: 0 all were accepted, 1 some were refused for good,
# 75 outboxd took nothing for OUTBOXD_PATIENCE seconds.
#
# outboxctl connects, sends and reads the reply. What is left to a script is to try again, with the same event id.
set -u
socket=${1:-/run/outboxd/outboxd.sock}
customer=${2:-42}
reply_timeout=${OUTBOXD_REPLY_TIMEOUT:-30}
patience=${OUTBOXD_PATIENCE:-600}
outboxctl=${OUTBOXCTL:-outboxctl}

# 48 bits of milliseconds and 80 random ones: made once for each event, whatever happens to it.
ulid() {
  awk -v ms="$(date +%s%3N)" 'BEGIN {
    for (i = 0; i < 10; ++i) { text = substr("0123456789ABCDEFGHJKMNPQRSTVWXYZ", ms % 32 + 1, 1) text; ms = int(ms / 32) }
    printf "%s", text }'
  LC_ALL=C tr -dc 0-9A-HJKMNP-TV-Z </dev/urandom | head -c 16
}

# send FLAG...: prints the job's id once the job is on stable storage. 1: refused for good, 75: not taken for too long.
send() {
  deadline=$(($(date +%s) + patience))
  wait=1
  while :; do
    timeout "$reply_timeout" "$outboxctl" --producer "$socket" send "$@" </dev/null
    case $? in
      0) return 0 ;;
      69 | 75 | 124) ;; # not reachable or gone before it replied, busy or without room, silent for too long
      *) return 1 ;;
    esac
    [ $(($(date +%s) + wait)) -le "$deadline" ] || return 75
    echo "trying again" >&2
    sleep "$wait"
    [ "$wait" -ge 4 ] || wait=$((wait * 2))
  done
}

status=0
while read -r number; do
  job=$(send track --id "$customer" --name step --data-field "n:=$number" --event-id "$(ulid)" --timestamp "$(date +%s)")
  case $? in
    0) echo "$number $job" ;;
    75) exit 75 ;;
    *) status=1 ;;
  esac
done
exit "$status"
