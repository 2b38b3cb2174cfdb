# shellcheck shell=bash
# Sourced by scripts that make people wait: which step it is, how far it is, how long it took.
#
#   step NAME       begins a step; the one before is done
#   steps_done      the last one is done
#   percent_line    reads lines "PERCENT WHAT" and shows the last one: on a terminal in place, elsewhere one for each tenth
#   ninja_progress LOG   reads what ninja says and shows how far it is

step_name=
step_start=0

step() {
  steps_done
  step_name=$1
  step_start=$SECONDS
  echo "== $step_name"
}

steps_done() {
  [ -z "$step_name" ] || echo "   $((SECONDS - step_start)) s"
  step_name=
}

percent_line() {
  local percent what shown=-1 width=$((${COLUMNS:-80} - 10))
  while read -r percent what; do
    percent=${percent%%.*}
    if [ -t 1 ]; then
      printf '\r   %3d %% %.*s\033[K' "$percent" "$width" "$what"
    elif [ $((percent / 10)) -ne "$shown" ]; then
      shown=$((percent / 10))
      printf '   %3d %%  %s\n' "$percent" "$what"
    fi
  done
  [ ! -t 1 ] || printf '\r\033[K'
}

# Reads what ninja says, and keeps all of it in the log $1.
ninja_progress() {
  local line
  while read -r line; do
    echo "$line" >>"$1"
    if [[ $line =~ ^\[([0-9]+)/([0-9]+)\]\  ]]; then
      echo "$((BASH_REMATCH[1] * 100 / BASH_REMATCH[2])) ${BASH_REMATCH[1]} of ${BASH_REMATCH[2]}"
    fi
  done | percent_line
}
