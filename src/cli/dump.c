/* SPDX-License-Identifier: MIT */
#include "cli/dump.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DUMP_BYTES_MAX = 16 * 1024 * 1024 };

static int64_t written_ms(const char *file)
{
    struct stat status;
    if (stat(file, &status) != 0 || !S_ISREG(status.st_mode))
        return 0;
    return (int64_t)status.st_mtim.tv_sec * 1000 + status.st_mtim.tv_nsec / 1000000;
}

static bool read_text(struct dump *dump, const char *file)
{
    if (strcmp(file, "-") == 0)
        return bytes_read(&dump->text, STDIN_FILENO, DUMP_BYTES_MAX);
    dump->written_ms = written_ms(file);
    return bytes_read_file(&dump->text, file, DUMP_BYTES_MAX);
}

static const struct json_value *part(const struct dump *dump, const char *name, enum json_kind kind)
{
    const struct json_value *value = json_member(&dump->json, dump->json.values, name);
    return value != NULL && value->kind == kind ? value : NULL;
}

static void find_parts(struct dump *dump)
{
    const struct json_value *root = dump->json.values;
    dump->totals = part(dump, "totals", JSON_OBJECT);
    dump->classes = part(dump, "classes", JSON_ARRAY);
    dump->calls = part(dump, "system_calls", JSON_OBJECT);
    dump->spans = part(dump, "free_spans_by_size", JSON_ARRAY);
    dump->objects = part(dump, "objects", JSON_ARRAY);
    dump->advice = part(dump, "advice", JSON_ARRAY);
    dump->program = json_text(&dump->json, root, "program");
    dump->why = json_text(&dump->json, root, "why");
    dump->pid = json_count(&dump->json, root, "pid");
    dump->number = json_count(&dump->json, root, "number");
    uint64_t time_ms = json_count(&dump->json, root, "time_ms");
    if (time_ms > 0 && time_ms <= INT64_MAX)
        dump->written_ms = (int64_t)time_ms;
    dump->sites = part(dump, "sites", JSON_ARRAY);
    dump->process = part(dump, "process", JSON_OBJECT);
}

/* The other formats begin so. */
static bool is_other_format(const char *text)
{
    return strstr(text, "poolalloc: dump of process") != NULL ||
           strstr(text, "# TYPE poolalloc_") != NULL;
}

bool dump_parse(struct dump *dump, const char *file, struct bytes *why_not)
{
    struct json_fault fault;
    if (dump->text.n == 0) {
        bytes_printf(why_not, "%s: is empty", file);
        return false;
    }
    bool is_other = is_other_format(bytes_text(&dump->text));
    if (!json_parse(&dump->json, dump->text.at, dump->text.n, &fault)) {
        if (is_other)
            bytes_printf(why_not, "%s: is not in JSON: start the program with dump_format=json",
                         file);
        else
            bytes_printf(why_not, "%s:%zu:%zu: is no dump: %s", file, fault.line, fault.column,
                         fault.what);
        return false;
    }
    find_parts(dump);
    if (strcmp(json_text(&dump->json, dump->json.values, "schema"), "poolalloc") != 0 ||
        dump->totals == NULL) {
        bytes_printf(why_not, "%s: is JSON, but no dump of poolalloc's", file);
        return false;
    }
    if (json_count(&dump->json, dump->json.values, "version") != 1) {
        bytes_printf(why_not, "%s: is of a version that this command does not know", file);
        return false;
    }
    return true;
}

bool dump_read(struct dump *dump, const char *file, struct bytes *why_not)
{
    *dump = (struct dump){0};
    if (!read_text(dump, file)) {
        bytes_printf(why_not, "%s: %s", file,
                     errno == EFBIG ? "is too large for a dump" : strerror(errno));
        return false;
    }
    return dump_parse(dump, file, why_not);
}

void dump_need(struct dump *dump, const char *file)
{
    struct bytes why_not = {0};
    if (!dump_read(dump, file, &why_not))
        fail(STATUS_REFUSED, "%s", why_not.at);
}

void dump_free(struct dump *dump)
{
    json_free(&dump->json);
    bytes_free(&dump->text);
}

uint64_t dump_total(const struct dump *dump, const char *name)
{
    return json_count(&dump->json, dump->totals, name);
}

uint64_t dump_large_live(const struct dump *dump)
{
    uint64_t allocs = dump_total(dump, "large_allocs");
    uint64_t frees = dump_total(dump, "large_frees");
    return allocs > frees ? allocs - frees : 0;
}

uint64_t times(uint64_t a, uint64_t b)
{
    uint64_t product;
    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

uint64_t class_bytes_of(const struct dump *dump, const struct json_value *class, const char *kind)
{
    return times(json_count(&dump->json, class, kind), json_count(&dump->json, class, "bytes"));
}

size_t dump_count(const struct dump *dump, const struct json_value *array)
{
    size_t n = 0;
    EACH_VALUE(&dump->json, each, array)
    n++;
    return n;
}

const struct json_value *dump_class(const struct dump *dump, uint64_t bytes)
{
    EACH_VALUE(&dump->json, class, dump->classes)
    {
        if (json_count(&dump->json, class, "bytes") == bytes)
            return class;
    }
    return NULL;
}

static bool same_text(const struct dump *a, const struct json_value *of_a, const struct dump *b,
                      const struct json_value *of_b, const char *name)
{
    return strcmp(json_text(&a->json, of_a, name), json_text(&b->json, of_b, name)) == 0;
}

const struct json_value *dump_object(const struct dump *dump, const struct dump *other,
                                     const struct json_value *object)
{
    uint64_t number = json_count(&other->json, object, "number");
    EACH_VALUE(&dump->json, mine, dump->objects)
    {
        if (json_count(&dump->json, mine, "number") == number &&
            same_text(dump, mine, other, object, "kind") &&
            same_text(dump, mine, other, object, "name"))
            return mine;
    }
    return NULL;
}

void dump_shares(const struct dump *dump, struct share shares[N_SHARES])
{
    static const struct share all[N_SHARES] = {
        [SHARE_LIVE] = {"live", "what the program holds", 0},
        [SHARE_AT_HAND] = {"at hand", "free blocks kept for the next calls", 0},
        [SHARE_SLAB_FREE] = {"free in slabs", "free blocks beside live ones", 0},
        [SHARE_DIRTY] = {"held back", "free pages kept from the kernel", 0},
        [SHARE_RECORDS] = {"records", "the library's own", 0},
        [SHARE_REST] = {"rest", "ends of pages in slabs", 0},
    };
    /* The exact ones first: free blocks of slabs count where their pages have gone back, too. */
    static const struct {
        int share;
        const char *figure;
    } order[] = {
        {SHARE_LIVE, "live_bytes"},           {SHARE_RECORDS, "record_used_bytes"},
        {SHARE_DIRTY, "dirty_bytes"},         {SHARE_AT_HAND, "at_hand_bytes"},
        {SHARE_SLAB_FREE, "slab_free_bytes"},
    };
    uint64_t left = dump_total(dump, "resident_bytes");
    memcpy(shares, all, sizeof all);
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        uint64_t bytes = dump_total(dump, order[i].figure);
        bytes = bytes < left ? bytes : left;
        shares[order[i].share].bytes = bytes;
        left -= bytes;
    }
    shares[SHARE_REST].bytes = left;
}
