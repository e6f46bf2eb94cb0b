#!/bin/sh
# SPDX-License-Identifier: MIT
# nginx with two workers serves files, packed and whole, to curl and survives a reload; both are
# preloaded.
. "$(dirname "$0")/lib.sh"
need nginx curl python3
echo "events {} pid $scratch/pid;" >"$scratch/first.conf"
in_use nginx -t -e stderr -c "$scratch/first.conf"

mkdir "$scratch/files"
awk 'BEGIN { for (i = 0; i < 40000; i++) print "line", i, i * 7919 % 10007 }' >"$scratch/files/large"
for i in 1 2 3 4 5 6 7 8 9; do
    head -n "$((i * i * 30))" "$scratch/files/large" >"$scratch/files/part$i"
done
# The workers may be another user's.
chmod 755 "$scratch" "$scratch/files"

work()
{
    port=$(python3 -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    cat >nginx.conf <<END
daemon off;
worker_processes 2;
pid $PWD/pid;
error_log stderr warn;
events { worker_connections 200; }
http {
    access_log off;
    client_body_temp_path $PWD/body;
    proxy_temp_path $PWD/proxy;
    fastcgi_temp_path $PWD/fastcgi;
    uwsgi_temp_path $PWD/uwsgi;
    scgi_temp_path $PWD/scgi;
    gzip on;
    gzip_types *;
    server {
        listen 127.0.0.1:$port;
        root $scratch/files;
        autoindex on;
        autoindex_localtime off;
        location /again/ { proxy_pass http://127.0.0.1:$port/; }
    }
}
END
    start nginx -p "$PWD" -e stderr -c "$PWD/nginx.conf"
    url=http://127.0.0.1:$port
    wait_until curl -sf "$url/part1"
    run curl -sf "$url/large" "$url/again/large" "$url/again/part[1-9]"
    run curl -sf --compressed --parallel "$url/large" -o a "$url/again/large" -o b \
        "$url/part[1-9]" -o 'c#1'
    cksum a b c1 c2 c3 c4 c5 c6 c7 c8 c9
    run curl -sf "$url/" | wc -l
    kill -HUP "$server"
    run curl -sf --retry 5 --retry-connrefused -r 1000-2000 "$url/large"
    run curl -s -o /dev/null -w '%{http_code}\n' "$url/missing"
    run curl -s -o /dev/null -w '%{http_code}\n' --data-binary @a "$url/again/part1"
    kill -QUIT "$server"
    wait "$server" || give_up "$side: the server ended with status $?"
    server=
}
same_work
