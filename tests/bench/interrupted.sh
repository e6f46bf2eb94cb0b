#!/bin/sh
# SPDX-License-Identifier: MIT
# A signal that ends a benchmark ends all that it started, and nothing stays in the file system.
. "$(dirname "$0")/lib.sh"

cat >"$scratch/interrupt.py" <<'END'
import glob, os, signal, subprocess, sys, time

tmp, row, sign, *command = sys.argv[1:]


def processes():
    found = []
    for path in glob.glob('/proc/[0-9]*/environ'):
        try:
            with open(path, 'rb') as environ:
                if b'TMPDIR=' + tmp.encode() in environ.read():
                    found.append(path)
        except OSError:
            pass
    return found


def wait_for(condition):
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.01)
    sys.exit(f'{sign}: {row}: waited for too long: {processes()}')


number = getattr(signal, 'SIG' + sign)
signal.signal(number, signal.SIG_DFL)
child = subprocess.Popen(command + ['--only', row], stdout=subprocess.DEVNULL,
                         env=dict(os.environ, TMPDIR=tmp))
sign_of_life = {'redis': f'{tmp}/*/redis/redis.sock', 'postgres': f'{tmp}/*/postgres/data/*.pid'}
if row in sign_of_life:
    wait_for(lambda: glob.glob(sign_of_life[row]))
else:
    wait_for(lambda: len(processes()) > 1)
child.send_signal(number)
status = child.wait()
if status != -number:
    sys.exit(f'{sign}: {row}: status {status}')
wait_for(lambda: not processes())
END

for sign in HUP INT TERM QUIT; do
    python3 "$scratch/interrupt.py" "$scratch/tmp" burst-then-idle $sign \
        "$BENCH/compare" --allocators glibc 2>"$scratch/stderr" || fail "not ended by $sign"
    leaves_nothing
done
for server in redis-server:redis pgbench:postgres; do
    command -v "${server%:*}" >/dev/null || continue
    python3 "$scratch/interrupt.py" "$scratch/tmp" "${server#*:}" TERM \
        "$BENCH/compare" --allocators glibc 2>"$scratch/stderr" || fail "$server goes on"
    leaves_nothing
done
