// SPDX-License-Identifier: MIT
/*
 * A program that does one thing wrong: misuse CASE BYTES. It announces on stdout the line that the
 * library is to answer with, as far as the class; see run.sh. It leaves with status 0 if it is let
 * go on.
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <malloc.h>
#include <new>
#include <unistd.h>

extern "C" void free_sized(void *p, size_t bytes) __attribute__((weak));
extern "C" void free_aligned_sized(void *p, size_t align, size_t bytes) __attribute__((weak));

namespace
{

const int N_TURNS = 20000;

void expect(const char *fault, const void *p)
{
    std::printf("%s: %p\n", fault, p);
    std::fflush(stdout);
}

const char *volatile hidden;

/* The compiler shall not know where it comes from. */
char *opaque(void *p)
{
    hidden = static_cast<char *>(p);
    return const_cast<char *>(hidden);
}

char *take(size_t bytes)
{
    char *p = opaque(std::malloc(bytes));
    std::memset(p, 'x', bytes);
    return p;
}

/* Until whatever was freed has been looked at again, or handed out. */
void turn_over(size_t bytes)
{
    for (int i = 0; i < N_TURNS; i++)
        std::free(opaque(std::malloc(bytes)));
}

void double_free(size_t bytes)
{
    char *p = take(bytes);
    std::free(p);
    expect("double free", p);
    std::free(opaque(p));
}

void free_inside(size_t bytes)
{
    char *p = take(bytes);
    expect("free of a pointer that is no block", p + 16);
    std::free(opaque(p + 16));
}

void free_elsewhere(size_t bytes)
{
    expect("free of a pointer that is no block", &bytes);
    std::free(opaque(&bytes));
}

void past_end(size_t bytes)
{
    char *p = take(bytes);
    p[bytes] = 0;
    expect("write past the end of a block", p);
    std::free(p);
}

void past_end_by_8(size_t bytes)
{
    char *p = take(bytes);
    p[bytes + 7] = 1;
    expect("write past the end of a block", p);
    std::free(p);
}

void past_end_realloc(size_t bytes)
{
    char *p = take(bytes);
    p[bytes] = 0;
    expect("write past the end of a block", p);
    std::free(std::realloc(p, bytes * 4));
}

/* The same where the block would stay where it is: one fault, told once. */
void past_end_in_place(size_t bytes)
{
    char *p = take(bytes);
    p[bytes] = 0;
    expect("write past the end of a block", p);
    std::free(std::realloc(p, bytes - 1));
}

void after_free(size_t bytes, size_t at)
{
    char *p = take(bytes);
    std::free(p);
    expect("write to a free block", p);
    opaque(p)[at] = 'y';
    turn_over(bytes);
}

void after_free_first(size_t bytes)
{
    after_free(bytes, 0);
}

void after_free_last(size_t bytes)
{
    after_free(bytes, bytes - 1);
}

/* Nothing happens thereafter. */
void after_free_at_exit(size_t bytes)
{
    char *p = take(bytes);
    std::free(p);
    expect("write to a free block", p);
    opaque(p)[bytes / 2] = 'y';
}

void realloc_freed(size_t bytes)
{
    char *p = take(bytes);
    std::free(p);
    expect("realloc of a free block", p);
    std::free(std::realloc(opaque(p), bytes * 2));
}

void malloc_delete(size_t bytes)
{
    char *p = take(bytes);
    expect("free by the wrong function", p);
    operator delete(p);
}

void new_free(size_t bytes)
{
    char *p = opaque(operator new(bytes));
    expect("free by the wrong function", p);
    std::free(p);
}

void new_array_delete(size_t bytes)
{
    char *p = opaque(operator new[](bytes));
    expect("free by the wrong function", p);
    operator delete(p);
}

void new_delete_array(size_t bytes)
{
    char *p = opaque(operator new(bytes));
    expect("free by the wrong function", p);
    operator delete[](p);
}

void aligned_new_delete(size_t bytes)
{
    char *p = opaque(operator new(bytes, std::align_val_t(64)));
    expect("free by the wrong function", p);
    operator delete(p);
}

void new_realloc(size_t bytes)
{
    char *p = opaque(operator new(bytes));
    expect("realloc of what malloc did not allocate", p);
    std::free(std::realloc(p, bytes * 4));
}

void wrong_size_delete(size_t bytes)
{
    char *p = opaque(operator new(bytes));
    expect("free with a wrong size", p);
    operator delete(p, bytes + 1);
}

void wrong_size_delete_array(size_t bytes)
{
    char *p = opaque(operator new[](bytes));
    expect("free with a wrong size", p);
    operator delete[](p, bytes - 1);
}

