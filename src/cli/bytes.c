/* SPDX-License-Identifier: MIT */
#include "cli/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READ_BYTES = 65536 };

CLI_PRINTF(1, 0) static void say(const char *format, va_list arguments)
{
    struct bytes shown = {0};
    char *line = NULL;
    (void)fflush(stdout);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
    if (vasprintf(&line, format, arguments) < 0) {
        (void)fputs("poolalloc: out of memory\n", stderr);
        _exit(STATUS_REFUSED);
    }
    bytes_add_shown(&shown, line);
    (void)fprintf(stderr, "poolalloc: %s\n", bytes_text(&shown));
    bytes_free(&shown);
    free(line);
}

void note(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
}

void fail(int status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
    exit(status);
}

void *need(void *p)
{
    if (p == NULL)
        fail(STATUS_REFUSED, "out of memory");
    return p;
}

/* Room for n more and the zero byte. */
static void bytes_need(struct bytes *bytes, size_t n)
{
    size_t wanted;
    if (__builtin_add_overflow(bytes->n, n, &wanted) || wanted >= (size_t)1 << 40)
        fail(STATUS_REFUSED, "out of memory");
    if (wanted < bytes->room)
        return;
    bytes->room = wanted + wanted / 2 + 64;
    bytes->at = need(realloc(bytes->at, bytes->room));
}

void bytes_add(struct bytes *bytes, const void *from, size_t n)
{
    bytes_need(bytes, n);
    if (n > 0)
        memcpy(bytes->at + bytes->n, from, n);
    bytes->n += n;
    bytes->at[bytes->n] = '\0';
}

void bytes_add_text(struct bytes *bytes, const char *text)
{
    bytes_add(bytes, text, strlen(text));
}

void bytes_printf(struct bytes *bytes, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = NULL;
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
    int n = vasprintf(&text, format, arguments);
    if (n < 0)
        fail(STATUS_REFUSED, "out of memory");
    bytes_add(bytes, text, (size_t)n);
    free(text);
    va_end(arguments);
}

/* In UTF-8: what Latin-1 adds to ASCII's control characters (U+0080 to U+009F), and what turns the
 * direction of text or begins a line (U+061C, U+200E, U+200F, U+2028 to U+202E, U+2066 to
 * U+2069). */
static const struct {
    unsigned char first[2]; /* bytes that it begins with; 0: one only */
    unsigned char from;     /* the last byte */
    unsigned char to;
} commands[] = {
    {{0xc2}, 0x80, 0x9f},       {{0xd8}, 0x9c, 0x9c},       {{0xe2, 0x80}, 0x8e, 0x8f},
    {{0xe2, 0x80}, 0xa8, 0xae}, {{0xe2, 0x81}, 0xa6, 0xa9},
};

/* How many bytes the text begins with that are a command to a terminal; 0: none. */
static size_t command_bytes(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    if (at[0] < 0x20 || at[0] == 0x7f)
        return 1;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        size_t n = commands[i].first[1] != 0 ? 2 : 1;
        if (strncmp(text, (const char *)commands[i].first, n) == 0 && at[n] >= commands[i].from &&
            at[n] <= commands[i].to)
            return n + 1;
    }
    return 0;
}

void bytes_add_shown(struct bytes *bytes, const char *text)
{
    while (*text != '\0') {
        size_t n = command_bytes(text);
        bytes_add(bytes, n > 0 ? "?" : text, 1);
        text += n > 0 ? n : 1;
    }
}

void bytes_clear(struct bytes *bytes)
{
    bytes->n = 0;
    if (bytes->at != NULL)
        bytes->at[0] = '\0';
}

void bytes_free(struct bytes *bytes)
{
    free(bytes->at);
    *bytes = (struct bytes){0};
}

const char *bytes_text(const struct bytes *bytes)
{
    return bytes->at != NULL ? bytes->at : "";
}

bool bytes_read(struct bytes *bytes, int fd, size_t most)
{
    for (;;) {
        bytes_need(bytes, READ_BYTES);
        ssize_t n = read(fd, bytes->at + bytes->n, READ_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        bytes->n += (size_t)n;
        bytes->at[bytes->n] = '\0';
        if (n == 0)
            return true;
        if (bytes->n > most) {
            errno = EFBIG;
            return false;
        }
    }
}

bool bytes_read_file(struct bytes *bytes, const char *file, size_t most)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return false;
    bool is_read = bytes_read(bytes, fd, most);
    int error = errno;
    (void)close(fd);
    errno = error;
    return is_read;
}

bool bytes_write(const struct bytes *bytes, int fd)
{
    for (size_t done = 0; done < bytes->n;) {
        ssize_t n = write(fd, bytes->at + done, bytes->n - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

void bytes_show(const struct bytes *bytes)
{
    if (bytes_write(bytes, STDOUT_FILENO))
        return;
    if (errno == EPIPE)
        exit(0);
    fail(STATUS_REFUSED, "can't write: %s", strerror(errno));
}
