# shellcheck shell=bash
# Sourced by script/systemd-test and script/package-test: a Debian 12 with a real systemd, in a container. Root. Packages: systemd-container,
# mmdebstrap; the first run needs a Debian mirror.
#
#   machine_prepare          makes $work, and in it $root, a new root file system; all of it is gone when the script ends
#   machine_run CHECKS SECONDS
#                            boots it, runs the program CHECKS of it as a service, shows what that wrote; succeeds if CHECKS did
#   cannot REASON            ends the script with 77: it cannot run here

# What the programs are linked with, and what the checks use.
readonly machine_packages=systemd,systemd-sysv,dbus,libnss-systemd,procps,sqlite3,curl,python3,\
libyaml-cpp0.7,libgnutls30,libsqlite3-0,libcurl4,libmicrohttpd12,libsystemd0,libprometheus-cpp-core1.0
machine=outboxd-test-$$
machine_groups=()

cannot() {
  echo "$0: cannot run here: $1" >&2
  exit 77
}

machine_remove() {
  local group
  # A control group goes when its last process has gone.
  for group in ${machine_groups[@]+"${machine_groups[@]}"}; do
    for _ in $(seq 50); do
      [ -d "$group" ] || break
      find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.1
    done
  done
  rmdir "/run/systemd/nspawn/propagate/$machine" "/run/systemd/nspawn/unix-export/$machine" 2>/dev/null || true
  rm -rf --one-file-system "$work"
}

machine_prepare() {
  local base unit program
  [ "$(id -u)" -eq 0 ] || cannot "it needs root"
  for program in systemd-nspawn mmdebstrap; do
    command -v "$program" >/dev/null || cannot "there is no $program (script/bootstrap systemd)"
  done
  # Kept in the build folder for the next run. The name says what is in it.
  base="build/systemd-root-$(printf '%s' "$machine_packages" | sha256sum | cut -c1-12).tar"
  if [ ! -s "$base" ]; then
    echo "== a Debian 12 root file system, for this and later runs"
    mkdir -p build
    timeout 600 mmdebstrap --quiet --variant=minbase --format=tar --include="$machine_packages" bookworm "$base.part" || cannot "no root file system could be made"
    mv "$base.part" "$base"
  fi
  work=$(mktemp -d /var/tmp/outboxd-systemd.XXXXXX)
  root=$work/root
  trap machine_remove EXIT
  mkdir "$root"
  tar --extract --file "$base" --directory "$root"
  systemd-machine-id-setup --root="$root" 2>/dev/null
  # Nothing of a container of this kind needs them.
  for unit in console-getty.service systemd-logind.service systemd-resolved.service; do ln -sf /dev/null "$root/etc/systemd/system/$unit"; done
}

# The checks are a service of the machine. Its exit status ends the machine and is nspawn's.
machine_add_checks() {
  cat >"$root/etc/systemd/system/checks.service" <<END
[Unit]
SuccessAction=exit
FailureAction=exit
[Service]
Type=oneshot
ExecStart=$1
TimeoutStartSec=$2
StandardOutput=append:/var/log/checks.log
StandardError=append:/var/log/checks.log
END
  mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
  ln -s ../checks.service "$root/etc/systemd/system/multi-user.target.wants/checks.service"
}

machine_make_groups() {
  local type folder
  while read -r type folder; do
    [ "$type" = cgroup ] || [ "$type" = cgroup2 ] || continue
    mkdir -p "$folder/$machine" || cannot "no control group can be made in $folder"
    machine_groups+=("$folder/$machine")
    if [ -e "$folder/cpuset.cpus" ]; then
      cat "$folder/cpuset.cpus" >"$folder/$machine/cpuset.cpus"
      cat "$folder/cpuset.mems" >"$folder/$machine/cpuset.mems"
    fi
  done < <(awk '{ print $3, $2 }' /proc/mounts | sort -u)
}

machine_run() {
  local result=0
  local options=(--boot --directory="$root" --machine="$machine" --console=read-only --private-network --resolv-conf=off --link-journal=no
    # The unit's own filters are what is tested, not those of the container: adjtimex, and the programs that SocketBindDeny= loads.
    --capability=all --system-call-filter="bpf @keyring")
  machine_add_checks "$1" "$2"
  if [ ! -d /run/systemd/system ]; then
    # No service manager here that would make a control group for it.
    options+=(--register=no --keep-unit)
    machine_make_groups
  fi
  (
    for group in ${machine_groups[@]+"${machine_groups[@]}"}; do echo "$BASHPID" >"$group/cgroup.procs"; done
    # As Debian 12 has it, whatever this host has.
    export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
    exec timeout --kill-after=10 $(($2 + 30)) systemd-nspawn "${options[@]}" </dev/null >"$work/console" 2>&1
  ) || result=$?
  cat "$root/var/log/checks.log" 2>/dev/null || { cat "$work/console" >&2; cannot "systemd did not come up"; }
  return "$((result == 0 ? 0 : 1))"
}