void wrong_size_aligned(size_t bytes)
{
    char *p = opaque(operator new(bytes, std::align_val_t(64)));
    expect("free with a wrong size", p);
    operator delete(p, bytes - 1, std::align_val_t(64));
}

void wrong_size_aligned_array(size_t bytes)
{
    char *p = opaque(operator new[](bytes, std::align_val_t(64)));
    expect("free with a wrong size", p);
    operator delete[](p, bytes + 64, std::align_val_t(64));
}

void wrong_size_free(size_t bytes)
{
    char *p = take(bytes);
    expect("free with a wrong size", p);
    free_sized(p, bytes + 1);
}

void wrong_alignment(size_t bytes)
{
    char *p = opaque(aligned_alloc(64, bytes));
    expect("free with a wrong alignment", p);
    free_aligned_sized(p, 1 << 30, bytes);
}

/* Which the address has. */
void smaller_alignment(size_t bytes)
{
    char *p = opaque(operator new(bytes, std::align_val_t(64)));
    expect("free with a wrong alignment", p);
    operator delete(p, std::align_val_t(32));
}

void smaller_alignment_free(size_t bytes)
{
    char *p = opaque(aligned_alloc(64, bytes));
    expect("free with a wrong alignment", p);
    free_aligned_sized(p, 16, bytes);
}

/* Where the messages went there is a file of the program's now: they leave it alone. */
void no_stderr(size_t bytes)
{
    char name[] = "/tmp/poolalloc-data-XXXXXX";
    char read_back[16] = "";
    close(2);
    if (mkstemp(name) != 2 || write(2, "data", 4) != 4)
        std::exit(EXIT_FAILURE);
    unlink(name);
    double_free(bytes);
    if (pread(2, read_back, sizeof read_back, 0) != 4)
        std::exit(EXIT_FAILURE);
}

/* None of it is wrong. */
void all_is_well(size_t bytes)
{
    for (int i = 0; i < 1000; i++) {
        char *p = take(bytes);
        p = opaque(std::realloc(p, bytes + static_cast<size_t>(i)));
        std::memset(p, 'y', malloc_usable_size(p));
        std::free(p);
        operator delete(opaque(operator new(bytes)), bytes);
        operator delete[](opaque(operator new[](bytes)), bytes);
        operator delete(opaque(operator new(bytes, std::align_val_t(128))), bytes,
                        std::align_val_t(128));
        operator delete[](opaque(operator new[](bytes, std::align_val_t(8))), bytes,
                          std::align_val_t(8));
        operator delete[](opaque(operator new[](bytes, std::nothrow)));
        free_sized(opaque(std::calloc(bytes, 1)), bytes);
        free_aligned_sized(opaque(aligned_alloc(256, bytes)), 256, bytes);
    }
}

const struct {
    const char *name;
    void (*run)(size_t bytes);
} cases[] = {
    {"double-free", double_free},
    {"free-inside", free_inside},
    {"free-elsewhere", free_elsewhere},
    {"past-end", past_end},
    {"past-end-by-8", past_end_by_8},
    {"past-end-realloc", past_end_realloc},
    {"past-end-in-place", past_end_in_place},
    {"after-free-first", after_free_first},
    {"after-free-last", after_free_last},
    {"after-free-at-exit", after_free_at_exit},
    {"realloc-freed", realloc_freed},
    {"malloc-delete", malloc_delete},
    {"new-free", new_free},
    {"new-array-delete", new_array_delete},
    {"new-delete-array", new_delete_array},
    {"aligned-new-delete", aligned_new_delete},
    {"new-realloc", new_realloc},
    {"wrong-size-delete", wrong_size_delete},
    {"wrong-size-delete-array", wrong_size_delete_array},
    {"wrong-size-aligned", wrong_size_aligned},
    {"wrong-size-aligned-array", wrong_size_aligned_array},
    {"wrong-size-free", wrong_size_free},
    {"wrong-alignment", wrong_alignment},
    {"smaller-alignment", smaller_alignment},
    {"smaller-alignment-free", smaller_alignment_free},
    {"no-stderr", no_stderr},
    {"all-is-well", all_is_well},
};

} // namespace

int main(int argc, char **argv)
{
    for (const auto &one : cases) {
        if (argc == 3 && std::strcmp(argv[1], one.name) == 0) {
            one.run(std::strtoul(argv[2], nullptr, 10));
            return EXIT_SUCCESS;
        }
    }
    std::fputs("usage: checked_misuse CASE BYTES\n", stderr);
    return EXIT_FAILURE;
}
