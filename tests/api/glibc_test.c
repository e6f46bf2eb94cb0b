/* SPDX-License-Identifier: MIT */
/*
 * What glibc offers to look at its heap, to tune it and to shrink it: it must be about the heap
 * that the program uses. And its other names of the same functions.
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

/* As programs of before 2017 refer to it; new ones cannot be linked with it. */
#ifdef __x86_64__
__asm__(".symver old_cfree, cfree@GLIBC_2.2.5");
#else
__asm__(".symver old_cfree, cfree@GLIBC_2.17");
#endif
void old_cfree(void *block);

/* ---- malloc_trim ---- */

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

static void test_trim_gives_memory_back_and_returns_1(void **state)
{
    (void)state;
    take_many();
    size_t peak = resident_bytes();
    void *top = malloc(MANY_BYTES); /* glibc gives back by itself what lies above all blocks */
    give_many();
    assert_int_equal(malloc_trim(0), 1);
    assert_at(resident_bytes() + (size_t)N_MANY * MANY_BYTES * 9 / 10 < peak, resident_bytes());
    free(top);
}

/* A block is live in every slab. */
static void test_trim_gives_back_pages_between_blocks(void **state)
{
    enum { EVERY = 50 };
    (void)state;
    malloc_trim(0);
    take_many();
    for (int i = 0; i < N_MANY; i++) {
        if (i % EVERY != 0)
            free(many[i]);
    }
    size_t before = resident_bytes();
    assert_int_equal(malloc_trim(0), 1);
    assert_at(resident_bytes() + 5 * MIB < before, resident_bytes());
    for (int i = 0; i < N_MANY; i += EVERY) {
        assert_int_equal(((char *)many[i])[MANY_BYTES - 1], 1);
        free(many[i]);
    }
}

/* However it goes: what is over the pad, or in the course of collecting it. */
static void test_trim_returns_1_when_a_part_goes(void **state)
{
    (void)state;
    malloc_trim(0);
    take_many();
    give_many();
    size_t before = resident_bytes();
    assert_int_equal(malloc_trim(MIB), 1);
    assert_at(resident_bytes() + 4 * MIB < before, resident_bytes());
}

static void test_trim_of_nothing_returns_0(void **state)
{
    (void)state;
    take_many();
    void *top = malloc(MANY_BYTES);
    give_many();
    (void)malloc_trim(0);
    assert_int_equal(malloc_trim(0), 0);
    free(top);
}

static void test_trim_leaves_errno(void **state)
{
    (void)state;
    take_many();
    give_many();
    errno = ERRNO_MARK;
    (void)malloc_trim(0);
    assert_int_equal(errno, ERRNO_MARK);
}

