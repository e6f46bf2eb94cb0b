#!/bin/sh
# SPDX-License-Identifier: MIT
# Chromium, many processes and threads, renders a page and prints it. It has an allocator of its own:
# the library must stay out of its way in all of them.
. "$(dirname "$0")/lib.sh"
need chromium
aside='the program has a malloc of its own'
POOLALLOC_CONF=verbose=on preloaded chromium --version 2>&1 | grep -q "$aside" ||
    fail "the library did not say that it stays out"

cat >"$scratch/page.html" <<'END'
<!DOCTYPE html><html><head><title>page</title><style>p { color: red }</style></head><body>
<canvas id="c" width="300" height="200"></canvas><svg><circle r="20"/></svg><div id="d"></div>
<script>
let words = {}
for (let i = 0; i < 100000; i++)
    words['w' + i * 7919 % 1009] = (words['w' + i * 7919 % 1009] || '') + i % 10
const c = document.getElementById('c').getContext('2d')
for (let i = 0; i < 200; i++)
    c.fillText('text ' + i, i, i)
for (let i = 0; i < 500; i++) {
    const p = document.createElement('p')
    p.textContent = i + words['w' + i].slice(0, 20)
    document.getElementById('d').appendChild(p)
}
document.title = document.getElementById('d').getBoundingClientRect().height > 500 ? 'tall' : 'flat'
</script></body></html>
END
export HOME="$scratch" XDG_RUNTIME_DIR="$scratch"
same_output timeout -k 5 200 chromium --headless --no-sandbox --disable-gpu \
    --disable-dev-shm-usage --user-data-dir="$scratch/profile" --no-first-run \
    --disable-background-networking \
    --dump-dom "file://$scratch/page.html"
grep -q '<title>tall</title>' "$scratch/preloaded.out" || fail "the page's script did not run"
