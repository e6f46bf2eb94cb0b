/* SPDX-License-Identifier: MIT */
#include "os/maps.h"

#include "os/sys.h"

#include <errno.h>
#include <string.h>

enum { READ_BYTES = 1024 };

struct reader {
    long fd;
    size_t at;
    size_t n;
    char buffer[READ_BYTES];
};

/* The next character, or -1. */
static int next(struct reader *reader)
{
    if (reader->at == reader->n) {
        long n;
        do {
            n = sys_read((int)reader->fd, reader->buffer, sizeof reader->buffer);
        } while (n == -EINTR);
        if (n <= 0)
            return -1;
        reader->n = (size_t)n;
        reader->at = 0;
    }
    return (unsigned char)reader->buffer[reader->at++];
}

static bool read_line(struct reader *reader, char *line, size_t bytes)
{
    size_t n = 0;
    int c = next(reader);
    if (c < 0)
        return false;
    for (; c >= 0 && c != '\n'; c = next(reader)) {
        if (n + 1 < bytes)
            line[n++] = (char)c;
    }
    line[n] = '\0';
    return true;
}

/* Small hexadecimal digits, as the kernel writes them; stops at whatever else there is. */
static const char *read_hex(const char *text, uintptr_t *n)
{
    for (*n = 0;; text++) {
        if (*text >= '0' && *text <= '9')
            *n = *n * 16 + (uintptr_t)(*text - '0');
        else if (*text >= 'a' && *text <= 'f')
            *n = *n * 16 + (uintptr_t)(*text - 'a') + 10;
        else
            return text;
    }
}

static bool is_of(const char *line, uintptr_t address)
{
    uintptr_t begin;
    uintptr_t end;
    line = read_hex(line, &begin);
    if (*line != '-')
        return false;
    (void)read_hex(line + 1, &end);
    return address >= begin && address < end;
}

/* A file's first line that begins so. */
static bool find_line(const char *path, const char *begin, char *line, size_t bytes)
{
    struct reader reader = {.fd = sys_open_read(path)};
    bool found = false;
    if (reader.fd < 0)
        return false;
    while (!found && read_line(&reader, line, bytes))
        found = strncmp(line, begin, strlen(begin)) == 0;
    (void)sys_close((int)reader.fd);
    return found;
}

static uint64_t number_at(const char *at)
{
    uint64_t n = 0;
    while (*at == ' ')
        at++;
    for (; *at >= '0' && *at <= '9'; at++)
        n = n * 10 + (uint64_t)(*at - '0');
    return n;
}

size_t os_maps_max(void)
{
    enum { BY_DEFAULT = 65530, DIGITS_MAX = 18 };
    char line[DIGITS_MAX + 1];
    if (!find_line("/proc/sys/vm/max_map_count", "", line, sizeof line))
        return BY_DEFAULT;
    size_t n = number_at(line);
    return n > 0 ? n : BY_DEFAULT;
}

enum os_huge os_huge_system(void)
{
    char line[64]; /* "always [madvise] never" */
    if (!find_line("/sys/kernel/mm/transparent_hugepage/enabled", "", line, sizeof line))
        return OS_HUGE_NEVER;
    if (strstr(line, "[always]") != NULL)
        return OS_HUGE_ALWAYS;
    return strstr(line, "[madvise]") != NULL ? OS_HUGE_IF_ADVISED : OS_HUGE_NEVER;
}

bool os_huge_bytes(uint64_t *bytes)
{
    static const char begin[] = "AnonHugePages:";
    char line[64]; /* "AnonHugePages:      2048 kB" */
    if (!find_line("/proc/self/smaps_rollup", begin, line, sizeof line))
        return false;
    *bytes = number_at(line + sizeof begin - 1) * 1024;
    return true;
}

bool os_maps_line(const void *p, char *line, size_t bytes)
{
    struct reader reader = {.fd = sys_open_read("/proc/self/maps")};
    bool found = false;
    if (reader.fd < 0)
        return false;
    while (!found && read_line(&reader, line, bytes))
        found = is_of(line, (uintptr_t)p);
    (void)sys_close((int)reader.fd);
    return found;
}
