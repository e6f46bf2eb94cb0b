/* SPDX-License-Identifier: MIT */
#include "pressure/cgroup.h"

#include "base/bits.h"
#include "os/pages.h"
#include "os/sys.h"
#include "os/text.h"

#include <errno.h>
#include <string.h>

enum { TEXT_BYTES = 8192, PATH_BYTES = 1024, N_LIMITS = 2, N_USED = 2 };

struct hierarchy {
    const char *controller; /* in /proc/self/cgroup */
    const char *mount;
    const char *limits[N_LIMITS];
    const char *used[N_USED]; /* how lines of memory.stat begin. Without swap shared memory stays */
};

static const struct hierarchy version_2 = {
    .controller = "",
    .mount = "/sys/fs/cgroup",
    .limits = {"memory.max", "memory.high"},
    .used = {"anon ", "shmem "},
};

static const struct hierarchy version_1 = {
    .controller = "memory",
    .mount = "/sys/fs/cgroup/memory",
    .limits = {"memory.limit_in_bytes"},
    .used = {"total_rss ", "total_shmem "},
};

/* Since find_group() was called last. */
static struct {
    bool any_limit;
    bool is_refused; /* a file that may be there */
} reading;

/* ---- files ---- */

/* The text of a file that the kernel makes up, as much as there is room for; NULL: there is none.
 * What does not fill the room is all: each of these files is one record, handed out whole. */
static const char *read_text(const char *path)
{
    static char text[TEXT_BYTES];
    long fd = sys_open_read(path);
    reading.is_refused |= fd < 0 && fd != -ENOENT;
    if (fd < 0)
        return NULL;
    long got = sys_read((int)fd, text, sizeof text - 1);
    (void)sys_close((int)fd);
    if (got <= 0)
        return NULL;
    text[got] = '\0';
    return text;
}

/* The names joined; NULL: too long. */
static const char *path_of(const char *mount, const char *group, const char *name)
{
    static char path[PATH_BYTES + 128];
    struct text text;
    text_init(&text, path, sizeof path - 1);
    text_add(&text, mount);
    text_add(&text, group);
    text_add(&text, "/");
    text_add(&text, name);
    *text.at = '\0';
    return text.at < text.end ? path : NULL;
}

static const char *read_of_group(const struct hierarchy *hierarchy, const char *group,
                                 const char *name)
{
    const char *path = path_of(hierarchy->mount, group, name);
    return path != NULL ? read_text(path) : NULL;
}

/* Digits; what is no number, "max" above all, is as much as can be. */
static uint64_t number_at(const char *text)
{
    uint64_t n = 0;
    if (*text < '0' || *text > '9')
        return CGROUP_NO_LIMIT;
    for (; *text >= '0' && *text <= '9'; text++) {
        if (__builtin_mul_overflow(n, 10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(*text - '0'), &n))
            return CGROUP_NO_LIMIT;
    }
    return n;
}

static const char *next_line(const char *line)
{
    const char *end = strchr(line, '\n');
    return end != NULL ? end + 1 : line + strlen(line);
}

/* ---- the process's group ---- */

/* Whether a list of names between commas has this one. */
static bool has_name(const char *list, const char *end, const char *name)
{
    size_t n = strlen(name);
    while (list <= end) {
        const char *comma = memchr(list, ',', (size_t)(end - list));
        const char *stop = comma != NULL ? comma : end;
        if ((size_t)(stop - list) == n && memcmp(list, name, n) == 0)
            return true;
        list = stop + 1;
    }
    return false;
}

/* "4:cpu,memory:/group": copies the group if the line is of the hierarchy. */
static bool group_in_line(const char *line, const struct hierarchy *hierarchy, char *group)
{
    const char *end = next_line(line);
    const char *controllers = memchr(line, ':', (size_t)(end - line));
    if (controllers == NULL)
        return false;
    controllers++;
    const char *path = memchr(controllers, ':', (size_t)(end - controllers));
    if (path == NULL || !has_name(controllers, path, hierarchy->controller))
        return false;
    path++;
    size_t n = (size_t)(end - path) - (end > path && end[-1] == '\n');
    if (n >= PATH_BYTES)
        return false;
    memcpy(group, path, n);
    group[n] = '\0';
    return true;
}

/* A group that the process's own view does not reach, or the topmost, is "". */
static void group_tidy(char *group)
{
    if (strstr(group, "/..") != NULL || group[0] != '/' || group[1] == '\0')
        group[0] = '\0';
}

