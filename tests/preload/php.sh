#!/bin/sh
# SPDX-License-Identifier: MIT
# PHP opens its extensions with RTLD_DEEPBIND, which the library takes out; else they would free blocks
# of the library with libc's free.
. "$(dirname "$0")/lib.sh"
need php
in_use php -r '1;'

php -m >"$scratch/modules"
echo "extensions: $(tr '\n' ' ' <"$scratch/modules")"
same php "$here/php_work.php" "$scratch"
# Every block by malloc, and none of PHP's own allocator.
same env USE_ZEND_ALLOC=0 php "$here/php_work.php" "$scratch"
same php -n "$here/php_work.php" "$scratch"
# Each extension alone, in use and not in use at the end.
directory=$(php -r 'echo ini_get("extension_dir");')
for extension in "$directory"/*.so; do
    case $extension in
    */opcache.so) same php -n -d zend_extension="$extension" -r 'echo "loaded\n";' ;;
    *) preloaded php -n -d extension="$extension" -r 'echo strlen(str_repeat("x", 1000000));' \
        >"$scratch/loaded" 2>&1 || fail "status $?: $extension: $(tail -n 5 "$scratch/loaded")" ;;
    esac
done
