#!/usr/bin/env fish
# What fish completes with the installed files: complete.fish FOLDER_OF_OUTBOXCTL FOLDER_OF_COMPLETIONS
set -x PATH $argv[1] $PATH
for program in outboxctl outboxd
    fish --no-execute $argv[2]/$program.fish; or exit 1
    source $argv[2]/$program.fish
end
set folder (mktemp -d)
mkdir $folder/jobs
touch $folder/jobs.ndjson

set failed 0
# expect WORDS LINE: the line's last word is completed.
function expect
    set -l words (complete -C "$argv[2]" | string replace -r '\t.*' '')
    test "$words" = "$argv[1]"; and return
    echo "$argv[2]: \"$words\" instead of \"$argv[1]\"" >&2
    set -g failed 1
end
expect status 'outboxctl stat'
expect redrive 'outboxctl dead re'
expect --state 'outboxctl list --sta'
expect 'blocked deferred in_flight ready' 'outboxctl list --state '
expect --state=deferred 'outboxctl list --state=de'
expect '' 'outboxctl list --state nothing'
expect "$folder/jobs.ndjson" "outboxctl import $folder/jobs.nd"
expect "$folder/jobs/" "outboxctl tls-init --directory $folder/jo"
expect '--check --config' 'outboxd --c'
rm -r $folder
exit $failed
