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
    (void)fflush(stdout);
    (void)fputs("poolalloc: ", stderr);
    (void)vfprintf(stderr, format, arguments); /* NOLINT(clang-analyzer-valist.Uninitialized) */
    (void)fputc('\n', stderr);
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

/* Control characters of ASCII, and the second byte of those that Latin-1 adds (U+0080 to
 * U+009F). */
static bool is_command(const char *at)
{
    unsigned char c = (unsigned char)at[0];
    return c < 0x20 || c == 0x7f || (c == 0xc2 && (unsigned char)at[1] < 0xa0);
}

void bytes_add_shown(struct bytes *bytes, const char *text)
{
    for (; *text != '\0'; text++) {
        bool is_bad = is_command(text);
        bytes_add(bytes, is_bad ? "?" : text, 1);
        /* Of the two bytes of such a character none is left. */
        if (is_bad && (unsigned char)*text == 0xc2)
            text++;
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
