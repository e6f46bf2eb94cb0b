/* SPDX-License-Identifier: MIT */
/*
 * The worst that a write can do: all that lies behind a block, up to where the memory ends; or all
 * blocks that are free. Then the program goes on.
 *
 *     misuse_flood CASE SEED
 *
 * It must either go on well or be ended with the library's own word about a free block: nothing
 * else may be found broken, as nothing else is kept there. Ends with status 0, and says on stdout
 * what is wrong where something is.
 *
 * What calloc makes of memory that was never used is not looked at: a flood may have come there
 * before the program, and by asking the kernel for nothing else the library relies on it.
 */
#include "misuse.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N_BLOCKS = 1500, N_FREED = N_BLOCKS / 2, MAPS_BYTES = 256 * 1024, N_WORKS = 3 };

static uint64_t random_state;

static uint64_t random_bits(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static size_t random_below(size_t n)
{
    return (size_t)(random_bits() >> 11) % n;
}

/* Small ones mostly. */
static size_t random_size(void)
{
    return 16 + random_below((size_t)32 << random_below(15));
}

/* ---- where memory ends ---- */

static char maps[MAPS_BYTES];

static void maps_read(void)
{
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    size_t n = 0;
    ssize_t got;
    while (fd != -1 && (got = read(fd, maps + n, sizeof maps - 1 - n)) > 0)
        n += (size_t)got;
    if (fd == -1 || n == 0)
        give_up("no /proc/self/maps");
    (void)close(fd);
    maps[n] = '\0';
}

/* The end of what can be written to from p on without a gap: a guard, or nothing at all. */
static char *writable_end(char *p)
{
    uintptr_t at = (uintptr_t)p;
    maps_read();
    for (const char *line = maps; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
        line += *line == '\n';
        unsigned long begin;
        unsigned long end;
        char rights[5];
        if (sscanf(line, "%lx-%lx %4s", &begin, &end, rights) != 3)
            break;
        if (begin <= at && at < end && rights[1] == 'w')
            at = end;
    }
    return (char *)at;
}

/* ---- what is written ---- */

static void fill(char *p, size_t n, int kind)
{
    static const char bytes[] = {0, 0x41, (char)0xff};
    if (kind < (int)sizeof bytes) {
        memset(p, bytes[kind], n);
        return;
    }
    for (; n > 0; n--)
        *p++ = (char)random_bits();
}

enum { N_FILL_KINDS = 4 };

/* ---- the cases ---- */

static char *blocks[N_BLOCKS];
static size_t sizes[N_BLOCKS];

static void swap_blocks(size_t i, size_t k)
{
    char *p = blocks[i];
    size_t bytes = sizes[i];
    blocks[i] = blocks[k];
    sizes[i] = sizes[k];
    blocks[k] = p;
    sizes[k] = bytes;
}

/* Some are taken, and the first N_FREED of them, in random order, freed again. */
static void make_blocks(void)
{
    for (size_t i = 0; i < N_BLOCKS; i++) {
        sizes[i] = random_size();
        blocks[i] = opaque(malloc(sizes[i]));
        if (blocks[i] == NULL)
            give_up("no memory");
        memset(blocks[i], 1, sizes[i]);
    }
    for (size_t i = 0; i < N_FREED; i++)
        swap_blocks(i, i + random_below(N_BLOCKS - i));
    for (size_t i = 0; i < N_FREED; i++)
        free(opaque(blocks[i]));
}

/* The others are live, whatever they hold now. */
static void give_blocks(void)
{
    for (size_t i = N_FREED; i < N_BLOCKS; i++)
        free(opaque(blocks[i]));
}

static void *work_in_thread(void *argument)
{
    work(*(size_t *)argument);
    return NULL;
}

static void go_on(void)
{
    for (int i = 0; i < N_WORKS; i++) {
        size_t bytes = random_size() & ~(size_t)15;
        bytes = bytes < 16 ? 16 : bytes;
        work(bytes);
        in_thread(work_in_thread, &bytes);
    }
    give_blocks();
    for (int i = 0; i < N_WORKS; i++)
        work(16 + (random_size() & ~(size_t)15));
    check_all();
    survived();
}

static void behind(char *p, size_t bytes)
{
    char *end = writable_end(p);
    fill(p + bytes, (size_t)(end - p) - bytes, (int)random_below(N_FILL_KINDS));
}

/* All that lies behind a live block. */
static void behind_block(void)
{
    make_blocks();
    size_t i = N_FREED + random_below(N_BLOCKS - N_FREED);
    behind(blocks[i], sizes[i]);
    go_on();
}

/* Behind blocks that have mappings of their own, which may lie beside anything. */
static void behind_direct_block(void)
{
    enum { N_DIRECT = 4 };
    static const size_t direct_sizes[N_DIRECT] = {9 << 20, 33 << 20, 80 << 20, 8 << 20};
    char *direct[N_DIRECT];
    make_blocks();
    for (size_t i = 0; i < N_DIRECT; i++) {
        direct[i] = opaque(malloc(direct_sizes[i]));
        if (direct[i] == NULL)
            give_up("no memory");
    }
    for (size_t i = 0; i < N_DIRECT; i++)
        behind(direct[i], direct_sizes[i]);
    for (size_t i = 0; i < N_DIRECT; i++)
        free(opaque(direct[i]));
    go_on();
}

/* The same with one that has grown into its own mapping, of a size that fits gaps. */
static void behind_grown_block(void)
{
    make_blocks();
    size_t bytes = 1 << 20;
    char *p = opaque(malloc(bytes));
    for (int i = 0; i < 4 && p != NULL; i++) {
        if (opaque(malloc(100000)) == NULL)
            give_up("no memory");
        bytes += bytes / 16 + random_below(bytes / 8);
        p = opaque(realloc(p, bytes));
    }
    if (p == NULL)
        give_up("no memory");
    behind(p, bytes);
    free(opaque(p));
    go_on();
}

/* All blocks that are free, as far as the program had written to them. */
static void free_blocks(void)
{
    make_blocks();
    for (size_t i = 0; i < N_FREED; i++) {
        char *end = writable_end(blocks[i]);
        if (end - blocks[i] >= (ptrdiff_t)sizes[i]) /* some were given back to the kernel */
            fill(blocks[i], sizes[i], (int)random_below(N_FILL_KINDS));
    }
    go_on();
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    {"behind-block", behind_block},
    {"behind-direct-block", behind_direct_block},
    {"behind-grown-block", behind_grown_block},
    {"free-blocks", free_blocks},
};

int main(int argc, char **argv)
{
    if (argc != 3)
        give_up("usage: misuse_flood CASE SEED");
    random_state = strtoull(argv[2], NULL, 10) * UINT64_C(0x9e3779b97f4a7c15) | 1;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (strcmp(argv[1], cases[i].name) != 0)
            continue;
        cases[i].run();
        return EXIT_SUCCESS;
    }
    give_up("no such case");
}
