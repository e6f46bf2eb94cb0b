/* SPDX-License-Identifier: MIT */
/*
 * What glibc offers to look at its heap, to tune it and to shrink it: it must be about the heap that
 * the program uses.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "contract.h"

void *__libc_malloc(size_t bytes);
void __libc_free(void *block);
void *__libc_calloc(size_t n, size_t each);
void *__libc_realloc(void *block, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

/* ---- malloc_trim ---- */

static size_t resident_bytes(void)
{
    unsigned long n_pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*u %lu", &n_pages), 1);
    (void)fclose(file);
    return n_pages * page_bytes();
}

enum { N_MANY = 20000, MANY_BYTES = 500 };

static void *many[N_MANY];

static void take_many(void)
{
    for (int i = 0; i < N_MANY; i++) {
        many[i] = malloc(MANY_BYTES);
        memset(many[i], 1, MANY_BYTES);
    }
}

static void give_many(void)
{
    for (int i = 0; i < N_MANY; i++)
        free(many[i]);
}

static void test_trim_gives_memory_back_and_says_so(void **state)
{
    (void)state;
    take_many();
    size_t peak = resident_bytes();
    give_many();
    errno = ERRNO_MARK;
    assert_int_equal(malloc_trim(0), 1);
    assert_int_equal(errno, ERRNO_MARK);
    assert_int_equal(malloc_trim(0), 0);
    assert_at(resident_bytes() + (size_t)N_MANY * MANY_BYTES * 9 / 10 < peak, resident_bytes());
}

static void test_trim_leaves_as_much_as_it_is_told(void **state)
{
    (void)state;
    malloc_trim(0);
    size_t before = resident_bytes();
    take_many();
    give_many();
    (void)malloc_trim(4 * MIB);
    size_t kept = resident_bytes() - before;
    assert_at(kept > 3 * MIB && kept < 5 * MIB, kept);
    assert_int_equal(malloc_trim(0), 1);
}

static pthread_barrier_t barrier;

/* Frees all it has, keeps it set aside, and goes on living. */
static void *take_and_give(void *unused)
{
    take_many();
    give_many();
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return unused;
}

