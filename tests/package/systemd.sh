#!/bin/sh
# SPDX-License-Identifier: MIT
#
# systemd finds no fault with the example of a service.
#
#     systemd.sh UNIT
set -eu
command -v systemd-analyze >/dev/null || { echo "skipped: there is no systemd-analyze"; exit 77; }
said=$(systemd-analyze verify --man=no "$1" 2>&1) || { echo "$said"; exit 1; }
# What it says of the machine's own units is none of ours.
if echo "$said" | grep -F "$(basename "$1")"; then
    exit 1
fi
