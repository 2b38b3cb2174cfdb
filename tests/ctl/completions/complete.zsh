#!/usr/bin/env zsh
# What zsh completes with the installed files, in a terminal of its own: complete.zsh FOLDER_OF_OUTBOXCTL FOLDER_OF_COMPLETIONS
emulate -R zsh
export PATH=$1:$PATH TERM=dumb
folder=$(mktemp -d)
for program in outboxctl outboxd; do
  zsh -n $2/$program.zsh || exit 1
  cp $2/$program.zsh $folder/_$program
done
touch $folder/jobs.ndjson

zmodload zsh/zpty || exit 77
zpty -b terminal "cd $folder && exec zsh -f -i"

# await TEXT: until the terminal shows it; half a minute at most.
await() {
  local part
  integer tries
  shown=
  for (( tries = 0; tries < 300; ++tries )); do
    while zpty -rt terminal part; do shown+=$part; done
    [[ $shown == *"$1"* ]] && return
    sleep 0.1
  done
  return 1
}

zpty -w terminal "PS1= PS2= RPS1=; fpath=($folder \$fpath); autoload -Uz compinit; compinit -u -D; unsetopt zle_bracketed_paste prompt_sp; print rea''dy"
await 'ready' || { print -u2 -- "no shell: $shown"; exit 1 }

failed=0
# expect LINE RESULT: what the line has become when Tab was pressed at its end. Ctrl-A goes to its beginning, so that it is printed.
expect() {
  zpty -w -n terminal $1$'\t'$'\x01'"print -r -- {} "$'\n'
  await "{} $2"$'\r' && return
  print -u2 -- "$1: not \"$2\" but \"$shown\""
  failed=1
}
expect 'outboxctl stat' 'outboxctl status'
expect 'outboxctl dead redr' 'outboxctl dead redrive'
expect 'outboxctl list --stat' 'outboxctl list --state'
expect 'outboxctl list --state defe' 'outboxctl list --state deferred'
expect 'outboxctl list --state=defe' 'outboxctl list --state=deferred'
expect 'outboxctl import jobs.nd' 'outboxctl import jobs.ndjson'
expect 'outboxd --che' 'outboxd --check'
zpty -d terminal
rm -r $folder
exit $failed
