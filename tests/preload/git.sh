#!/bin/sh
# SPDX-License-Identifier: MIT
# git makes the same history, and packs it.
. "$(dirname "$0")/lib.sh"
need git
in_use git --version

# Nothing of the user's or the system's configuration, and no clock.
export HOME="$scratch" GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_TERMINAL_PROMPT=0
export GIT_AUTHOR_NAME=tester GIT_AUTHOR_EMAIL=tester@example.com
export GIT_COMMITTER_NAME=tester GIT_COMMITTER_EMAIL=tester@example.com
export GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000'
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE

cat >"$scratch/work.sh" <<'END'
git init -q -b main .
git config gc.auto 0
for commit in 1 2 3 4 5 6 7 8; do
    awk -v seed="$commit" 'BEGIN {
        for (file = 0; file < 40; file++)
            for (line = 0; line < 300; line++)
                print "file", file, "line", line, (line * seed) % (file + 7) >("file" file)
    }'
    git add .
    git commit -q -m "commit number $commit"
done
git branch other HEAD~3
git tag -a -m 'a tag' v1 HEAD~1
git log --stat --format='%H %an %s' --all
git diff HEAD~5 HEAD
git blame file7
git gc -q --aggressive
git fsck --full --strict
git log --format=%H other
END

mkdir "$scratch/plain" "$scratch/preloaded"
(cd "$scratch/plain" && sh -eu ../work.sh) >"$scratch/plain.out" 2>&1 ||
    fail "without the library: $(tail -n 5 "$scratch/plain.out")"
(cd "$scratch/preloaded" && preloaded sh -eu ../work.sh) >"$scratch/preloaded.out" 2>&1 ||
    fail "$(tail -n 5 "$scratch/preloaded.out")"
cmp "$scratch/plain.out" "$scratch/preloaded.out" || fail "other output of git"
[ "$(grep -c 'commit number' "$scratch/preloaded.out")" -ge 8 ] || fail "commits are missing"
