#!/bin/sh
# SPDX-License-Identifier: MIT
# gcc compiles a large generated file to the same bytes, and the program it makes runs.
. "$(dirname "$0")/lib.sh"
need gcc
in_use gcc --version

cd "$scratch"
awk 'BEGIN {
    n = 100
    print "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>"
    for (i = 0; i < n; i++) {
        printf "static unsigned f%d(unsigned x)\n{\n    char *text = malloc(x %% %d + 40);\n", i, i * 13 + 1
        printf "    unsigned sum = 0;\n    int used = sprintf(text, \"%%u in %d\", x);\n", i
        printf "    for (int i = 0; i < used; i++)\n        sum = sum * 31 + (unsigned char)text[i];\n"
        printf "    text = realloc(text, (x %% 7 + 1) * 1000);\n    memset(text, (int)x, 1000);\n"
        printf "    switch (x %% 4) {\n    case 0: sum ^= %d; break;\n    case 1: sum += (unsigned char)text[999]; break;\n", i * 2654435
        printf "    default: sum = sum << %d | sum >> %d; break;\n    }\n    free(text);\n    return sum;\n}\n", i % 31 + 1, 31 - i % 31
    }
    printf "static unsigned (*const all[])(unsigned) = {"
    for (i = 0; i < n; i++)
        printf "f%d, ", i
    print "};\nint main(void)\n{\n    unsigned sum = 1;"
    print "    for (unsigned round = 0; round < 20; round++)"
    printf "        for (unsigned i = 0; i < %d; i++)\n            sum = sum * 33 + all[i](sum + round);\n", n
    print "    printf(\"%u\\n\", sum);\n    return 0;\n}"
}' >generated.c

same gcc -O2 -S -o - generated.c
[ "$(wc -l <preloaded.out)" -gt 4000 ] || fail "hardly any assembly came out"
preloaded gcc -O1 -o program generated.c || fail "gcc with the library: status $?"
same ./program
