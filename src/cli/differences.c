/* SPDX-License-Identifier: MIT */
/*
 * What has changed from one dump to another, most growth first. A class or an object that is in one
 * of them only counts as 0 in the other.
 */
#include "cli/figure.h"
#include "cli/show.h"

#include <stdlib.h>
#include <string.h>

struct change {
    struct bytes name;
    uint64_t blocks_before;
    uint64_t blocks_after;
    uint64_t bytes_before;
    uint64_t bytes_after;
};

struct changes {
    struct change *rows;
    size_t n;
    size_t room;
};

static struct change *change_add(struct changes *changes)
{
    if (changes->n == changes->room) {
        changes->room = changes->room * 2 + 64;
        changes->rows = need(realloc(changes->rows, changes->room * sizeof *changes->rows));
    }
    changes->rows[changes->n] = (struct change){0};
    return &changes->rows[changes->n++];
}

static void changes_free(struct changes *changes)
{
    for (size_t i = 0; i < changes->n; i++)
        bytes_free(&changes->rows[i].name);
    free(changes->rows);
}

static bool is_growth(const struct change *change)
{
    return change->bytes_after > change->bytes_before;
}

static uint64_t size_of_change(const struct change *change)
{
    return is_growth(change) ? change->bytes_after - change->bytes_before
                             : change->bytes_before - change->bytes_after;
}

/* Growth before what shrank, and of each the larger first. */
static int most_growth_first(const void *a, const void *b)
{
    const struct change *left = a;
    const struct change *right = b;
    if (is_growth(left) != is_growth(right))
        return is_growth(left) ? -1 : 1;
    uint64_t of_left = size_of_change(left);
    uint64_t of_right = size_of_change(right);
    return (of_left < of_right) - (of_left > of_right);
}

static bool is_change(const struct change *change)
{
    return change->bytes_before != change->bytes_after ||
           change->blocks_before != change->blocks_after;
}

/* ---- finding ---- */

/* Either value may be NULL. */
static void add_class(struct changes *changes, const struct dump *a, const struct json_value *of_a,
                      const struct dump *b, const struct json_value *of_b)
{
    struct change *change = change_add(changes);
    uint64_t bytes =
        of_b != NULL ? json_count(&b->json, of_b, "bytes") : json_count(&a->json, of_a, "bytes");
    bytes_printf(&change->name, "blocks of %s", as_number(bytes).at);
    change->blocks_before = json_count(&a->json, of_a, "live");
    change->blocks_after = json_count(&b->json, of_b, "live");
    change->bytes_before = class_bytes_of(a, of_a, "live");
    change->bytes_after = class_bytes_of(b, of_b, "live");
}

static void add_large(struct changes *changes, const struct dump *a, const struct dump *b)
{
    struct change *change = change_add(changes);
    bytes_add_text(&change->name, "large blocks");
    change->blocks_before = dump_large_live(a);
    change->blocks_after = dump_large_live(b);
    change->bytes_before = dump_total(a, "large_live_bytes");
    change->bytes_after = dump_total(b, "large_live_bytes");
}

static void find_classes(struct changes *changes, const struct dump *a, const struct dump *b)
{
    EACH_VALUE(&b->json, class, b->classes)
    {
        add_class(changes, a, dump_class(a, json_count(&b->json, class, "bytes")), b, class);
    }
    EACH_VALUE(&a->json, class, a->classes)
    {
        if (dump_class(b, json_count(&a->json, class, "bytes")) == NULL)
            add_class(changes, a, class, b, NULL);
    }
    add_large(changes, a, b);
}

static void add_object(struct changes *changes, const struct dump *a, const struct json_value *of_a,
                       const struct dump *b, const struct json_value *of_b)
{
    const struct json *json = of_b != NULL ? &b->json : &a->json;
    const struct json_value *object = of_b != NULL ? of_b : of_a;
    struct change *change = change_add(changes);
    bytes_add_shown(&change->name, json_text(json, object, "kind"));
    bytes_add_text(&change->name, " ");
    bytes_add_shown(&change->name, json_text(json, object, "name"));
    change->blocks_before = json_count(&a->json, of_a, "in_use");
    change->blocks_after = json_count(&b->json, of_b, "in_use");
    change->bytes_before = json_count(&a->json, of_a, "memory_bytes");
    change->bytes_after = json_count(&b->json, of_b, "memory_bytes");
}

