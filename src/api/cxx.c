/* SPDX-License-Identifier: MIT */
/*
 * operator new and delete under their mangled names, at addresses of their own (tools tell C from
 * C++ by them).
 *
 * A program may replace any of them, and most that do replace two: new(size_t) and delete(void *).
 * With the C++ runtime all other forms then end up in these, so with us they must as well:
 *
 *     new[]     -> new         delete[]                  -> delete         and the same of
 *     nothrow   -> throwing    sized, nothrow            -> unsized        the aligned ones
 *
 * An arrow is a jump to the definition that the loader finds first (see OPERATOR). Only a nothrow
 * new cannot jump: it has to catch, which C cannot do. It allocates itself if what it would call is
 * ours, and otherwise leaves it to the runtime.
 *
 * Only success is handled here. When memory runs out the next definition of the same operator,
 * which is the C++ runtime's, takes over: it calls the new-handler, comes back through malloc or
 * through us, and throws a real std::bad_alloc. This file is compiled with -fexceptions so that it
 * may.
 */
#include "api/cxx.h"

#include "api/next.h"
#include "base/bits.h"
#include "heap/alloc.h"
#include "heap/checked.h"
#include "os/fixed.h"
#include "os/panic.h"
#include "os/process.h"

/* The compiler must not assume that a call reaches our definition (-fsemantic-interposition). Those
 * called from here are also listed in replaceable.list: to the linker all else that the library
 * exports is its own. In the static library they are weak, so that a program's own come before
 * ours; in the shared one they are not, for valgrind would not find them. */
#define OPERATOR(name, ...) EXPORT __VA_ARGS__ __asm__(name)

typedef void *new_function(size_t);
typedef void *new_nothrow_function(size_t, const void *);
typedef void *new_aligned_function(size_t, size_t);
typedef void *new_aligned_nothrow_function(size_t, size_t, const void *);

#define NEW                       "_Znwm"
#define NEW_ARRAY                 "_Znam"
#define NEW_NOTHROW               "_ZnwmRKSt9nothrow_t"
#define NEW_ARRAY_NOTHROW         "_ZnamRKSt9nothrow_t"
#define NEW_ALIGNED               "_ZnwmSt11align_val_t"
#define NEW_ARRAY_ALIGNED         "_ZnamSt11align_val_t"
#define NEW_ALIGNED_NOTHROW       "_ZnwmSt11align_val_tRKSt9nothrow_t"
#define NEW_ARRAY_ALIGNED_NOTHROW "_ZnamSt11align_val_tRKSt9nothrow_t"

OPERATOR(NEW, new_function new_plain);
OPERATOR(NEW_ARRAY, new_function new_array);
OPERATOR(NEW_NOTHROW, new_nothrow_function new_nothrow);
OPERATOR(NEW_ARRAY_NOTHROW, new_nothrow_function new_array_nothrow);
OPERATOR(NEW_ALIGNED, new_aligned_function new_aligned);
OPERATOR(NEW_ARRAY_ALIGNED, new_aligned_function new_array_aligned);
OPERATOR(NEW_ALIGNED_NOTHROW, new_aligned_nothrow_function new_aligned_nothrow);
OPERATOR(NEW_ARRAY_ALIGNED_NOTHROW, new_aligned_nothrow_function new_array_aligned_nothrow);

/* Sizes, alignments and tags that delete is told are not needed: the map knows. When blocks are
 * checked, sizes and alignments are looked at. */
#define NOTHROW __attribute__((unused)) const void *nothrow

OPERATOR("_ZdlPv", void delete_plain(void *p));
OPERATOR("_ZdaPv", void delete_array(void *p));
OPERATOR("_ZdlPvm", void delete_sized(void *p, size_t bytes));
OPERATOR("_ZdaPvm", void delete_array_sized(void *p, size_t bytes));
OPERATOR("_ZdlPvRKSt9nothrow_t", void delete_nothrow(void *p, NOTHROW));
OPERATOR("_ZdaPvRKSt9nothrow_t", void delete_array_nothrow(void *p, NOTHROW));
OPERATOR("_ZdlPvSt11align_val_t", void delete_aligned(void *p, size_t align));
OPERATOR("_ZdaPvSt11align_val_t", void delete_array_aligned(void *p, size_t align));
OPERATOR("_ZdlPvmSt11align_val_t", void delete_aligned_sized(void *p, size_t bytes, size_t align));
OPERATOR("_ZdaPvmSt11align_val_t",
         void delete_array_aligned_sized(void *p, size_t bytes, size_t align));
