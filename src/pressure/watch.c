/* SPDX-License-Identifier: MIT */
#include "pressure/watch.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "os/clock.h"
#include "os/log.h"
#include "os/sys.h"
#include "pressure/cgroup.h"

#include <errno.h>
#include <string.h>

enum { NAME_BYTES = 4096, WORDS_BYTES = 512, NO_FD = -1, READS_MAX = 64 };

/* Some 10 % of two seconds lost for want of memory. The kernel wants unprivileged programs to ask
 * for windows of whole two seconds. */
static const char trigger[] = "some 200000 2000000";

/* What the variables ask for. */
static struct {
    bool is_off;
    char path[NAME_BYTES]; /* empty: nothing */
    char words[WORDS_BYTES];
    size_t n_words;
} wanted;

static struct {
    bool is_opened; /* or was tried to be */
    enum sys_file_kind kind;
    uint64_t device;
    uint64_t inode;
    _Atomic int fd;
} watch = {.fd = NO_FD};

/* watch_wait() has woken: of a file of the kernel's it has taken the event in, of others it lies
 * there. */
static _Atomic bool is_heard;

/* ---- the variables ---- */

/* 64: it is no digit. */
static unsigned digit_of(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = memchr(digits, c, sizeof digits - 1);
    return at != NULL ? (unsigned)(at - digits) : 64;
}

/* False: it is not base 64, or too long. */
static bool decode(const char *from)
{
    uint32_t bits = 0;
    unsigned n_bits = 0;
    wanted.n_words = 0;
    for (; *from != '\0' && *from != '='; from++) {
        unsigned digit = digit_of(*from);
        if (digit == 64 || wanted.n_words == sizeof wanted.words)
            return false;
        bits = bits << 6 | digit;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            wanted.words[wanted.n_words++] = (char)(bits >> n_bits);
        }
    }
    return from[strspn(from, "=")] == '\0';
}

bool watch_init(const char *path, const char *base64)
{
    if (path == NULL || *path == '\0')
        return false;
    if (strcmp(path, "/dev/null") == 0) {
        wanted.is_off = true;
        return false;
    }
    if (path[0] != '/' || strlen(path) >= sizeof wanted.path ||
        (base64 != NULL && !decode(base64))) {
        log_warn("MEMORY_PRESSURE_WATCH, MEMORY_PRESSURE_WRITE: bad value, ignored", NULL, NULL);
        return false;
    }
    memcpy(wanted.path, path, strlen(path) + 1);
    return true;
}

/* ---- opening ---- */

static long open_wanted(void)
{
    long fd = sys_open_both(wanted.path);
    if (fd == -EACCES || fd == -EPERM || fd == -EROFS)
        fd = sys_open_read(wanted.path);
    if (fd == -ENXIO) /* open(2) says so of a socket */
        fd = sys_connect(wanted.path);
    return fd;
}

/* Not into a FIFO, since it is we who would read it, nor over what was meant to be kept. */
static bool say(int fd, const char *words, size_t n)
{
    enum sys_file_kind kind = sys_file_kind(fd);
    if (kind == SYS_FILE_FIFO)
        return true;
    if (kind == SYS_FILE_SOCKET)
        return n == 0 || sys_send(fd, words, n) == (long)n;
    return kind == SYS_FILE_REGULAR && sys_is_kernels_file(fd) &&
           (n == 0 || sys_write(fd, words, n) == (long)n);
}

static long open_and_say(void)
{
    bool is_asked = wanted.path[0] != '\0';
    long fd = is_asked ? open_wanted() : cgroup_open_pressure();
    if (fd < 0)
        return fd;
    /* The kernel wants the zero byte as well. */
    if (is_asked ? say((int)fd, wanted.words, wanted.n_words)
                 : say((int)fd, trigger, sizeof trigger))
        return fd;
    (void)sys_close((int)fd);
    return -EIO;
}

