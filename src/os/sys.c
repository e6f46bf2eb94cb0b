/* SPDX-License-Identifier: MIT */
#include "os/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/magic.h>
#include <linux/membarrier.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

/* Not libc's syscall(): a program may have a function of that name, and it reports through errno,
 * which is the program's. */
#if defined(__x86_64__)
static long kernel(long number, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
static long kernel(long number, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
}
#endif

#define RAW(...) RAW_PADDED(__VA_ARGS__, 0L, 0L, 0L, 0L, 0L, 0L, 0L)
#define RAW_PADDED(number, a, b, c, d, e, f, ...)                                                  \
    kernel((number), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

long sys_map(void *hint, size_t bytes)
{
    return RAW(SYS_mmap, hint, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);
}

long sys_unmap(void *p, size_t bytes)
{
    return RAW(SYS_munmap, p, bytes);
}

long sys_protect_none(void *p, size_t bytes)
{
    return RAW(SYS_mprotect, p, bytes, PROT_NONE);
}

long sys_protect_write(void *p, size_t bytes)
{
    return RAW(SYS_mprotect, p, bytes, PROT_READ | PROT_WRITE);
}

long sys_protect_read(void *p, size_t bytes)
{
    return RAW(SYS_mprotect, p, bytes, PROT_READ);
}

long sys_discard(void *p, size_t bytes)
{
    return RAW(SYS_madvise, p, bytes, MADV_DONTNEED);
}

long sys_huge_on(void *p, size_t bytes)
{
    return RAW(SYS_madvise, p, bytes, MADV_HUGEPAGE);
}

long sys_huge_off(void *p, size_t bytes)
{
    return RAW(SYS_madvise, p, bytes, MADV_NOHUGEPAGE);
}

long sys_huge_now(void *p, size_t bytes)
{
    enum { COLLAPSE = 25 }; /* since Linux 6.1 */
    return RAW(SYS_madvise, p, bytes, COLLAPSE);
}

long sys_present(void *p, size_t bytes, unsigned char *pages)
{
    return RAW(SYS_mincore, p, bytes, pages);
}

long sys_wipe_on_fork(void *p, size_t bytes)
{
    return RAW(SYS_madvise, p, bytes, MADV_WIPEONFORK);
}

long sys_populate(void *p, size_t bytes)
{
    enum { POPULATE_WRITE = 23 }; /* since Linux 5.14; libc's headers may be older */
    return RAW(SYS_madvise, p, bytes, POPULATE_WRITE);
}

long sys_resize(void *p, size_t old_bytes, size_t new_bytes)
{
    return RAW(SYS_mremap, p, old_bytes, new_bytes, 0L);
}

long sys_move(void *p, size_t old_bytes, size_t new_bytes, void *to)
{
    return RAW(SYS_mremap, p, old_bytes, new_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to);
}

long sys_write(int fd, const void *text, size_t bytes)
{
    return RAW(SYS_write, fd, text, bytes);
}

/* Where the program has closed one of the first three, its other threads may read or write there
 * all the same. */
static long out_of_the_way(long fd)
{
    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    long high = sys_duplicate_high((int)fd);
    if (high < 0)
        return fd;
    (void)sys_close((int)fd);
    return high;
}

long sys_open_new(const char *path)
{
    return out_of_the_way(RAW(SYS_openat, AT_FDCWD, path,
                              O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644));
}

long sys_open_end(const char *path)
{
    return out_of_the_way(RAW(SYS_openat, AT_FDCWD, path,
                              O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
                              0644));
}

static long open_there(const char *path, int flags)
{
    flags |= O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    return out_of_the_way(RAW(SYS_openat, AT_FDCWD, path, flags, 0));
}

long sys_open_read(const char *path)
{
    return open_there(path, O_RDONLY);
}

long sys_open_both(const char *path)
{
    return open_there(path, O_RDWR);
}

long sys_open_here(const char *path)
{
    return open_there(path, O_RDONLY | O_NOFOLLOW);
}

long sys_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path));
    long fd =
        out_of_the_way(RAW(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    long code = fd < 0 ? fd : RAW(SYS_connect, fd, &address, sizeof address);
    if (fd >= 0 && code < 0)
        (void)sys_close((int)fd);
    return code < 0 ? code : fd;
}

long sys_read(int fd, void *to, size_t bytes)
{
    return RAW(SYS_read, fd, to, bytes);
}

long sys_send(int fd, const void *from, size_t bytes)
{
    return RAW(SYS_sendto, fd, from, bytes, MSG_NOSIGNAL, NULL, 0);
}

long sys_poll(struct pollfd *polls, size_t n, uint32_t ms)
{
    struct timespec timeout = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    return RAW(SYS_ppoll, polls, n, &timeout, NULL, 0);
}

static enum sys_file_kind kind_of(const struct stat *st)
{
    if (S_ISREG(st->st_mode))
        return SYS_FILE_REGULAR;
    if (S_ISFIFO(st->st_mode))
        return SYS_FILE_FIFO;
    return S_ISSOCK(st->st_mode) ? SYS_FILE_SOCKET : SYS_FILE_OTHER;
}

enum sys_file_kind sys_file_kind(int fd)
{
    struct stat st;
    int saved_errno = errno;
    bool is_known = fstat(fd, &st) == 0;
    errno = saved_errno;
    return is_known ? kind_of(&st) : SYS_FILE_OTHER;
}

enum sys_file_kind sys_path_kind(const char *path, size_t *bytes)
{
    struct stat st;
    memset(&st, 0, sizeof st);
    long code = RAW(SYS_newfstatat, AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW);
    *bytes = (size_t)st.st_size;
    if (code == -ENOENT)
        return SYS_FILE_NONE;
    return code == 0 ? kind_of(&st) : SYS_FILE_OTHER;
}

bool sys_is_kernels_file(int fd)
{
    struct statfs fs;
    memset(&fs, 0, sizeof fs);
    return RAW(SYS_fstatfs, fd, &fs) == 0 &&
           (fs.f_type == PROC_SUPER_MAGIC || fs.f_type == CGROUP2_SUPER_MAGIC);
}

long sys_close(int fd)
{
    return RAW(SYS_close, fd);
}

long sys_unlink(const char *path)
{
    return RAW(SYS_unlinkat, AT_FDCWD, path, 0);
}

long sys_rename_over(const char *from, const char *to)
{
    return RAW(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* Not every file system knows how to rename to a new name only; most can link. */
long sys_rename_new(const char *from, const char *to)
{
    enum { NO_REPLACE = 1 };
    long code = RAW(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, NO_REPLACE);
    if (code != -EINVAL && code != -ENOSYS)
        return code;
    code = RAW(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
    if (code == 0)
        (void)sys_unlink(from);
    return code;
}

bool sys_is_terminal(int fd)
{
    char settings[256]; /* the kernel's struct termios is smaller */
    return RAW(SYS_ioctl, fd, TCGETS, settings) == 0;
}

bool sys_is_appending(int fd)
{
    long flags = RAW(SYS_fcntl, fd, F_GETFL);
    return flags >= 0 && (flags & O_APPEND) != 0;
}

long sys_duplicate_high(int fd)
{
    enum { HIGH_FD = 200 };
    return RAW(SYS_fcntl, fd, F_DUPFD_CLOEXEC, HIGH_FD);
}

long sys_getpid(void)
{
    return RAW(SYS_getpid);
}

long sys_gettid(void)
{
    return RAW(SYS_gettid);
}

long sys_futex_wait(const void *word, uint32_t expected)
{
    return RAW(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
}

long sys_futex_wake(const void *word, int n_threads)
{
    return RAW(SYS_futex, word, FUTEX_WAKE_PRIVATE, n_threads, NULL, NULL, 0);
}

long sys_futex_wait_until(const void *word, uint32_t expected, const struct timespec *deadline)
{
    return RAW(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, expected, deadline, NULL,
               FUTEX_BITSET_MATCH_ANY);
}

long sys_barrier_register(void)
{
    return RAW(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0);
}

long sys_barrier(void)
{
    return RAW(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0);
}

long sys_thread_probe(uint32_t id)
{
    return RAW(SYS_tgkill, sys_getpid(), id, 0);
}

long sys_yield(void)
{
    return RAW(SYS_sched_yield);
}

long sys_futex_wait_ms(const void *word, uint32_t expected, unsigned ms)
{
    struct timespec time = {.tv_nsec = ms * 1000000L};
    return RAW(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, &time, NULL, 0);
}

long sys_file_identity(int fd, uint64_t *device, uint64_t *inode)
{
    struct stat st;
    int saved_errno = errno;
    if (fstat(fd, &st) != 0) {
        long code = -(long)errno;
        errno = saved_errno;
        return code;
    }
    *device = st.st_dev;
    *inode = st.st_ino;
    return 0;
}

long sys_is_same_file(int fd, uint64_t device, uint64_t inode)
{
    uint64_t found_device = 0;
    uint64_t found_inode = 0;
    long code = sys_file_identity(fd, &found_device, &found_inode);
    if (code < 0)
        return code;
    return found_device == device && found_inode == inode;
}

/* Not clock_nanosleep, which a seccomp filter may not know: the slow paths wait by futex, too. */
long sys_sleep_ms(uint32_t ms)
{
    const uint32_t word = 0;
    struct timespec timeout = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    return RAW(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &timeout, NULL, 0);
}

long sys_clock(clockid_t clock, struct timespec *now)
{
    return RAW(SYS_clock_gettime, clock, now);
}

long sys_signals_block(uint64_t signals, uint64_t *before)
{
    return RAW(SYS_rt_sigprocmask, SIG_BLOCK, &signals, before, sizeof signals);
}

long sys_signals_set(uint64_t blocked)
{
    return RAW(SYS_rt_sigprocmask, SIG_SETMASK, &blocked, NULL, sizeof blocked);
}

uint64_t sys_signals_pending(void)
{
    uint64_t pending = 0;
    (void)RAW(SYS_rt_sigpending, &pending, sizeof pending);
    return pending;
}

long sys_signal_take(uint64_t signals, void *info)
{
    struct timespec no_time = {0, 0};
    return RAW(SYS_rt_sigtimedwait, &signals, info, &no_time, sizeof signals);
}

long sys_signals_unblock(uint64_t signals)
{
    return RAW(SYS_rt_sigprocmask, SIG_UNBLOCK, &signals, NULL, sizeof signals);
}

long sys_signal_self(int signal, const void *info)
{
    return RAW(SYS_rt_tgsigqueueinfo, sys_getpid(), sys_gettid(), signal, info);
}

void sys_trap(void)
{
    (void)RAW(SYS_tgkill, sys_getpid(), sys_gettid(), SIGTRAP);
}

long sys_signal_process(int signal)
{
    return RAW(SYS_kill, sys_getpid(), signal);
}

long sys_seccomp_mode(void)
{
    return RAW(SYS_prctl, PR_GET_SECCOMP, 0L, 0L, 0L, 0L);
}

uint64_t sys_memory_bytes(void)
{
    struct sysinfo info;
    memset(&info, 0, sizeof info);
    if (RAW(SYS_sysinfo, &info) < 0)
        return 0;
    return (uint64_t)info.totalram * info.mem_unit;
}

/* The brk system call with an impossible address moves nothing and answers the current break. */
void *sys_program_break(void)
{
    return (void *)RAW(SYS_brk, 0L);
}
