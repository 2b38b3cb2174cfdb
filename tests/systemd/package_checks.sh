#!/usr/bin/env bash
# Runs as root in the machine that script/package-test boots, as a service of it. A line for each check; exit status 1 when one failed.
set -uo pipefail
. "$(dirname "$0")/checking.sh"

readonly outbox=/var/lib/outboxd/outbox.db
readonly config=/etc/outboxd/outboxd.yaml
export DEBIAN_FRONTEND=noninteractive
sent=0

# As unattended upgrades do it: a config that an operator changed stays.
package() { dpkg --force-confdef --force-confold "$@" </dev/null; }
configure() {
  cat >"$config" <<END
listen:
  producer: {group: outboxd}
$(delivery_config)
# mine
END
}
credential() { (umask 077 && echo "$2" >"/etc/outboxd/credentials/$1"); }
configured_and_running() { configure && credential site_id site && credential api_key key && systemctl restart "$unit" && has ActiveState active; }

send() { outboxctl send track --id 42 --name "event $((sent + 1))" && sent=$((sent + 1)); }
send_some() { for _ in $(seq "$1"); do send >/dev/null || return 1; done; }
all_arrived() { [ "$(effects)" = "$sent" ]; }
arrives() { await all_arrived || { echo "$(effects) of $sent jobs arrived"; return 1; }; }
rows() { sqlite3 -readonly "$outbox" "SELECT count(*) FROM $1"; }
holds() { [ "$(rows "$2")" = "$1" ] || { echo "$2 has $(rows "$2") rows instead of $1"; return 1; }; }
format() { sqlite3 -readonly "$outbox" 'PRAGMA user_version'; }
waits_in_vain() {
  script '{"action":{"status":503}}' && send_some "$1" && holds "$1" outbox
}
says() {
  local text=$1 said
  shift
  said=$("$@" 2>&1)
  [[ $said == *"$text"* ]] || { echo "it says: $said"; return 1; }
}
fails_and_says() {
  local text=$1 said
  shift
  said=$("$@" 2>&1) && { echo "it succeeded"; return 1; }
  [[ $said == *"$text"* ]] || { echo "it says: $said"; return 1; }
}
is_gone() { [ ! -e "$1" ] || { ls -la "$1"; return 1; }; }

systemctl --version | head -1
systemd-run --quiet --unit=track-sim track_sim --site-id site --api-key key --listen 127.0.0.1:9000

echo "== installed before there are credentials"
has_enabled() {
  local one
  for one in "$unit" outboxd.socket outboxd-admin.socket outboxd-credentials.path; do
    [ "$(systemctl is-enabled "$one") $(systemctl is-active "$one")" = "enabled active" ] || { systemctl status --no-pager "$one"; return 1; }
  done
  [ "$(systemctl is-enabled outboxd-track.socket)" = disabled ]
}
missing_is_told() {
  says site_id outboxctl status && says api_key outboxctl status
}
check "it installs" package --install /srv/today.deb
check "daemon and sockets are enabled and run, but for listen.track" has_enabled
check "outboxctl status names the files that are missing" missing_is_told
check "it accepts" eval 'configure && systemctl reload "$unit" && send'
check "it did not start again and again" has NRestarts 0
check "the credentials appear, one after the other, and the job arrives" eval 'credential site_id site && credential api_key key && arrives'
check "the units have no mistake: systemd-analyze verify" nothing "$(systemd-analyze verify --man=no "$unit" outboxd.socket outboxd-admin.socket outboxd-track.socket \
  outboxd-credentials.path 2>&1)"

echo "== a second instance"
shop_waits() {
  install -d -m 0700 /etc/outboxd/credentials/shop
  cat >/etc/outboxd/shop.yaml <<END
outbox: {path: /var/lib/outboxd/shop/outbox.db}
listen:
  producer: {path: /run/outboxd/shop/outboxd.sock, group: outboxd}
  admin: {path: /run/outboxd/shop/admin.sock}
connections:
  default:
    base_url: http://127.0.0.1:9000
    site_id_file: \${CREDENTIALS_DIRECTORY}/site_id
    api_key_file: \${CREDENTIALS_DIRECTORY}/api_key
END
  systemctl enable --now outboxd@shop.service && says /etc/outboxd/credentials/shop/site_id outboxctl --config /etc/outboxd/shop.yaml status
}
shop_runs() { credential shop/site_id site && credential shop/api_key key; }
shop_delivers() { outboxctl --config /etc/outboxd/shop.yaml send track --id 7 --name shop && sent=$((sent + 1)) && arrives; }
shop_process() { systemctl show --property=MainPID --value outboxd@shop.service; }
shop_restarted() { [ "$(shop_process)" != 0 ] && [ "$(shop_process)" != "$1" ]; }
check "without credentials it waits, and names the files that it needs" shop_waits
check "it runs beside the first, by its own config, credentials, sockets and outbox" eval 'shop_runs && shop_delivers && sqlite3 -readonly /var/lib/outboxd/shop/outbox.db "SELECT 1 FROM boots"'
check "its producer socket is the producers'" eval '[ "$(stat --format="%a %G" /run/outboxd/shop/outboxd.sock)" = "660 outboxd" ]'
check "the first one's too" eval '[ "$(stat --format="%a %G" /run/outboxd/outboxd.sock)" = "660 outboxd" ]'
before=$(shop_process)
check "other credentials restart it" eval 'credential shop/api_key key && await shop_restarted "$before" && shop_delivers'
before=$(shop_process)
check "an upgrade restarts it" eval 'package --install /srv/today.deb && shop_restarted "$before" && shop_delivers'