void watch_open(void)
{
    if (watch.is_opened || wanted.is_off)
        return;
    long low = open_and_say();
    watch.is_opened = low != -EAGAIN; /* a socket at which many wait: later */
    if (low < 0)
        return;
    long fd = sys_duplicate_high((int)low);
    (void)sys_close((int)low);
    if (fd < 0)
        return;
    watch.kind = sys_file_kind((int)fd);
    if (sys_file_identity((int)fd, &watch.device, &watch.inode) < 0) {
        (void)sys_close((int)fd);
        return;
    }
    atomic_put_release(&watch.fd, (int)fd);
}

/* ---- asking ---- */

/* A file of the kernel's says it by being urgent, and is never read. */
static short event_wanted(void)
{
    return watch.kind == SYS_FILE_REGULAR ? POLLPRI : POLLIN;
}

static bool is_ours(int fd)
{
    return sys_is_same_file(fd, watch.device, watch.inode) == 1;
}

static void let_go(int fd)
{
    atomic_put_relaxed(&watch.fd, NO_FD);
    if (is_ours(fd))
        (void)sys_close(fd);
}

/* Reads away what was said. False: nothing was. Nobody will ever say more: lets go; to a FIFO
 * others may come. */
static bool drain(int fd)
{
    char words[256];
    bool is_said = false;
    long n = 1;
    for (int i = 0; i < READS_MAX && n > 0; i++) {
        n = sys_read(fd, words, sizeof words);
        is_said |= n > 0;
    }
    bool is_end = n == 0 && watch.kind != SYS_FILE_FIFO;
    if (is_end || (n < 0 && n != -EAGAIN && n != -EINTR))
        let_go(fd);
    return is_said;
}

/* What there is at the moment. */
static bool poll_now(int fd)
{
    struct pollfd polled = {.fd = fd, .events = event_wanted()};
    if (sys_poll(&polled, 1, 0) <= 0)
        return false;
    /* A group that has gone, or a file without a trigger, is in error and urgent. */
    if ((polled.revents & (POLLERR | POLLNVAL)) != 0) {
        let_go(fd);
        return false;
    }
    return watch.kind == SYS_FILE_REGULAR ? (polled.revents & polled.events) != 0 : drain(fd);
}

bool watch_poll(void)
{
    int fd = atomic_get_relaxed(&watch.fd);
    bool was_heard = atomic_swap_acquire(&is_heard, false);
    bool is_said = was_heard && watch.kind == SYS_FILE_REGULAR;
    if (fd == NO_FD)
        return is_said;
    if (!is_ours(fd)) {
        atomic_put_relaxed(&watch.fd, NO_FD);
        return is_said;
    }
    return poll_now(fd) || is_said;
}

/* The descriptor may become another's meanwhile: then we wake for nothing, once, as the next
 * watch_poll() lets go of it. */
bool watch_wait(uint32_t ms)
{
    enum { HEARD_MS = 100 };
    int fd = atomic_get_acquire(&watch.fd);
    bool was_heard = atomic_get_relaxed(&is_heard);
    if (was_heard || fd == NO_FD || !is_ours(fd)) {
        os_sleep_ms(was_heard ? (uint32_t)min_size(ms, HEARD_MS) : ms);
        return was_heard;
    }
    struct pollfd polled = {.fd = fd, .events = event_wanted()};
    bool is_any = sys_poll(&polled, 1, ms) > 0;
    bool is_said =
        is_any && (polled.revents & polled.events) != 0 && (polled.revents & POLLERR) == 0;
    if (is_said)
        atomic_put_relaxed(&is_heard, true);
    if (is_any && !is_said)
        os_sleep_ms(ms); /* an error, or a FIFO that nobody writes to: so it is for some time */
    return is_said;
}

/* The parent's trigger tells one of the two, so the child lets go of it. */
void watch_forget(void)
{
    int fd = atomic_get_relaxed(&watch.fd);
    if (fd != NO_FD)
        let_go(fd);
    watch.is_opened = false;
    atomic_put_relaxed(&is_heard, false);
}
