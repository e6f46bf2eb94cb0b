/* SPDX-License-Identifier: MIT */
/*
 * The fuzzer's operations without a fuzzer:
 *
 *     fuzz_replay FILE...            each file is an input
 *     fuzz_replay -r SEED N BYTES    N inputs of random bytes
 */
#include "base/bits.h"
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INPUT_MAX_BYTES = 65536 };

static uint8_t bytes[INPUT_MAX_BYTES];

static void replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    check(file != NULL);
    size_t n = fread(bytes, 1, sizeof bytes, file);
    check(fclose(file) == 0);
    (void)printf("%s\n", path);
    (void)fflush(stdout); /* which one it was, should it be the last */
    (void)LLVMFuzzerTestOneInput(bytes, n);
}

static void replay_random(uint64_t seed, size_t n_inputs, size_t n_bytes)
{
    check(n_bytes <= sizeof bytes);
    for (size_t i = 0; i < n_inputs; i++) {
        for (size_t at = 0; at < n_bytes; at++)
            bytes[at] = (uint8_t)mix_bits(seed * 0x10001 + i * n_bytes + at);
        (void)LLVMFuzzerTestOneInput(bytes, n_bytes);
    }
}

static size_t number(const char *text)
{
    return strtoul(text, NULL, 10);
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "-r") == 0)
        replay_random(number(argv[2]), number(argv[3]), number(argv[4]));
    else if (argc > 1 && argv[1][0] != '-') {
        for (int i = 1; i < argc; i++)
            replay_file(argv[i]);
    } else {
        (void)fputs("usage: fuzz_replay FILE... | fuzz_replay -r SEED N BYTES\n", stderr);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