static void test_trim_leaves_no_more_than_it_is_told(void **state)
{
    (void)state;
    malloc_trim(0);
    size_t before = resident_bytes();
    take_many();
    give_many();
    (void)malloc_trim(4 * MIB);
    size_t after = resident_bytes();
    assert_at(after < before + 5 * MIB, after);
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

static void test_mallopt_takes_what_glibc_knows(void **state)
{
    (void)state;
    assert_int_equal(mallopt(M_MMAP_THRESHOLD, INT_MAX), 1);
    assert_int_equal(mallopt(M_MMAP_THRESHOLD, -1), 1);
    assert_int_equal(mallopt(M_MMAP_THRESHOLD, 64 * 1024), 1);
    assert_int_equal(mallopt(M_MMAP_MAX, 1000), 1);
    assert_int_equal(mallopt(M_TRIM_THRESHOLD, 16 * 1024 * 1024), 1);
    assert_int_equal(mallopt(M_TOP_PAD, 0), 1);
    assert_int_equal(mallopt(M_ARENA_TEST, 2), 1);
    assert_int_equal(mallopt(M_ARENA_MAX, 2), 1);
    assert_int_equal(mallopt(M_ARENA_MAX, 0), 1);
    assert_int_equal(mallopt(M_PERTURB, 0), 1);
    assert_int_equal(mallopt(M_CHECK_ACTION, 3), 1);
    assert_int_equal(mallopt(M_MXFAST, 64), 1);
}

static void test_mallopt_of_a_value_out_of_range_returns_0(void **state)
{
    (void)state;
    assert_int_equal(mallopt(M_MXFAST, 100000), 0);
    assert_int_equal(mallopt(M_MXFAST, -1), 0);
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
    take_many();
    char *text = info_text();
    give_many();
    const char *begin = "<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n";
    const char *end = "</malloc>\n";
    assert_int_equal(strncmp(text, begin, strlen(begin)), 0);
    assert_string_equal(text + strlen(text) - strlen(end), end);
    assert_non_null(strstr(text, "</sizes>\n<total type=\"fast\""));
    size_t current = number_after(text, "<system type=\"current\" size=\"");
    assert_at(current >= (size_t)N_MANY * MANY_BYTES, current);
    assert_at(number_after(text, "<system type=\"max\" size=\"") >= current, current);
    assert_non_null(strstr(text, "</heap>\n"));
    free(text);
}

static void test_malloc_info_of_other_options_returns_einval(void **state)
{
    (void)state;
    errno = ERRNO_MARK;
    assert_int_equal(malloc_info(1, stdout), EINVAL);
    assert_int_equal(errno, ERRNO_MARK);
}

static size_t largest_number_in(const char *text)
{
    size_t largest = 0;
    while (*(text += strcspn(text, "0123456789")) != '\0') {
        char *end;
        size_t n = strtoul(text, &end, 10);
        largest = n > largest ? n : largest;
        text = end;
    }
    return largest;
}

static void test_malloc_stats_tells_fd_2_about_this_heap(void **state)
{
    (void)state;
    static char text[64 * KIB];
    int file = memfd_create("stats", MFD_CLOEXEC);
    int saved = dup(2);
    assert_true(file >= 0 && saved >= 0);
    assert_int_equal(dup2(file, 2), 2);
    take_many();
    errno = ERRNO_MARK;
    malloc_stats();
    int code = errno;
    give_many();
    assert_int_equal(dup2(saved, 2), 2);
    assert_int_equal(code, ERRNO_MARK);
    assert_true(pread(file, text, sizeof text - 1, 0) > 100);
    assert_at(largest_number_in(text) >= (size_t)N_MANY * MANY_BYTES, largest_number_in(text));
    (void)close(saved);
    (void)close(file);
}

/* ---- C23's free ---- */

/* This libc has none to link with. */
static void (*free_sized)(void *, size_t);
static void (*free_aligned_sized)(void *, size_t, size_t);

static void find_sized_frees(void)
{
    *(void **)&free_sized = dlsym(RTLD_DEFAULT, "free_sized");
    *(void **)&free_aligned_sized = dlsym(RTLD_DEFAULT, "free_aligned_sized");
    assert_true(free_sized != NULL && free_aligned_sized != NULL);
}

/* Lost blocks would be 400 MiB. */
static void test_sized_frees_free(void **state)
{
    (void)state;
    find_sized_frees();
    size_t before = resident_bytes();
    for (size_t i = 0; i < 50000; i++) {
        char *block = malloc(4000);
        char *aligned = aligned_alloc(512, 4096);
        assert_true(block != NULL && aligned != NULL);
        memset(block, 1, 4000);
        memset(aligned, 1, 4096);
        free_sized(block, 4000);
        free_aligned_sized(aligned, 512, 4096);
    }
    assert_at(resident_bytes() < before + 100 * MIB, resident_bytes() - before);
}

static void test_sized_frees_of_null_do_nothing(void **state)
{
    (void)state;
    find_sized_frees();
    errno = ERRNO_MARK;
    free_sized(NULL, 0);
    free_sized(NULL, 100);
    free_aligned_sized(NULL, 0, 0);
    free_aligned_sized(NULL, 64, 128);
    assert_int_equal(errno, ERRNO_MARK);
}

static void test_sized_frees_preserve_errno(void **state)
{
    (void)state;
    find_sized_frees();
    for (size_t bytes = 1; bytes <= 256 * MIB; bytes *= 2) {
        void *block = malloc(bytes);
        errno = ERRNO_MARK;
        free_sized(block, bytes);
        assert_at(errno == ERRNO_MARK, bytes);
        block = aligned_alloc(4096, bytes);
        errno = ERRNO_MARK;
        free_aligned_sized(block, 4096, bytes);
        assert_at(errno == ERRNO_MARK, bytes);
    }
}

/* ---- glibc's names for the same functions ---- */

static void *libc_name(const char *name)
{
    void *function = dlsym(RTLD_DEFAULT, name);
    if (function == NULL)
        fail_msg("there is no %s", name);
    return function;
}

/* Of two heaps, one has never seen the block: it has no bytes there. */
static void check_and_free(void *block, size_t bytes)
{
    assert_non_null(block);
    assert_at(malloc_usable_size(block) >= bytes, malloc_usable_size(block));
    block_fill(block, bytes, 1);
    block = realloc(block, 3 * bytes);
    assert_non_null(block);
    assert_true(block_holds(block, bytes, 1));
    free(block);
}

static void test_libc_malloc_goes_with_free(void **state)
{
    (void)state;
    void *(*function)(size_t);
    *(void **)&function = libc_name("__libc_malloc");
    check_and_free(function(100), 100);
    check_and_free(function(MIB), MIB);
}

static void test_libc_calloc_goes_with_free(void **state)
{
    (void)state;
    void *(*function)(size_t, size_t);
    *(void **)&function = libc_name("__libc_calloc");
    void *block = function(10, 10);
    assert_true(block_is_zero(block, 100));
    check_and_free(block, 100);
}

static void test_libc_realloc_goes_with_malloc_and_free(void **state)
{
    (void)state;
    void *(*function)(void *, size_t);
    *(void **)&function = libc_name("__libc_realloc");
    check_and_free(function(NULL, 100), 100);
    char *block = malloc(100);
    block_fill(block, 100, 2);
    block = function(block, 100000);
    assert_non_null(block);
    assert_true(block_holds(block, 100, 2));
    check_and_free(block, 100000);
}

static void test_libc_memalign_goes_with_free(void **state)
{
    (void)state;
    void *(*function)(size_t, size_t);
    *(void **)&function = libc_name("__libc_memalign");
    void *block = function(4096, 100);
    assert_true(is_aligned(block, 4096));
    check_and_free(block, 100);
}

static void test_libc_valloc_and_pvalloc_go_with_free(void **state)
{
    (void)state;
    void *(*function)(size_t);
    *(void **)&function = libc_name("__libc_valloc");
    check_and_free(function(100), 100);
    *(void **)&function = libc_name("__libc_pvalloc");
    check_and_free(function(100), page_bytes());
}

/* Each block has to reach the heap: 400 MiB would be lost. */
static void check_frees(void (*function)(void *))
{
    size_t before = resident_bytes();
    for (size_t i = 0; i < 100000; i++) {
        char *block = malloc(4096);
        assert_non_null(block);
        memset(block, 1, 4096);
        function(block);
    }
    assert_at(resident_bytes() < before + 100 * MIB, resident_bytes() - before);
}

static void test_malloc_goes_with_libc_free(void **state)
{
    (void)state;
    void (*function)(void *);
    *(void **)&function = libc_name("__libc_free");
    check_frees(function);
}

static void test_cfree_of_old_programs_frees(void **state)
{
    (void)state;
    check_frees(old_cfree);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest rules[] = {
        cmocka_unit_test(test_trim_gives_memory_back_and_returns_1),
        cmocka_unit_test(test_trim_gives_back_pages_between_blocks),
        cmocka_unit_test(test_trim_returns_1_when_a_part_goes),
        cmocka_unit_test(test_trim_of_nothing_returns_0),
        cmocka_unit_test(test_trim_leaves_errno),
        cmocka_unit_test(test_trim_leaves_no_more_than_it_is_told),
        cmocka_unit_test(test_trim_reaches_what_other_threads_have_set_aside),
        cmocka_unit_test(test_mallopt_takes_what_glibc_knows),
        cmocka_unit_test(test_mallopt_of_a_value_out_of_range_returns_0),
        cmocka_unit_test(test_trim_threshold_bounds_what_is_kept),
        cmocka_unit_test(test_mallinfo2_counts_small_blocks),
        cmocka_unit_test(test_mallinfo2_counts_mapped_blocks),
        cmocka_unit_test(test_mallinfo_is_never_negative),
        cmocka_unit_test(test_malloc_info_is_glibcs_xml_about_this_heap),
        cmocka_unit_test(test_malloc_info_of_other_options_returns_einval),
        cmocka_unit_test(test_malloc_stats_tells_fd_2_about_this_heap),
        cmocka_unit_test(test_sized_frees_free),
        cmocka_unit_test(test_sized_frees_of_null_do_nothing),
        cmocka_unit_test(test_sized_frees_preserve_errno),
        cmocka_unit_test(test_libc_malloc_goes_with_free),
        cmocka_unit_test(test_libc_calloc_goes_with_free),
        cmocka_unit_test(test_libc_realloc_goes_with_malloc_and_free),
        cmocka_unit_test(test_libc_memalign_goes_with_free),
        cmocka_unit_test(test_libc_valloc_and_pvalloc_go_with_free),
        cmocka_unit_test(test_malloc_goes_with_libc_free),
        cmocka_unit_test(test_cfree_of_old_programs_frees),
    };
    return CHECK_RULES(rules, argc, argv);
}