echo "== an upgrade under load"
# Programs that hand over one event after another, each by a connection of its own. What is refused stands in the file.
producers=()
start_producers() {
  local number
  rm -f /tmp/handed-over.* /tmp/refused /tmp/enough
  touch /tmp/refused
  for number in 1 2 3 4; do
    until [ -e /tmp/enough ]; do
      outboxctl send track --id "$number" --name load >>"/tmp/handed-over.$number" 2>>/tmp/refused || echo "exit code $?" >>/tmp/refused
    done &
    producers+=($!)
  done
}
stop_producers() {
  touch /tmp/enough && wait "${producers[@]}"
  producers=()
  sent=$((sent + $(cat /tmp/handed-over.* | wc -l)))
}
upgrade_under_load() {
  before=$(property MainPID)
  start_producers
  package --install /srv/today.deb
  [ "$(property MainPID)" != "$before" ] && has ActiveState active
}
check "the package is installed once more while programs hand over events, and the daemon is another one" upgrade_under_load
stop_producers
check "no event was refused" nothing "$(cat /tmp/refused)"
check "each arrives" arrives

echo "== purged with nothing waiting"
check "the daemon, its outbox, config and credentials are gone" eval 'package --purge outboxd && is_gone /var/lib/outboxd && is_gone /etc/outboxd && is_gone /run/outboxd'
check "no unit is left" nothing "$(systemctl list-unit-files --no-legend 'outboxd*'; systemctl list-units --no-legend 'outboxd*')"

echo "== upgraded from the disk format before"
check "the earlier package is installed and configured" eval 'package --install /srv/earlier.deb && configured_and_running && send && arrives'
old_format=$(format)
refused_one() { script '{"action":{"status":400}}' && send && await holds 1 dead_letters; }
check "one event becomes a dead letter" refused_one
sent=$((sent - 1))
check "twenty jobs wait" waits_in_vain 20
check "it is upgraded" package --install /srv/today.deb
sent_before=$sent
check "the new daemon runs, with a new format" eval 'has ActiveState active && [ "$(format)" -gt "$old_format" ]'
check "the sockets are the service manager's" eval 'systemctl is-active outboxd.socket outboxd-admin.socket'
check "the changed config stayed" grep --line-regexp '# mine' "$config"
check "jobs and dead letter are there" eval 'holds 20 outbox && holds 1 dead_letters'

echo "== downgraded"
check "the earlier package refuses, and says why and what to do" fails_and_says "has disk format $(format), and this version reads up to $old_format" package --install /srv/earlier.deb
check "the daemon runs on" has ActiveState active
check "the jobs arrive once the API is back" eval 'script "" && arrives'
check "and so does the redriven dead letter" eval 'outboxctl dead redrive --death rejected && sent=$((sent + 1)) && arrives'

echo "== removed and installed again"
check "three jobs wait" waits_in_vain 3
check "it is removed" package --remove outboxd
check "nothing of it runs" nothing "$(systemctl list-units --no-legend 'outboxd*')"
check "outbox and config stay" eval 'holds 3 outbox && grep --line-regexp "# mine" "$config"'
check "it is installed again, and the jobs arrive" eval 'script "" && package --install /srv/today.deb && arrives'

echo "== purged with jobs, with dead letters, with what cannot be read"
purge_keeps() { says "$outbox is kept" package --purge outboxd && [ -e "$outbox" ] && is_gone "$config"; }
install_again() { package --install /srv/today.deb && configured_and_running; }
check "two jobs wait" waits_in_vain 2
check "the purge keeps them and says where" purge_keeps
check "they are there" holds 2 outbox
check "installed again it delivers them" eval 'script "" && install_again && arrives'
check "one event becomes a dead letter" refused_one
sent=$((sent - 1))
check "the purge keeps it and says where" purge_keeps
check "it is there" holds 1 dead_letters
check "installed again it takes the dead letter up, and it is dropped" eval 'script "" && install_again && outboxctl dead drop --all --yes && holds 0 dead_letters'
only_in_wal() {
  systemctl stop "$unit" outboxd.socket outboxd-admin.socket && runuser -u outboxd -- sqlite3 "$outbox" '.dbconfig no_ckpt_on_close on' \
    "INSERT INTO outbox (seq, job, connection, type, accepted_ms, line) VALUES (1000000, 'x', 'default', 'raw', 0, '{}')" >/dev/null && [ -s "$outbox-wal" ]
}
check "a job stands in the WAL alone" only_in_wal
check "the purge keeps it and says where" purge_keeps
check "it is there" holds 1 outbox
damage() { rm -f "$outbox"* && echo "no database" >"$outbox"; }
check "the outbox is damaged" eval 'package --install /srv/today.deb && damage'
check "the purge keeps it and says where" purge_keeps
rm -rf /var/lib/outboxd

finish
