/* SPDX-License-Identifier: MIT */
/*
 * The system calls we make, raw: other preloaded libraries hook mmap, open and friends and call
 * back into malloc from there, while we may hold a lock. Each returns what the kernel returned,
 * a negative errno for failure; errno itself is never touched.
 *
 * The unit tests replace sys.c as a whole, to make the Nth call of a kind fail.
 */
#ifndef POOLALLOC_OS_SYS_H
#define POOLALLOC_OS_SYS_H

#include "base/compiler.h"

#include <poll.h>
#include <stdbool.h>
#include <time.h>

long sys_map(void *hint, size_t bytes);        /* private, anonymous, read-write */
long sys_unmap(void *p, size_t bytes);         /* munmap */
long sys_protect_none(void *p, size_t bytes);  /* mprotect to PROT_NONE */
long sys_protect_write(void *p, size_t bytes); /* to be read and written */
long sys_protect_read(void *p, size_t bytes);  /* to be read only */
long sys_discard(void *p, size_t bytes);       /* MADV_DONTNEED */
long sys_huge_on(void *p, size_t bytes);       /* MADV_HUGEPAGE */
long sys_huge_off(void *p, size_t bytes);      /* MADV_NOHUGEPAGE */
long sys_huge_now(void *p, size_t bytes);      /* MADV_COLLAPSE */
/* mincore: a byte for each page, its lowest bit: it is there. */
long sys_present(void *p, size_t bytes, unsigned char *pages);
long sys_wipe_on_fork(void *p, size_t bytes);                 /* MADV_WIPEONFORK */
long sys_populate(void *p, size_t bytes);                     /* MADV_POPULATE_WRITE */
long sys_resize(void *p, size_t old_bytes, size_t new_bytes); /* mremap that stays where it is */
/* mremap onto the mapping at `to`, which is replaced. */
long sys_move(void *p, size_t old_bytes, size_t new_bytes, void *to);
long sys_write(int fd, const void *text, size_t bytes);
long sys_open_new(const char *path); /* create, exclusive, for writing, close on exec */
long sys_open_end(const char *path); /* the same of a file that may be there, to write at its end */
/* For reading, or for both; without waiting for anybody at the other end; closed on exec. */
long sys_open_read(const char *path);
long sys_open_both(const char *path);
long sys_open_here(const char *path); /* to read, unless it is a link */
/* The Unix socket of that name, a stream. */
long sys_connect(const char *path);
long sys_read(int fd, void *to, size_t bytes);
long sys_send(int fd, const void *from, size_t bytes); /* to a socket, without SIGPIPE */
long sys_poll(struct pollfd *polls, size_t n, uint32_t ms);
enum sys_file_kind {
    SYS_FILE_NONE,
    SYS_FILE_OTHER,
    SYS_FILE_REGULAR,
    SYS_FILE_FIFO,
    SYS_FILE_SOCKET
};
enum sys_file_kind sys_file_kind(int fd);
enum sys_file_kind sys_path_kind(const char *path, size_t *bytes); /* links are not followed */
bool sys_is_kernels_file(int fd); /* of /proc, or of version 2's control groups */
long sys_close(int fd);
/* Gives a file another name: only if nothing has it, or in its place, whatever that is. */
long sys_rename_new(const char *from, const char *to);
long sys_rename_over(const char *from, const char *to);
long sys_unlink(const char *path);
bool sys_is_terminal(int fd);
bool sys_is_appending(int fd);   /* every write goes to the file's end */
long sys_duplicate_high(int fd); /* a copy that is out of the program's way, closed on exec */
long sys_getpid(void);
long sys_gettid(void);
long sys_futex_wait(const void *word, uint32_t expected);
long sys_futex_wake(const void *word, int n_threads);
/* Until the word is woken, holds something else, or the monotonic clock says so. */
long sys_futex_wait_until(const void *word, uint32_t expected, const struct timespec *deadline);
long sys_barrier_register(void); /* membarrier, private and expedited */
long sys_barrier(void);
long sys_yield(void);
long sys_thread_probe(uint32_t id); /* 0: this process has such a thread */
long sys_futex_wait_ms(const void *word, uint32_t expected, unsigned ms);
long sys_is_same_file(int fd, uint64_t device, uint64_t inode); /* 1, 0 or negative errno */
long sys_file_identity(int fd, uint64_t *device, uint64_t *inode);
long sys_sleep_ms(uint32_t ms);
long sys_clock(clockid_t clock, struct timespec *now); /* clock_gettime */
/* For this thread; signals are a SIGNAL_BIT each. */
#define SIGNAL_BIT(signal) (UINT64_C(1) << ((signal)-1))
long sys_signals_block(uint64_t signals, uint64_t *before);
long sys_signals_unblock(uint64_t signals);
long sys_signals_set(uint64_t blocked);
/* Those that wait to be unblocked. */
uint64_t sys_signals_pending(void);
/* Takes out one that is pending, of these: its number, or a negative errno. */
long sys_signal_take(uint64_t signals, void *info);
/* Sends a siginfo_t as it is, to this thread. */
long sys_signal_self(int signal, const void *info);
void sys_trap(void); /* SIGTRAP to this thread */
/* To this process, whichever thread takes it. */
long sys_signal_process(int signal);
long sys_seccomp_mode(void);     /* 0: this thread has no filter */
uint64_t sys_memory_bytes(void); /* of the machine; 0: unknown */
void *sys_program_break(void);   /* the current end of the brk area */

#endif
