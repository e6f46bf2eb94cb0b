#!/bin/sh
# SPDX-License-Identifier: MIT
# memcached: threads, slabs of 1 MiB, items that come and go, on a socket of its own.
. "$(dirname "$0")/lib.sh"
need memcached python3
in_use memcached -V

cat >"$scratch/ask.py" <<'END'
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(60)
s.connect(sys.argv[1])
f = s.makefile('rwb')
def ask(text, lines=1):
    f.write(text)
    f.flush()
    return [f.readline().decode().strip() for _ in range(lines)]
if len(sys.argv) > 2:
    print(ask(b'version\r\n'))
    sys.exit()
for i in range(20000):
    value = b'%d' % (i % 10) * (i * 37 % 5000)
    f.write(b'set k%d 0 0 %d noreply\r\n%s\r\n' % (i, len(value), value))
print(ask(b'get k19999\r\n', 3)[0])
for i in range(0, 20000, 3):
    f.write(b'delete k%d noreply\r\n' % i)
for i in range(3000):
    f.write(b'append k%d 0 0 500 noreply\r\n%s\r\n' % (i, b'x' * 500))
print(ask(b'get k1000\r\n', 3)[0], ask(b'set n 0 0 1\r\n5\r\n'), ask(b'incr n 37\r\n'))
others = []
for n in range(200):
    other = socket.socket(socket.AF_UNIX)
    other.connect(sys.argv[1])
    other.sendall(b'get k19999\r\n')
    others.append(other)
print(sum(len(other.recv(20)) > 0 for other in others))
END

work()
{
    socket=$PWD/socket
    if [ "$(id -u)" -eq 0 ]; then
        start memcached -u root -s "$socket" -m 256 -t 4
    else
        start memcached -s "$socket" -m 256 -t 4
    fi
    wait_until python3 "$scratch/ask.py" "$socket" version
    python3 "$scratch/ask.py" "$socket"
    kill "$server"
    wait "$server" || give_up "$side: the server ended with status $?"
    server=
}
same_work
