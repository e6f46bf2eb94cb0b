/* SPDX-License-Identifier: MIT */
/*
 * The list of misuse.
 *
 *     misuse                      prints the names of all cases
 *     misuse GROUP.CASE[.SIZE]    does that
 */
#include "misuse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_AROUND = 9, NAME_MAX_BYTES = 128 };

static const struct misuse_group *const groups[] = {
    &double_free_group,      &invalid_free_group, &stray_free_group,
    &mismatch_group,         &overflow_group,     &underflow_group,
    &write_after_free_group, &stale_free_group,   &stale_data_group,
};

/* Multiples of 16, and of a page where blocks are whole pages: an allocator without space of its
 * own behind blocks has none to spare there. */
static const struct size {
    const char *name;
    size_t bytes;
} sizes[] = {
    {"small", 48},
    {"medium", 5 * 1024},
    {"large", 100 * 1024},
    {"huge", 3 * 1024 * 1024},
};
static const struct size no_size = {NULL, 48};

static void name_of(char name[NAME_MAX_BYTES], const struct misuse_group *group,
                    const struct misuse *misuse, const struct size *size)
{
    (void)snprintf(name, NAME_MAX_BYTES, "%s.%s%s%s", group->name, misuse->name,
                   size->name != NULL ? "." : "", size->name != NULL ? size->name : "");
}

static void *work_in_thread(void *argument)
{
    work(*(size_t *)argument);
    return NULL;
}

/* Other blocks lie around; and the program goes on, in other threads too. */
static void run(const struct misuse *misuse, size_t bytes)
{
    take_some(N_AROUND, bytes);
    misuse->run(bytes);
    check_all();
    work(bytes);
    check_all();
    in_thread(work_in_thread, &bytes);
    give_all();
    work(bytes);
    survived();
}

/* Wanted: the case of this name, or all are printed. True: it was run. */
static bool visit(const char *wanted, const struct misuse_group *group, const struct misuse *misuse,
                  const struct size *size)
{
    char name[NAME_MAX_BYTES];
    name_of(name, group, misuse, size);
    if (wanted == NULL)
        (void)puts(name);
    if (wanted == NULL || strcmp(wanted, name) != 0)
        return false;
    run(misuse, size->bytes);
    return true;
}

static bool visit_sizes(const char *wanted, const struct misuse_group *group,
                        const struct misuse *misuse)
{
    if (!group->has_sizes)
        return visit(wanted, group, misuse, &no_size);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        if (visit(wanted, group, misuse, &sizes[i]))
            return true;
    }
    return false;
}

static bool visit_all(const char *wanted)
{
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        for (size_t k = 0; k < groups[i]->n_cases; k++) {
            if (visit_sizes(wanted, groups[i], &groups[i]->cases[k]))
                return true;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    const char *wanted = argc > 1 ? argv[1] : NULL;
    if (!visit_all(wanted) && wanted != NULL)
        give_up("no such case");
    return EXIT_SUCCESS;
}