OPERATOR("_ZdlPvSt11align_val_tRKSt9nothrow_t",
         void delete_aligned_nothrow(void *p, size_t align, NOTHROW));
OPERATOR("_ZdaPvSt11align_val_tRKSt9nothrow_t",
         void delete_array_aligned_nothrow(void *p, size_t align, NOTHROW));

/* ---- which form it was ----
 *
 * The forms that are jumps go through a pointer: when blocks are checked, and the program has
 * replaced none of those that others end up in, these lead to functions that say which form it was.
 */

typedef void delete_function(void *);
typedef void delete_sized_function(void *, size_t);
typedef void delete_aligned_function(void *, size_t);
typedef void delete_aligned_sized_function(void *, size_t, size_t);

/* delete(void *), for a caller that passes the size as well: nobody looks at it. */
delete_sized_function delete_plain_told __asm__("_ZdlPv");
delete_sized_function delete_array_told __asm__("_ZdaPv");

/* The same of the aligned ones, where the size comes before what they take. */
static delete_aligned_sized_function delete_aligned_told;
static delete_aligned_sized_function delete_array_aligned_told;

static struct {
    new_function *new_array;
    new_aligned_function *new_array_aligned;
    delete_function *delete_array;
    delete_aligned_function *delete_array_aligned;
    delete_sized_function *delete_sized;
    delete_sized_function *delete_array_sized;
    delete_aligned_sized_function *delete_aligned_sized;
    delete_aligned_sized_function *delete_array_aligned_sized;

    /* Of the blocks that each makes. */
    unsigned family;
    unsigned family_array;
} jumps FIXED = {
    .new_array = new_plain,
    .new_array_aligned = new_aligned,
    .delete_array = delete_plain,
    .delete_array_aligned = delete_aligned,
    .delete_sized = delete_plain_told,
    .delete_array_sized = delete_array_told,
    .delete_aligned_sized = delete_aligned_told,
    .delete_array_aligned_sized = delete_array_aligned_told,
    .family = FAMILY_UNKNOWN,
    .family_array = FAMILY_UNKNOWN,
};

/* ---- new ---- */

/* The runtime's, for static programs: they have no next definition, and no new-handler with us. */
NORETURN __attribute__((weak)) void throw_bad_alloc(void) __asm__("_ZSt17__throw_bad_allocv");

NORETURN COLD static void no_next(void)
{
    if (throw_bad_alloc != NULL)
        throw_bad_alloc();
    panic("out of memory in operator new, and no C++ runtime to throw bad_alloc", NULL, 0);
}

/* No size above this can be had; libstdc++'s aligned operators overflow where they round such up.
 */
static size_t sane(size_t bytes)
{
    return min_size(bytes, PTRDIFF_MAX);
}

/* In a program with a malloc of its own, the runtime's operators get there. */
static void *slow_unless_bypassed(size_t bytes, unsigned family)
{
    return os_is_bypassed() ? NULL : alloc_slow_of(bytes, family);
}

static void *new_slow_of(size_t bytes, unsigned family)
{
    void *p = slow_unless_bypassed(bytes, family);
    if (LIKELY(p != NULL))
        return p;
    new_function *next;
    *(void **)&next = os_next_operator(NEW);
    if (next == NULL)
        no_next();
    return next(sane(bytes));
}

NOINLINE static void *new_slow(size_t bytes)
{
    return new_slow_of(bytes, jumps.family);
}

void *new_plain(size_t bytes)
{
    void *p = heap_alloc_fast(bytes);
    return LIKELY(p != NULL) ? p : new_slow(bytes);
}

static void *new_array_checked(size_t bytes)
{
    return new_slow_of(bytes, jumps.family_array);
}

void *new_array(size_t bytes)
{
    return jumps.new_array(bytes);
}

/* NULL as well for an alignment that is none: the runtime decides what comes of it. */
static void *alloc_aligned(size_t bytes, size_t align, unsigned family)
{
    if (UNLIKELY(!is_power_of_two(align) || os_is_bypassed()))
        return NULL;
    return heap_alloc_aligned_of(align, bytes, family | FAMILY_ALIGNED);
}

COLD static void *new_aligned_failed(size_t bytes, size_t align)
{
    new_aligned_function *next;
    *(void **)&next = os_next_operator(NEW_ALIGNED);
    if (next == NULL)
        no_next();
    return next(sane(bytes), align);
}

static void *new_aligned_of(size_t bytes, size_t align, unsigned family)
{
    void *p = alloc_aligned(bytes, align, family);
    return LIKELY(p != NULL) ? p : new_aligned_failed(bytes, align);
}

