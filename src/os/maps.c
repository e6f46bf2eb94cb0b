/* SPDX-License-Identifier: MIT */
#include "os/maps.h"

#include "os/sys.h"

#include <errno.h>

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

size_t os_maps_max(void)
{
    enum { BY_DEFAULT = 65530, DIGITS_MAX = 18 };
    struct reader reader = {.fd = sys_open_read("/proc/sys/vm/max_map_count")};
    char line[DIGITS_MAX + 1] = "";
    size_t n = 0;
    if (reader.fd < 0)
        return BY_DEFAULT;
    (void)read_line(&reader, line, sizeof line);
    (void)sys_close((int)reader.fd);
    for (const char *at = line; *at >= '0' && *at <= '9'; at++)
        n = n * 10 + (size_t)(*at - '0');
    return n > 0 ? n : BY_DEFAULT;
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
