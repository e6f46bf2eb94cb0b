#!/bin/sh
# SPDX-License-Identifier: MIT
# vim, run by a script: buffers, substitutions, undo, folds, syntax, a filter.
. "$(dirname "$0")/lib.sh"
need vim
in_use vim -u NONE -i NONE -es -c 'qall!'

awk 'BEGIN { for (i = 0; i < 20000; i++) print "line", i, i * 7919 % 10007, "some text" }' \
    >"$scratch/text"
cat >"$scratch/commands" <<'END'
%s/\v(\d+) (\d+)/\2-\1/
g/7\d*-/m0
%sort n
undo
undo
redo
1,5000!sort -r
g/9$/normal! ggyyGp
v/1/d
let words = {}
for l in getline(1, '$') | let words[l] = get(words, l, '') . 'x' | endfor
call append(0, string(len(words)))
syntax on
set filetype=c foldmethod=indent
split | enew
call append(0, range(1, 5000))
bwipeout!
for i in range(200) | execute 'edit! buffer' . i | call setline(1, repeat(['x'], i)) | endfor
buffer! 1
write! result
qall!
END
work()
{
    cp "$scratch/text" text
    run vim -u NONE -i NONE -n -N -es -S "$scratch/commands" text
    cksum result
    head -n 5 result
}
same_work
