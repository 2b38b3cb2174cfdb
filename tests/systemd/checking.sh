# shellcheck shell=bash
# Sourced by the checks that run in the machine of tests/systemd/machine.sh: what a check is, and questions to the service manager, the journal and the
# simulated Track API.

readonly unit=outboxd.service
failures=0

# check NAME COMMAND...: what it says is shown when it fails.
check() {
  local name=$1 said
  shift
  if "$@" >/tmp/said 2>&1; then
    echo "held     $name"
  else
    said=$(tr '\n' ' ' </tmp/said)
    echo "FAILED   $name: ${said:-$*}"
    failures=$((failures + 1))
  fi
}
# Within 30 seconds.
await() {
  for _ in $(seq 300); do
    "$@" >/dev/null 2>&1 && return 0
    sleep 0.1
  done
  echo "not within 30 s: $*"
  return 1
}

property() { systemctl show --property="$1" --value "$unit"; }
has() { [ "$(property "$1")" = "$2" ] || { echo "$1 is $(property "$1") instead of $2"; return 1; }; }
journal() { journalctl --quiet --no-pager --boot --output=cat "$@"; }
logged() { journal --unit="$unit" | grep --fixed-strings --regexp="$1"; }
nothing() { [ -z "$*" ] || { echo "$*"; return 1; }; }
report() { curl --silent --fail http://127.0.0.1:9000/_sim/report | grep --only-matching "\"$1\":[0-9]*" | head -1 | cut -d: -f2; }
effects() { report effects; }
script() { curl --silent --fail --data "{\"rules\":[$1]}" http://127.0.0.1:9000/_sim/script; }

# Of a config: delivery to the simulated API, with short waits.
delivery_config() {
  cat <<END
connections:
  default:
    base_url: http://127.0.0.1:9000
    site_id_file: \${CREDENTIALS_DIRECTORY}/site_id
    api_key_file: \${CREDENTIALS_DIRECTORY}/api_key
    rate_limit: 0
retry: {base: 100ms, cap: 1s}
drain_timeout: 3s
END
}

# Ends the checks.
finish() {
  echo "$failures failed"
  [ "$failures" -eq 0 ] || journal --unit="$unit" | tail -60
  [ "$failures" -eq 0 ]
  exit
}
