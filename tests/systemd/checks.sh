#!/usr/bin/env bash
# Runs as root in the machine that script/systemd-test boots, as a service of it. A line for each check; exit status 1 when one failed.
set -uo pipefail

. "$(dirname "$0")/checking.sh"

sent=0

# With the lines of $1 in addition.
write_config() {
  cat >/etc/outboxd/outboxd.yaml <<END
listen:
  producer: {group: outboxd}
  track: [{tcp: 127.0.0.1:8480}]
$(delivery_config)
${1:-}
END
}

install_outboxd() {
  systemd-sysusers && systemd-tmpfiles --create || return 1
  write_config
  mkdir -p /etc/ssl/private
  (umask 077 && echo site >/etc/outboxd/credentials/site_id && echo key >/etc/outboxd/credentials/api_key)
  systemctl daemon-reload
}
drop_in() {
  mkdir -p "/etc/systemd/system/$unit.d"
  printf '[Service]\n%s\n' "$1" >"/etc/systemd/system/$unit.d/test.conf"
  systemctl daemon-reload
}
no_drop_in() {
  rm -r "/etc/systemd/system/$unit.d"
  systemctl daemon-reload
}

# A container: a root of its own in which /run/outboxd of the host stands elsewhere, mounted once, when it starts.
start_container() {
  printf 'u consumer -\nm consumer outboxd\n' | systemd-sysusers - &&
    systemd-run --quiet --unit=container --property=BindPaths=/run/outboxd:/srv/outboxd --property=TemporaryFileSystem=/run \
      --property=MountFlags=private sleep infinity
}
send() {
  nsenter --target "$(systemctl show --property=MainPID --value container.service)" --mount -- runuser -u consumer -- \
    outboxctl --producer /srv/outboxd/outboxd.sock send track --id 42 --name "event $((sent + 1))"
}
all_delivered() { [ "$(effects)" = "$sent" ]; }
# What the container sees is the socket of the daemon that runs now, and what it hands over arrives.
container_is_served() {
  await send || { send; ls -la /run/outboxd; return 1; }
  sent=$((sent + 1))
  await all_delivered || { echo "$(effects) of $sent jobs arrived"; return 1; }
}

# 50 programs that write an event and read its reply, one after the other. What they saw comes when they are stopped.
start_producers() { systemd-run --quiet --unit=producers --property=StandardOutput=truncate:/tmp/seen steady_producers /run/outboxd/outboxd.sock 50; }
# What they handed over arrives as well.
stop_producers() {
  systemctl stop producers && await has_nothing_waiting || { cat /tmp/seen; outboxctl status; return 1; }
  sent=$(effects)
}
has_nothing_waiting() { outboxctl status --json | grep --quiet '"jobs":0,'; }
arrived_once() { [ "$(report doubled) $(report order_violations)" = "0 0" ] || { echo "doubled $(report doubled), out of order $(report order_violations)"; return 1; }; }
seen() { sed --quiet "s/^$1 //p" /tmp/seen; }
saw() { [ "$(seen "$1")" "$2" "$3" ] || { cat /tmp/seen; return 1; }; }
restarts_unseen() {
  local before
  for _ in $(seq 10); do
    before=$(property MainPID)
    systemctl restart "$unit" && is_active_as_another "$before" && sleep 0.5 || return 1
  done
}

outlives_a_wrong_config() {
  write_config 'no_such_key: 1'
  systemctl restart "$unit"
  sleep 20
  write_config
  await has ActiveState active
}

is_active_as_another() { [ "$(property ActiveState)" = active ] && [ "$(property MainPID)" != "$1" ]; }
kill_and_await() {
  local before
  before=$(property MainPID)
  kill "-$1" "$before"
  await is_active_as_another "$before"
}
upgrade() {
  local before program
  before=$(property MainPID)
  program=$(command -v outboxd)
  cp "$program" "$program.new" && mv "$program.new" "$program" && systemctl restart "$unit" && is_active_as_another "$before"
}

boot_id_is_known() {
  local id
  id=$(tr -d - </proc/sys/kernel/random/boot_id)
  tr '\0' '\n' <"/proc/$(property MainPID)/environ" | grep --line-regexp "OUTBOXD_BOOT_ID=$id" &&
    [ "$(sqlite3 /var/lib/outboxd/outbox.db 'SELECT id FROM boots ORDER BY number DESC LIMIT 1')" = "$id" ]
}
# What adjtimex tells the daemon is what it tells timedatectl.
knows_whether_synchronised() {
  local said row
  said=$(timedatectl show --property=NTPSynchronized --value)
  outboxctl pause default && send && sent=$((sent + 1)) || return 1
  row=$(sqlite3 'file:/var/lib/outboxd/outbox.db?mode=ro' 'SELECT synchronised FROM outbox')
  outboxctl resume default && await all_delivered || return 1
  [ "$said $row" = "yes 1" ] || [ "$said $row" = "no 0" ] || { echo "the system says $said, the job's row $row"; return 1; }
}
hides() {
  local seen
  seen=$(nsenter --target "$(property MainPID)" --mount -- stat --format=%a "$1")
  [ "$seen" = 0 ] || { echo "its mode is $seen"; return 1; }
}
cannot_bind() {
  write_config "metrics: {tcp: \"127.0.0.1:$1\"}"
  systemctl restart "$unit" && await logged "127.0.0.1:$1" && ! curl --silent "http://127.0.0.1:$1/metrics"
}
reload_of_a_wrong_config_fails() {
  write_config 'no_such_key: 1'
  ! systemctl reload "$unit" && has ActiveState active
}
start_with_a_wrong_config_says_so() {
  ! systemctl restart "$unit" && has ExecMainStatus 78 && logged no_such_key
}
stops_within() {
  local start=$SECONDS
  systemctl stop outboxd.socket outboxd-admin.socket "$unit" && has Result success && has ExecMainStatus 0 && [ $((SECONDS - start)) -le "$1" ] ||
    { echo "after $((SECONDS - start)) s"; return 1; }
}
stops_with_a_request_under_way() {
  script '{"action":{"never_answer":true}}' && send && sleep 1 && stops_within 10 && script '' && systemctl start "$unit" || return 1
  sent=$((sent + 1))
  await all_delivered
}