void *new_aligned(size_t bytes, size_t align)
{
    return new_aligned_of(bytes, align, jumps.family);
}

static void *new_array_aligned_checked(size_t bytes, size_t align)
{
    return new_aligned_of(bytes, align, jumps.family_array);
}

void *new_array_aligned(size_t bytes, size_t align)
{
    return jumps.new_array_aligned(bytes, align);
}

/* ---- new that returns NULL ----
 *
 * The static library goes without these: linked into one program, the runtime's call its operators
 * or ours, and can catch.
 */

/* Our definitions, whichever the loader finds first. */
static new_function our_new_plain __attribute__((alias(NEW)));
static new_function our_new_array __attribute__((alias(NEW_ARRAY)));
static new_aligned_function our_new_aligned __attribute__((alias(NEW_ALIGNED)));
static new_aligned_function our_new_array_aligned __attribute__((alias(NEW_ARRAY_ALIGNED)));

static bool plain_is_ours(void)
{
    return LIKELY(new_plain == our_new_plain);
}

static bool array_is_ours(void)
{
    return LIKELY(new_array == our_new_array) && plain_is_ours();
}

static bool aligned_is_ours(void)
{
    return LIKELY(new_aligned == our_new_aligned);
}

static bool array_aligned_is_ours(void)
{
    return LIKELY(new_array_aligned == our_new_array_aligned) && aligned_is_ours();
}

COLD static void *next_nothrow(const char *name, size_t bytes, const void *nothrow)
{
    new_nothrow_function *next;
    *(void **)&next = os_next_operator(name);
    return next != NULL ? next(sane(bytes), nothrow) : NULL;
}

NOINLINE static void *new_nothrow_slow(size_t bytes, const void *nothrow)
{
    void *p = slow_unless_bypassed(bytes, jumps.family);
    return LIKELY(p != NULL) ? p : next_nothrow(NEW_NOTHROW, bytes, nothrow);
}

NOINLINE static void *new_array_nothrow_slow(size_t bytes, const void *nothrow)
{
    void *p = slow_unless_bypassed(bytes, jumps.family_array);
    return LIKELY(p != NULL) ? p : next_nothrow(NEW_ARRAY_NOTHROW, bytes, nothrow);
}

void *new_nothrow(size_t bytes, const void *nothrow)
{
    if (!plain_is_ours())
        return next_nothrow(NEW_NOTHROW, bytes, nothrow);
    void *p = heap_alloc_fast(bytes);
    return LIKELY(p != NULL) ? p : new_nothrow_slow(bytes, nothrow);
}

void *new_array_nothrow(size_t bytes, const void *nothrow)
{
    if (!array_is_ours())
        return next_nothrow(NEW_ARRAY_NOTHROW, bytes, nothrow);
    void *p = heap_alloc_fast(bytes);
    return LIKELY(p != NULL) ? p : new_array_nothrow_slow(bytes, nothrow);
}

COLD static void *next_aligned_nothrow(const char *name, size_t bytes, size_t align,
                                       const void *nothrow)
{
    new_aligned_nothrow_function *next;
    *(void **)&next = os_next_operator(name);
    return next != NULL ? next(sane(bytes), align, nothrow) : NULL;
}

void *new_aligned_nothrow(size_t bytes, size_t align, const void *nothrow)
{
    void *p = aligned_is_ours() ? alloc_aligned(bytes, align, jumps.family) : NULL;
    return LIKELY(p != NULL) ? p : next_aligned_nothrow(NEW_ALIGNED_NOTHROW, bytes, align, nothrow);
}

void *new_array_aligned_nothrow(size_t bytes, size_t align, const void *nothrow)
{
    void *p = array_aligned_is_ours() ? alloc_aligned(bytes, align, jumps.family_array) : NULL;
    return LIKELY(p != NULL)
               ? p
               : next_aligned_nothrow(NEW_ARRAY_ALIGNED_NOTHROW, bytes, align, nothrow);
}

/* ---- delete ---- */

/* In a program with a malloc of its own, the runtime's operators get to its free. */
static void delete_slow_as(void *p, const struct freeing *freeing)
{
    if (os_is_bypassed()) {
        static _Atomic(void *) known;
        void (*next)(void *);
        *(void **)&next = next_known(&known, "_ZdlPv");
        if (next != NULL) {
            next(p);
            return;
        }
    }
    free_slow_as(p, freeing);
}

NOINLINE static void delete_slow(void *p)
{
    const struct freeing freeing = {jumps.family, SIZE_MAX, 1};
    delete_slow_as(p, &freeing);
}

