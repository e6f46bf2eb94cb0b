#!/bin/sh
# SPDX-License-Identifier: MIT
# openssl: digests, ciphers, keys, certificates.
. "$(dirname "$0")/lib.sh"
need openssl
in_use openssl list -providers

cd "$scratch"
awk 'BEGIN { for (i = 0; i < 100000; i++) print "line", i }' >data
for digest in md5 sha256 sha512 sha3-256 blake2b512; do
    same openssl dgst "-$digest" data
done
for cipher in aes-256-cbc aes-128-ctr chacha20 camellia-128-cbc; do
    same openssl enc "-$cipher" -pbkdf2 -iter 2000 -pass pass:word -S 0123456789abcdef -in data
    cp preloaded.out packed
    same openssl enc -d "-$cipher" -pbkdf2 -iter 2000 -pass pass:word -S 0123456789abcdef -in packed
    cmp data preloaded.out || fail "$cipher gave other data back"
done
preloaded openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=tester -days 30 -keyout key -out cert \
    2>messages || fail "req: $(cat messages)"
same openssl verify -CAfile cert cert
same openssl x509 -in cert -noout -text
same openssl dgst -sha256 -sign key data
cp preloaded.out signature
openssl rsa -in key -pubout -out public 2>/dev/null
same openssl dgst -sha256 -verify public -signature signature data
same openssl pkey -in key -text -noout
preloaded openssl ecparam -name prime256v1 -genkey -out ec || fail "ecparam: status $?"
same openssl ec -in ec -text -noout
same openssl list -providers -cipher-algorithms