static void find_objects(struct changes *changes, const struct dump *a, const struct dump *b)
{
    EACH_VALUE(&b->json, object, b->objects)
    {
        add_object(changes, a, dump_object(a, b, object), b, object);
    }
    EACH_VALUE(&a->json, object, a->objects)
    {
        if (dump_object(b, a, object) == NULL)
            add_object(changes, a, object, b, NULL);
    }
}

/* ---- showing ---- */

static void add_change(struct bytes *out, const struct change *change)
{
    bytes_add_text(out, "  ");
    add_fitted(out, bytes_text(&change->name), 24);
    bytes_printf(out, " %12s %12s %12s %12s\n",
                 as_growth("n", change->blocks_before, change->blocks_after).at,
                 as_growth("bytes", change->bytes_before, change->bytes_after).at,
                 as_bytes(change->bytes_before).at, as_bytes(change->bytes_after).at);
}

/* False: there are none. */
static bool add_changes(struct bytes *out, struct changes *changes, const char *heading,
                        const struct showing *how)
{
    size_t shown = 0;
    if (changes->n > 0)
        qsort(changes->rows, changes->n, sizeof *changes->rows, most_growth_first);
    for (size_t i = 0; i < changes->n; i++) {
        if (!is_change(&changes->rows[i]) || (how->rows_max > 0 && shown >= how->rows_max))
            continue;
        if (shown++ == 0)
            add_heading(out, &how->screen, heading);
        add_change(out, &changes->rows[i]);
    }
    return shown > 0;
}

/* Those of all figures that are not the same. False: there are none. */
static bool add_totals(struct bytes *out, const struct dump *a, const struct dump *b,
                       const struct showing *how)
{
    size_t shown = 0;
    EACH_VALUE(&b->json, figure, b->totals)
    {
        uint64_t before = dump_total(a, figure->name);
        if (figure->kind != JSON_COUNT || before == figure->count)
            continue;
        if (shown++ == 0)
            add_heading(
                out, &how->screen,
                "\n  figure                                growth       before        after");
        struct bytes name = {0};
        bytes_add_shown(&name, figure->name);
        bytes_add_text(out, "  ");
        add_fitted(out, bytes_text(&name), 30);
        bytes_printf(out, " %13s %12s %12s\n", as_growth(figure->name, before, figure->count).at,
                     as_named(figure->name, before).at, as_named(figure->name, figure->count).at);
        bytes_free(&name);
    }
    return shown > 0;
}

static void add_titles(struct bytes *out, const struct dump *a, const struct dump *b)
{
    bytes_add_text(out, "before: ");
    add_title(out, a);
    bytes_add_text(out, "\nafter:  ");
    add_title(out, b);
    bytes_add_text(out, "\n");
    if (a->pid != b->pid || strcmp(a->program, b->program) != 0)
        bytes_add_text(out, "These are of different processes.\n");
}

void show_differences(struct bytes *out, const struct dump *a, const struct dump *b,
                      const struct showing *how)
{
    struct changes classes = {0};
    struct changes objects = {0};
    find_classes(&classes, a, b);
    find_objects(&objects, a, b);
    add_titles(out, a, b);
    bool has_changed = add_changes(
        out, &classes,
        "\n  live                           blocks        bytes       before        after", how);
    has_changed |= add_changes(
        out, &objects,
        "\n  objects                        pieces       memory       before        after", how);
    has_changed |= add_totals(out, a, b, how);
    if (!has_changed)
        bytes_add_text(out, "Nothing has changed.\n");
    changes_free(&classes);
    changes_free(&objects);
}