void delete_plain(void *p)
{
    if (UNLIKELY(!heap_free_fast(p)))
        delete_slow(p);
}

static void delete_array_checked(void *p)
{
    const struct freeing freeing = {jumps.family_array, SIZE_MAX, 1};
    delete_slow_as(p, &freeing);
}

void delete_array(void *p)
{
    jumps.delete_array(p);
}

static void delete_sized_checked(void *p, size_t bytes)
{
    const struct freeing freeing = {jumps.family, bytes, 1};
    delete_slow_as(p, &freeing);
}

void delete_sized(void *p, size_t bytes)
{
    jumps.delete_sized(p, bytes);
}

static void delete_array_sized_checked(void *p, size_t bytes)
{
    const struct freeing freeing = {jumps.family_array, bytes, 1};
    delete_slow_as(p, &freeing);
}

void delete_array_sized(void *p, size_t bytes)
{
    jumps.delete_array_sized(p, bytes);
}

void delete_nothrow(void *p, NOTHROW)
{
    delete_plain(p);
}

void delete_array_nothrow(void *p, NOTHROW)
{
    delete_array(p);
}

NOINLINE static void delete_aligned_slow(void *p, size_t align)
{
    const struct freeing freeing = {jumps.family | FAMILY_ALIGNED, SIZE_MAX, align};
    delete_slow_as(p, &freeing);
}

void delete_aligned(void *p, size_t align)
{
    if (UNLIKELY(!heap_free_fast(p)))
        delete_aligned_slow(p, align);
}

static void delete_array_aligned_checked(void *p, size_t align)
{
    const struct freeing freeing = {jumps.family_array | FAMILY_ALIGNED, SIZE_MAX, align};
    delete_slow_as(p, &freeing);
}

void delete_array_aligned(void *p, size_t align)
{
    jumps.delete_array_aligned(p, align);
}

static void delete_aligned_told(void *p, size_t bytes, size_t align)
{
    (void)bytes;
    delete_aligned(p, align);
}

static void delete_aligned_sized_checked(void *p, size_t bytes, size_t align)
{
    const struct freeing freeing = {jumps.family | FAMILY_ALIGNED, bytes, align};
    delete_slow_as(p, &freeing);
}

void delete_aligned_sized(void *p, size_t bytes, size_t align)
{
    jumps.delete_aligned_sized(p, bytes, align);
}

static void delete_array_aligned_told(void *p, size_t bytes, size_t align)
{
    (void)bytes;
    delete_array_aligned(p, align);
}

static void delete_array_aligned_sized_checked(void *p, size_t bytes, size_t align)
{
    const struct freeing freeing = {jumps.family_array | FAMILY_ALIGNED, bytes, align};
    delete_slow_as(p, &freeing);
}

void delete_array_aligned_sized(void *p, size_t bytes, size_t align)
{
    jumps.delete_array_aligned_sized(p, bytes, align);
}

void delete_aligned_nothrow(void *p, size_t align, NOTHROW)
{
    delete_aligned(p, align);
}

void delete_array_aligned_nothrow(void *p, size_t align, NOTHROW)
{
    delete_array_aligned(p, align);
}

/* ---- start ---- */

static delete_function our_delete_plain __attribute__((alias("_ZdlPv")));
static delete_function our_delete_array __attribute__((alias("_ZdaPv")));
static delete_aligned_function our_delete_aligned __attribute__((alias("_ZdlPvSt11align_val_t")));
static delete_aligned_function our_delete_array_aligned
    __attribute__((alias("_ZdaPvSt11align_val_t")));

static bool all_are_ours(void)
{
    return array_is_ours() && array_aligned_is_ours() && delete_plain == our_delete_plain &&
           delete_array == our_delete_array && delete_aligned == our_delete_aligned &&
           delete_array_aligned == our_delete_array_aligned;
}

void cxx_checked_start(void)
{
    if (options.check == CHECK_OFF || !all_are_ours())
        return;
    jumps.new_array = new_array_checked;
    jumps.new_array_aligned = new_array_aligned_checked;
    jumps.delete_array = delete_array_checked;
    jumps.delete_array_aligned = delete_array_aligned_checked;
    jumps.delete_sized = delete_sized_checked;
    jumps.delete_array_sized = delete_array_sized_checked;
    jumps.delete_aligned_sized = delete_aligned_sized_checked;
    jumps.delete_array_aligned_sized = delete_array_aligned_sized_checked;
    jumps.family = FAMILY_NEW;
    jumps.family_array = FAMILY_NEW_ARRAY;
}
