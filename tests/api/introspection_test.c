/* SPDX-License-Identifier: MIT */
/*
 * The rest of what glibc's malloc.h offers: mallinfo and its kin speak of our heap, not of libc's
 * idle one, and all names of the family come from one library.
 */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "contract.h"

enum { N_BLOCKS = 32 * 1024, BLOCK_BYTES = 1000 };

static void *blocks[N_BLOCKS];

static void allocate_blocks(void)
{
    for (size_t i = 0; i < N_BLOCKS; i++) {
        blocks[i] = malloc(BLOCK_BYTES);
        assert_non_null(blocks[i]);
        memset(blocks[i], 1, BLOCK_BYTES);
    }
}

static void free_blocks(void)
{
    for (size_t i = 0; i < N_BLOCKS; i++)
        free(blocks[i]);
}

static size_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    char line[128];
    assert_non_null(fgets(line, sizeof line, file));
    (void)fclose(file);
    char *second = NULL;
    (void)strtoul(line, &second, 10);
    return strtoul(second, NULL, 10) * page_bytes();
}

/* Everything that is alive, wherever a malloc chooses to count large blocks. */
static size_t live_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void test_mallinfo2_follows_the_heap(void **state)
{
    (void)state;
    size_t before = mallinfo2().uordblks;
    allocate_blocks();
    struct mallinfo2 full = mallinfo2();
    free_blocks();
    size_t after = mallinfo2().uordblks;
    const size_t total = (size_t)N_BLOCKS * BLOCK_BYTES;
    assert_true(full.uordblks >= before + total);
    assert_true(full.uordblks <= before + total + total / 4);
    assert_true(full.arena + full.hblkhd >= full.uordblks);
    assert_true(after <= before + total / 16);
}

static void test_mallinfo2_counts_large_blocks(void **state)
{
    (void)state;
    size_t before = live_bytes();
    void *block = malloc(50 * MIB);
    assert_non_null(block);
    size_t full = live_bytes();
    free(block);
    size_t after = live_bytes();
    assert_true(full >= before + 50 * MIB);
    assert_true(after <= before + MIB);
}

/* The old mallinfo() has int fields; more than they hold must not turn negative. */
static void test_mallinfo_is_never_negative(void **state)
{
    (void)state;
    void *huge = malloc(3 * GIB);
    allocate_blocks();
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    struct mallinfo info = mallinfo();
#pragma GCC diagnostic pop
    free_blocks();
    free(huge);
    assert_true(info.uordblks >= N_BLOCKS * BLOCK_BYTES);
    assert_true(info.arena >= 0 && info.ordblks >= 0 && info.smblks >= 0 && info.hblks >= 0);
    assert_true(info.hblkhd >= 0 && info.usmblks >= 0 && info.fsmblks >= 0);
    assert_true(info.fordblks >= 0 && info.keepcost >= 0);
}

static void test_trim_gives_memory_back(void **state)
{
    (void)state;
    size_t before = resident_bytes();
    allocate_blocks();
    size_t full = resident_bytes();
    free_blocks();
    int result = malloc_trim(0);
    size_t after = resident_bytes();
    assert_true(full >= before + (size_t)N_BLOCKS * BLOCK_BYTES / 2);
    assert_in_range(result, 0, 1);
    assert_true(after <= before + (full - before) / 4);
}

static void test_malloc_info_is_xml(void **state)
{
    (void)state;
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    assert_non_null(stream);
    int result = malloc_info(0, stream);
    (void)fclose(stream);
    assert_int_equal(result, 0);
    static const char start[] = "<malloc version=\"1\">";
    assert_true(length > sizeof start);
    assert_memory_equal(text, start, sizeof start - 1);
    assert_non_null(strstr(text, "<heap nr=\"0\">"));
    assert_non_null(strstr(text, "</heap>"));
    assert_non_null(strstr(text, "<system type=\"current\" size=\""));
    assert_non_null(strstr(text, "</malloc>"));
    free(text);
}

static void test_malloc_info_knows_no_options(void **state)
{
    (void)state;
    assert_int_equal(malloc_info(1, stdout), EINVAL);
    assert_int_equal(malloc_info(-1, stdout), EINVAL);
}