systemctl --version | head -1
systemd-run --quiet --unit=track-sim track_sim --site-id site --api-key key --listen 127.0.0.1:9000
check "it is installed" install_outboxd
check "the unit has no mistake: systemd-analyze verify" nothing "$(systemd-analyze verify --man=no "$unit" 2>&1)"
check "it is enabled with its sockets" eval 'systemctl enable "$unit" && systemctl is-enabled outboxd.socket outboxd-admin.socket'
check "a connection starts it, and it says itself that it is ready" eval 'systemctl start outboxd.socket outboxd-admin.socket && outboxctl status && has ActiveState active'
check "the sockets have their groups" eval '[ "$(stat --format="%G %a" /run/outboxd/outboxd.sock /run/outboxd/admin.sock | xargs)" = "outboxd 660 outboxd-admin 660" ]'
check "it is Type=notify" has Type notify
check "its status is its own words" eval '[ -n "$(property StatusText)" ]'
for line in OOMPolicy=kill MemoryMax=536870912 MemorySwapMax=0 TasksMax=512 RuntimeDirectoryPreserve=yes TimeoutStopUSec='1min 30s'; do
  check "systemd read $line" has "${line%%=*}" "${line#*=}"
done
check "exposure is at most 1.6: systemd-analyze security" systemd-analyze security --no-pager --threshold=16 "$unit"
check "a container that mounts /run/outboxd starts" start_container
check "it serves the container" container_is_served
check "it knows the boot" boot_id_is_known
check "systemd and outboxd have nothing to warn of" nothing "$(journal --unit="$unit" --priority=warning; journal --grep="$unit.*(Unknown|Failed|ignor)")"
check "it may ask whether the clock is synchronised" knows_whether_synchronised
check "it does not see /etc/ssl/private" hides /etc/ssl/private
check "a reload is answered" systemctl reload "$unit"

check "50 producers work" start_producers
check "it is restarted ten times under them" restarts_unseen
check "they stop" stop_producers
check "none of them saw a connection break" saw broken = 0
check "none was refused" saw refused = 0
check "none waited for a second" saw longest_ms -lt 1000
cat /tmp/seen
check "50 producers work again" start_producers
check "it is killed under them, and started again" kill_and_await KILL
check "they stop" stop_producers
check "none was refused by the crash" saw refused = 0
check "none waited for longer than RestartSec and a second" saw longest_ms -lt 3000
cat /tmp/seen
check "50 producers work once more" start_producers
check "a wrong config stands for a while, and is corrected" outlives_a_wrong_config
check "they stop" stop_producers
check "none was refused meanwhile" saw refused = 0
check "no connection broke" saw broken = 0
check "every event arrived once and in order" arrived_once
check "no unit has failed" nothing "$(systemctl list-units --state=failed --plain --no-legend 'outboxd*')"
cat /tmp/seen
check "it is restarted" systemctl restart "$unit"
check "it serves the container after a restart" container_is_served
check "it is killed, and started again" kill_and_await KILL
check "it serves the container after a crash" container_is_served
check "it is upgraded: another program in its place, and a restart" upgrade
check "it serves the container after an upgrade" container_is_served
check "it stops within two seconds" stops_within 2
check "it is started" systemctl start "$unit"
check "it serves the container after a stop and a start" container_is_served
check "with a request that gets no answer it stops after drain_timeout" stops_with_a_request_under_way

drop_in WatchdogSec=2s
check "it is restarted with a short watchdog" systemctl restart "$unit"
check "it hangs, and the watchdog has it started again" kill_and_await STOP
check "it serves the container after the watchdog" container_is_served
no_drop_in

check "it cannot bind a port below 1024, and runs nevertheless" cannot_bind 900
if systemctl --version | grep --quiet +BPF_FRAMEWORK; then
  sysctl --quiet --write net.ipv4.ip_unprivileged_port_start=1
  check "nor where the kernel lets everyone bind it: SocketBindDeny=" cannot_bind 901
else
  echo "skipped  SocketBindDeny=: this systemd was built without BPF"
fi
check "it serves the container without that port" container_is_served
check "a reload of a wrong config fails, and it runs on" reload_of_a_wrong_config_fails
check "a start with a wrong config fails with the reason" start_with_a_wrong_config_says_so
write_config
check "it starts with the right one" systemctl start "$unit"
check "it serves the container after all" container_is_served

finish
