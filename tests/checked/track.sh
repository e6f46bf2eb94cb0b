#!/bin/sh
# SPDX-License-Identifier: MIT
# track=on: what is live at exit, by site, most bytes first, as text and as JSON.
#
#     track.sh LIBRARY PROGRAM
set -eu
scratch=$(mktemp -d "${TMPDIR:-/tmp}/track.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

LD_PRELOAD=$1 POOLALLOC_CONF=track=on "$2" 2>"$scratch/text"
sed -n '2p' "$scratch/text" | grep -q '195.3 KiB in 1 block, allocated by'
sed -n '3p' "$scratch/text" | grep -q 'make_large+0x'
grep -q '1000 B in 10 blocks, allocated by' "$scratch/text"
grep -A 1 '1000 B in 10 blocks' "$scratch/text" | grep -q 'make_small+0x'

LD_PRELOAD=$1 POOLALLOC_CONF=track=on,check=3,dump=stderr,dump_format=json "$2" 2>"$scratch/json"
python3 - "$scratch/json" <<'END'
import json
import sys

with open(sys.argv[1]) as file:
    sites = json.load(file)["sites"]
found = {site["frames"][0]["symbol"]: site for site in sites if site["frames"]}
assert found["make_large"]["bytes"] == 200000 and found["make_large"]["blocks"] == 1
assert found["make_small"]["bytes"] == 1000 and found["make_small"]["blocks"] == 10
assert [site["bytes"] for site in sites] == sorted((site["bytes"] for site in sites), reverse=True)
END