static bool find_in(const char *text, const struct hierarchy *hierarchy, char *group)
{
    for (const char *line = text; line != NULL && *line != '\0'; line = next_line(line)) {
        if (group_in_line(line, hierarchy, group)) {
            group_tidy(group);
            return true;
        }
    }
    return false;
}

/* The hierarchy that has the memory: where version 1 has it, version 2 does not. NULL: neither. */
static const struct hierarchy *find_group(char *group)
{
    reading.any_limit = false;
    reading.is_refused = false;
    const char *text = read_text("/proc/self/cgroup");
    if (find_in(text, &version_1, group))
        return &version_1;
    return find_in(text, &version_2, group) ? &version_2 : NULL;
}

/* ---- limits ---- */

/* Version 1 says a number near 2^63 when there is no limit. */
static uint64_t limit_in(const struct hierarchy *hierarchy, const char *group, const char *name)
{
    const char *text = name != NULL ? read_of_group(hierarchy, group, name) : NULL;
    reading.any_limit |= text != NULL;
    uint64_t n = text != NULL ? number_at(text) : CGROUP_NO_LIMIT;
    return n < UINT64_C(1) << 62 ? n : CGROUP_NO_LIMIT;
}

static uint64_t limit_of_group(const struct hierarchy *hierarchy, const char *group)
{
    uint64_t least = CGROUP_NO_LIMIT;
    for (int i = 0; i < N_LIMITS; i++)
        least = min_size(least, limit_in(hierarchy, group, hierarchy->limits[i]));
    return least;
}

/* False: it was the topmost. */
static bool go_up(char *group)
{
    char *slash = strrchr(group, '/');
    if (slash == NULL)
        return false;
    *slash = '\0';
    return true;
}

/* From the group upwards; groups that cannot be read have none. */
uint64_t cgroup_limit(void)
{
    static char group[PATH_BYTES];
    const struct hierarchy *hierarchy = find_group(group);
    uint64_t least = CGROUP_NO_LIMIT;
    bool is_more = hierarchy != NULL;
    for (; is_more; is_more = go_up(group))
        least = min_size(least, limit_of_group(hierarchy, group));
    return least;
}

bool cgroup_is_read(void)
{
    return reading.any_limit && !reading.is_refused;
}

/* ---- what is used of them ---- */

static uint64_t number_after(const char *line, const char *key)
{
    size_t n = strlen(key);
    uint64_t number = strncmp(line, key, n) == 0 ? number_at(line + n) : 0;
    return number != CGROUP_NO_LIMIT ? number : 0;
}

static uint64_t used_of_group(const struct hierarchy *hierarchy, const char *group)
{
    uint64_t bytes = 0;
    const char *line = read_of_group(hierarchy, group, "memory.stat");
    for (; line != NULL && *line != '\0'; line = next_line(line)) {
        for (int i = 0; i < N_USED; i++)
            bytes += number_after(line, hierarchy->used[i]);
    }
    return bytes;
}

static uint64_t left_of(struct cgroup_use use)
{
    return use.used_bytes < use.limit_bytes ? use.limit_bytes - use.used_bytes : 0;
}

/* As little is left of two: the upper group's, which others draw on too. */
struct cgroup_use cgroup_nearest(void)
{
    static char group[PATH_BYTES];
    const struct hierarchy *hierarchy = find_group(group);
    struct cgroup_use nearest = {CGROUP_NO_LIMIT, 0};
    bool is_more = hierarchy != NULL;
    for (; is_more; is_more = go_up(group)) {
        struct cgroup_use use = {limit_of_group(hierarchy, group), 0};
        if (use.limit_bytes == CGROUP_NO_LIMIT)
            continue;
        use.used_bytes = used_of_group(hierarchy, group);
        if (left_of(use) <= left_of(nearest))
            nearest = use;
    }
    return nearest;
}

/* "pages of address space, resident pages ..." */
uint64_t process_resident(void)
{
    const char *text = read_text("/proc/self/statm");
    const char *resident = text != NULL ? strchr(text, ' ') : NULL;
    return resident != NULL ? number_at(resident + 1) * os_page_bytes() : 0;
}

/* ---- pressure ---- */

long cgroup_open_pressure(void)
{
    static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    static char group[PATH_BYTES];
    bool is_found = find_in(read_text("/proc/self/cgroup"), &version_2, group);
    for (size_t i = 0; is_found && i < ARRAY_LEN(mounts); i++) {
        const char *path = path_of(mounts[i], group, "memory.pressure");
        long fd = path != NULL ? sys_open_both(path) : -1;
        if (fd >= 0)
            return fd;
    }
    return sys_open_both("/proc/pressure/memory");
}
