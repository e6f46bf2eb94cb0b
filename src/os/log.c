/* SPDX-License-Identifier: MIT */
#include "os/log.h"

#include "base/atomic.h"
#include "os/fixed.h"
#include "os/path.h"
#include "os/sys.h"

static FIXED const char *log_pattern = "";

/* What fd 2 was at start. [const] after that */
static struct {
    bool is_asked;
    bool is_known;
    uint64_t device;
    uint64_t inode;
} stderr_at_start;

static _Atomic bool is_end;

void log_remember_stderr(void)
{
    stderr_at_start.is_known =
        sys_file_identity(2, &stderr_at_start.device, &stderr_at_start.inode) == 0;
    stderr_at_start.is_asked = true;
}

bool log_is_stderr_of_start(int fd)
{
    return stderr_at_start.is_known &&
           sys_is_same_file(fd, stderr_at_start.device, stderr_at_start.inode) == 1;
}

void log_last_words(void)
{
    atomic_put_relaxed(&is_end, true);
}

/* A program that closed fd 2 may have opened a file or a socket there that is for other words than
 * ours. */
static bool is_for_us(int fd)
{
    if (!stderr_at_start.is_asked || atomic_get_relaxed(&is_end) || log_is_stderr_of_start(fd))
        return true;
    enum sys_file_kind kind = sys_file_kind(fd);
    return (kind != SYS_FILE_REGULAR && kind != SYS_FILE_SOCKET) || sys_is_appending(fd);
}

void log_open(const char *pattern)
{
    if (os_fixed_open())
        __atomic_store_n(&log_pattern, pattern, __ATOMIC_RELAXED);
}

static void write_to_file(const struct text *text)
{
    struct path path;
    if (!path_expand(&path, log_pattern, 1))
        return;
    long fd = sys_open_end(path.name);
    if (fd < 0)
        return;
    (void)text_write(text, (int)fd);
    (void)sys_close((int)fd);
}

static void put(const struct text *text, bool is_for_stderr)
{
    if (is_for_stderr)
        (void)text_write(text, 2);
    if (log_pattern[0] != '\0')
        write_to_file(text);
}

void log_text(const struct text *text)
{
    put(text, is_for_us(2));
}

void log_warn(const char *a, const char *b, const char *c)
{
    char line[256];
    struct text text;
    text_init(&text, line, sizeof line - 1);
    text_add(&text, "poolalloc: ");
    text_add(&text, a);
    if (b != NULL)
        text_add(&text, b);
    if (c != NULL)
        text_add(&text, c);
    text.end++;
    text_add(&text, "\n");
    put(&text, !stderr_at_start.is_asked || log_is_stderr_of_start(2));
}
