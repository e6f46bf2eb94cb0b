/* SPDX-License-Identifier: MIT */
#include "obs/dump.h"

#include "conf/options.h"
#include "obs/stats.h"
#include "os/process.h"
#include "os/sys.h"
#include "os/text.h"

#include <string.h>

/* What fd 2 was at start, and a copy of it: many programs close fd 2 on their way out. Neither is
 * written to unless it is still that file: a program may have opened another in its place. */
static struct {
    bool known;
    uint64_t device;
    uint64_t inode;
    int copy;
} stderr_at_start;

static bool is_to_stderr(void)
{
    return strcmp(options.dump, "stderr") == 0;
}

/* One line, written when it is complete. */
static void put_row(int fd, const char *label, uint64_t bytes)
{
    char line[128];
    struct text text;
    text_init(&text, line, sizeof line);
    text_add(&text, "  ");
    text_add_padded(&text, label, -34);
    text_add_number_wide(&text, bytes, 16);
    text_add(&text, "  ");
    text_add_size(&text, bytes);
    text_add(&text, "\n");
    text_write(&text, fd);
}

static void put_line(int fd, const char *line)
{
    struct text text;
    text_init(&text, (char *)line, strlen(line));
    text.at = text.end;
    text_write(&text, fd);
}

static void put_class(int fd, unsigned class, const struct class_stats *s)
{
    char line[160];
    struct text text;
    text_init(&text, line, sizeof line);
    text_add_number_wide(&text, class_bytes(class), 8);
    text_add_number_wide(&text, s->n_allocs, 16);
    text_add_number_wide(&text, s->n_frees, 16);
    text_add_number_wide(&text, s->n_allocs - s->n_frees, 14);
    text_add(&text, "  ");
    text_add_size(&text, (s->n_allocs - s->n_frees) * class_bytes(class));
    text_add(&text, "\n");
    text_write(&text, fd);
}

static void put_large(int fd, const struct arena_stats *arena)
{
    char line[160];
    struct text text;
    text_init(&text, line, sizeof line);
    text_add(&text, "   large");
    text_add_number_wide(&text, arena->n_large_allocs, 16);
    text_add_number_wide(&text, arena->n_large_frees, 16);
    text_add_number_wide(&text, arena->n_large_allocs - arena->n_large_frees, 14);
    text_add(&text, "  ");
    text_add_size(&text, arena->large_bytes);
    text_add(&text, "\n");
    text_write(&text, fd);
}

static void put_head(int fd)
{
    char line[96];
    struct text text;
    text_init(&text, line, sizeof line);
    text_add(&text, "poolalloc: dump of process ");
    text_add_number(&text, (uint64_t)sys_getpid());
    text_add(&text, "\n");
    text_write(&text, fd);
}

void dump_to(int fd)
{
    struct stats stats;
    if (!stats_read(&stats))
        return;
    const struct arena_stats *arena = &stats.arena;
    put_head(fd);
    put_row(fd, "in live blocks", stats.small_bytes + arena->large_bytes);
    put_row(fd, "  of size classes", stats.small_bytes);
    put_row(fd, "  large", arena->large_bytes);
    put_row(fd, "mapped", arena->mapped_bytes + arena->direct_bytes + stats.meta_bytes);
    put_row(fd, "  free, still in memory", arena->dirty_bytes);
    put_row(fd, "  free, not in memory", arena->free_bytes - arena->dirty_bytes);
    put_row(fd, "  our own records", stats.meta_bytes);
    put_row(fd, "given back to the kernel so far", arena->purged_bytes);
    put_line(fd, "   class          allocs           frees          live  bytes\n");
    for (unsigned class = 0; class < N_CLASSES; class ++) {
        if (stats.classes[class].n_allocs > 0)
            put_class(fd, class, &stats.classes[class]);
    }
    put_large(fd, arena);
}

/* The option's file name with %p replaced. False: too long. */
static bool dump_path(char *path, size_t bytes)
{
    struct text text;
    text_init(&text, path, bytes - 1);
    for (const char *from = options.dump; *from != '\0'; from++) {
        if (from[0] == '%' && from[1] == 'p') {
            text_add_number(&text, (uint64_t)sys_getpid());
            from++;
        } else {
            text_add_span(&text, from, 1);
        }
    }
    *text.at = '\0';
    return text.at < text.end;
}

static bool is_stderr_of_start(int fd)
{
    return stderr_at_start.known &&
           sys_is_same_file(fd, stderr_at_start.device, stderr_at_start.inode) == 1;
}

static void dump_to_file(void)
{
    char path[OPTION_TEXT_MAX + 64];
    if (!dump_path(path, sizeof path))
        return;
    long fd = sys_open_new(path);
    if (fd < 0) {
        if (is_stderr_of_start(2))
            text_warn("cannot write the dump to a new file ", path, NULL);
        return;
    }
    dump_to((int)fd);
    (void)sys_close((int)fd);
}

static void dump_to_stderr(void)
{
    if (is_stderr_of_start(stderr_at_start.copy))
        dump_to(stderr_at_start.copy);
    else if (is_stderr_of_start(2))
        dump_to(2);
}

void dump_at_exit(void)
{
    if (is_to_stderr())
        dump_to_stderr();
    else if (options.dump[0] != '\0')
        dump_to_file();
}

void dump_init(void)
{
    if (options.dump[0] == '\0')
        return;
    stderr_at_start.known =
        sys_file_identity(2, &stderr_at_start.device, &stderr_at_start.inode) == 0;
    if (is_to_stderr())
        stderr_at_start.copy = (int)sys_duplicate_high(2);
    (void)os_at_exit(dump_at_exit);
}