static void test_trim_reaches_what_other_threads_have_set_aside(void **state)
{
    (void)state;
    pthread_t thread;
    assert_int_equal(pthread_barrier_init(&barrier, NULL, 2), 0);
    malloc_trim(0);
    size_t before = resident_bytes();
    assert_int_equal(pthread_create(&thread, NULL, take_and_give, NULL), 0);
    pthread_barrier_wait(&barrier);
    (void)malloc_trim(0);
    size_t kept = resident_bytes() - before;
    assert_at(resident_bytes() <= before || kept < MIB, kept);
    pthread_barrier_wait(&barrier);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* ---- mallopt ---- */

static void test_mallopt_takes_what_glibc_takes(void **state)
{
    (void)state;
    assert_int_equal(mallopt(M_MMAP_THRESHOLD, 64 * 1024), 1);
    assert_int_equal(mallopt(M_MMAP_THRESHOLD, INT_MAX), 1);
    assert_int_equal(mallopt(M_MMAP_THRESHOLD, 64 * 1024), 1);
    assert_int_equal(mallopt(M_TRIM_THRESHOLD, 16 * 1024 * 1024), 1);
    assert_int_equal(mallopt(M_TOP_PAD, 0), 1);
    assert_int_equal(mallopt(M_ARENA_MAX, 2), 1);
    assert_int_equal(mallopt(M_ARENA_MAX, 0), 1);
    assert_int_equal(mallopt(M_PERTURB, 0), 1);
    assert_int_equal(mallopt(M_MXFAST, 64), 1);
    assert_int_equal(mallopt(M_MXFAST, 100000), 0);
}

static void test_trim_threshold_bounds_what_is_kept(void **state)
{
    (void)state;
    malloc_trim(0);
    assert_int_equal(mallopt(M_TRIM_THRESHOLD, 0), 1);
    size_t before = resident_bytes();
    for (int i = 0; i < 3; i++) {
        char *block = malloc(8 * MIB);
        assert_non_null(block);
        memset(block, 1, 8 * MIB);
        free(block);
        malloc_trim(0);
    }
    assert_at(resident_bytes() < before + 4 * MIB, resident_bytes() - before);
    assert_int_equal(mallopt(M_TRIM_THRESHOLD, 16 * 1024 * 1024), 1);
}

/* ---- mallinfo ---- */

static void test_mallinfo2_counts_small_blocks(void **state)
{
    (void)state;
    struct mallinfo2 before = mallinfo2();
    take_many();
    struct mallinfo2 after = mallinfo2();
    size_t bytes = (size_t)N_MANY * MANY_BYTES;
    assert_at(after.uordblks >= before.uordblks + bytes, after.uordblks);
    assert_at(after.uordblks <= before.uordblks + bytes * 5 / 4, after.uordblks);
    assert_at(after.arena >= after.uordblks, after.arena);
    assert_int_equal(after.arena, after.uordblks + after.fordblks);
    assert_at(after.keepcost <= after.fordblks, after.keepcost);
    give_many();
    assert_at(mallinfo2().uordblks < before.uordblks + bytes / 10, mallinfo2().uordblks);
}

static void test_mallinfo2_counts_mapped_blocks(void **state)
{
    (void)state;
    struct mallinfo2 before = mallinfo2();
    void *block = malloc(GIB);
    assert_non_null(block);
    struct mallinfo2 after = mallinfo2();
    assert_int_equal(after.hblks, before.hblks + 1);
    assert_at(after.hblkhd >= before.hblkhd + GIB, after.hblkhd);
    assert_at(after.uordblks < GIB, after.uordblks);
    free(block);
    assert_int_equal(mallinfo2().hblks, before.hblks);
    assert_int_equal(mallinfo2().hblkhd, before.hblkhd);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

/* Programs divide by these, and take roots. */
static void test_mallinfo_is_never_negative(void **state)
{
    (void)state;
    void *block = malloc(3 * GIB);
    assert_non_null(block);
    struct mallinfo info = mallinfo();
    assert_int_equal(info.hblkhd, INT_MAX);
    assert_true(info.arena > 0 && info.uordblks > 0 && info.fordblks >= 0 && info.keepcost >= 0);
    free(block);
    assert_at((size_t)mallinfo().hblkhd < 3 * GIB, mallinfo().hblkhd);
}

#pragma GCC diagnostic pop

/* ---- malloc_info and malloc_stats ---- */

static size_t number_after(const char *text, const char *what)
{
    const char *at = strstr(text, what);
    if (at == NULL)
        fail_msg("there is no %s in: %s", what, text);
    return at != NULL ? strtoul(at + strlen(what), NULL, 10) : 0;
}

static char *info_text(void)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *file = open_memstream(&text, &bytes);
    assert_non_null(file);
    assert_int_equal(malloc_info(0, file), 0);
    assert_int_equal(fclose(file), 0);
    return text;
}

static void test_malloc_info_is_glibcs_xml_about_this_heap(void **state)
{
    (void)state;
    struct mallinfo2 info = mallinfo2();
    char *text = info_text();
    const char *begin = "<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n";
    const char *end = "</malloc>\n";
    assert_int_equal(strncmp(text, begin, strlen(begin)), 0);
    assert_string_equal(text + strlen(text) - strlen(end), end);
    assert_non_null(strstr(text, "</sizes>\n<total type=\"fast\""));
    assert_at(number_after(text, "<system type=\"current\" size=\"") >= info.arena, info.arena);
    assert_at(number_after(text, "<system type=\"max\" size=\"") >= info.arena, info.arena);
    assert_non_null(strstr(text, "</heap>\n"));
    free(text);
}

static void test_malloc_info_refuses_flags(void **state)
{
    (void)state;
    errno = ERRNO_MARK;
    assert_int_equal(malloc_info(1, stdout), EINVAL);
    assert_int_equal(errno, ERRNO_MARK);
}

static void test_malloc_stats_writes_to_fd_2(void **state)
{
    (void)state;
    char text[512] = "";
    int file = memfd_create("stats", MFD_CLOEXEC);
    int saved = dup(2);
    assert_true(file >= 0 && saved >= 0);
    assert_int_equal(dup2(file, 2), 2);
    errno = ERRNO_MARK;
    malloc_stats();
    int code = errno;
    assert_int_equal(dup2(saved, 2), 2);
    assert_int_equal(code, ERRNO_MARK);
    assert_true(pread(file, text, sizeof text - 1, 0) > 100);
    assert_non_null(strstr(text, "in "));
    (void)close(saved);
    (void)close(file);
}

/* ---- other names ---- */

static void test_sized_frees_free(void **state)
{
    (void)state;
    /* C23; this libc has none to link with. */
    void (*free_sized)(void *, size_t);
    void (*free_aligned_sized)(void *, size_t, size_t);
    *(void **)&free_sized = dlsym(RTLD_DEFAULT, "free_sized");
    *(void **)&free_aligned_sized = dlsym(RTLD_DEFAULT, "free_aligned_sized");
    assert_true(free_sized != NULL && free_aligned_sized != NULL);
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < 1000; i++) {
        free_sized(malloc(100), 100);
        free_aligned_sized(aligned_alloc(256, 512), 256, 512);
    }
    free_sized(NULL, 0);
    free_aligned_sized(NULL, 0, 0);
    assert_at(mallinfo2().uordblks <= before + 4096, mallinfo2().uordblks);
}

static void test_libc_names_share_the_heap(void **state)
{
    (void)state;
    char *block = __libc_malloc(100);
    assert_non_null(block);
    block_fill(block, 100, 1);
    block = realloc(block, 1000);
    assert_true(block_holds(block, 100, 1));
    block = __libc_realloc(block, 100000);
    assert_true(block_holds(block, 100, 1));
    free(block);
    char *zeroed = __libc_calloc(10, 10);
    assert_true(block_is_zero(zeroed, 100));
    free(zeroed);
    char *aligned = __libc_memalign(4096, 10);
    assert_true(is_aligned(aligned, 4096));
    free(aligned);
    __libc_free(malloc(10));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest rules[] = {
        cmocka_unit_test(test_trim_gives_memory_back_and_says_so),
        cmocka_unit_test(test_trim_leaves_as_much_as_it_is_told),
        cmocka_unit_test(test_trim_reaches_what_other_threads_have_set_aside),
        cmocka_unit_test(test_mallopt_takes_what_glibc_takes),
        cmocka_unit_test(test_trim_threshold_bounds_what_is_kept),
        cmocka_unit_test(test_mallinfo2_counts_small_blocks),
        cmocka_unit_test(test_mallinfo2_counts_mapped_blocks),
        cmocka_unit_test(test_mallinfo_is_never_negative),
        cmocka_unit_test(test_malloc_info_is_glibcs_xml_about_this_heap),
        cmocka_unit_test(test_malloc_info_refuses_flags),
        cmocka_unit_test(test_malloc_stats_writes_to_fd_2),
        cmocka_unit_test(test_sized_frees_free),
        cmocka_unit_test(test_libc_names_share_the_heap),
    };
    return CHECK_RULES(rules, argc, argv);
}