static void test_malloc_stats_writes_to_stderr(void **state)
{
    (void)state;
    FILE *capture = tmpfile();
    assert_non_null(capture);
    (void)fflush(stderr);
    int kept = dup(STDERR_FILENO);
    assert_true(kept >= 0);
    assert_true(dup2(fileno(capture), STDERR_FILENO) >= 0);
    malloc_stats();
    (void)fflush(stderr);
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    (void)close(kept);
    assert_true(lseek(fileno(capture), 0, SEEK_END) > 0);
    (void)fclose(capture);
}

static void test_mallopt_takes_the_known_parameters(void **state)
{
    (void)state;
    assert_int_equal(mallopt(M_TRIM_THRESHOLD, 1 << 20), 1);
    assert_int_equal(mallopt(M_MMAP_THRESHOLD, 1 << 20), 1);
    assert_int_equal(mallopt(M_TOP_PAD, 1 << 16), 1);
    assert_int_equal(mallopt(M_ARENA_MAX, 2), 1);
    void *block = malloc(100);
    assert_non_null(block);
    free(block);
}

/* A family from two libraries is worse than none: their blocks would meet. */
static void test_all_names_come_from_one_library(void **state)
{
    (void)state;
    static const char *const names[] = {
        "calloc",          "realloc",       "reallocarray",       "free",
        "posix_memalign",  "aligned_alloc", "memalign",           "valloc",
        "pvalloc",         "malloc_trim",   "malloc_usable_size", "malloc_info",
        "malloc_stats",    "mallopt",       "mallinfo",           "mallinfo2",
        "__libc_malloc",   "__libc_calloc", "__libc_realloc",     "__libc_free",
        "__libc_memalign", "__libc_valloc", "__libc_pvalloc",     "__posix_memalign",
        "cfree",           "free_sized",    "free_aligned_sized",
    };
    Dl_info home;
    assert_int_not_equal(dladdr(dlsym(RTLD_DEFAULT, "malloc"), &home), 0);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        Dl_info info;
        void *address = dlsym(RTLD_DEFAULT, names[i]);
        if (address == NULL || dladdr(address, &info) == 0)
            fail_msg("%s is missing", names[i]);
        else if (strcmp(info.dli_fname, home.dli_fname) != 0)
            fail_msg("%s comes from %s, malloc from %s", names[i], info.dli_fname, home.dli_fname);
    }
}

typedef void (*free_sized_function)(void *block, size_t bytes);
typedef void (*free_aligned_sized_function)(void *block, size_t alignment, size_t bytes);

static void test_sized_frees(void **state)
{
    (void)state;
    void *symbol = dlsym(RTLD_DEFAULT, "free_sized");
    void *aligned_symbol = dlsym(RTLD_DEFAULT, "free_aligned_sized");
    assert_non_null(symbol);
    assert_non_null(aligned_symbol);
    free_sized_function release = NULL;
    free_aligned_sized_function release_aligned = NULL;
    memcpy(&release, &symbol, sizeof symbol);
    memcpy(&release_aligned, &aligned_symbol, sizeof aligned_symbol);
    static const size_t sizes[] = {0, 1, 100, 5000, 100000, 10 * MIB};
    size_t before = live_bytes();
    errno = ERRNO_MARK;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        release(malloc(opaque(sizes[i])), sizes[i]);
        release_aligned(aligned_alloc(128, opaque(sizes[i])), 128, sizes[i]);
    }
    release(NULL, 0);
    release_aligned(NULL, 64, 0);
    assert_int_equal(errno, ERRNO_MARK);
    assert_true(live_bytes() <= before + MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mallinfo2_follows_the_heap),
        cmocka_unit_test(test_mallinfo2_counts_large_blocks),
        cmocka_unit_test(test_mallinfo_is_never_negative),
        cmocka_unit_test(test_trim_gives_memory_back),
        cmocka_unit_test(test_malloc_info_is_xml),
        cmocka_unit_test(test_malloc_info_knows_no_options),
        cmocka_unit_test(test_malloc_stats_writes_to_stderr),
        cmocka_unit_test(test_mallopt_takes_the_known_parameters),
        cmocka_unit_test(test_all_names_come_from_one_library),
        cmocka_unit_test(test_sized_frees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
