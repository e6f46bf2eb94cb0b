/* SPDX-License-Identifier: MIT */
/*
 * What the process and its threads tell us: the auxiliary vector, the environment, thread ends,
 * forks, and the allocator that would serve if we were not here.
 */
#ifndef POOLALLOC_OS_PROCESS_H
#define POOLALLOC_OS_PROCESS_H

#include "base/compiler.h"

#include <signal.h>
#include <stdbool.h>

/* 128 random bits that the kernel gave this process, folded; differs from run to run. */
uint64_t os_random_bits(void);
size_t os_auxv_page_bytes(void);

/* The process runs with more rights than its caller (setuid and the like). */
bool os_is_privileged(void);

/* The value of `name` in the environment block `envp`, or NULL. */
const char *os_env(const char *const *envp, const char *name);

/* `destructor(value)` runs when a thread ends that called os_thread_at_exit(value). Made once,
 * however often and by however many threads it is asked for. False: libc has no key left. */
bool os_thread_at_exit_init(void (*destructor)(void *));
bool os_thread_at_exit(const void *value);

bool os_is_main_thread(void);

/* A thread of our own: a small stack, no signals, nobody waits for it. False: there can be none.
 * errno stays as it is. */
bool os_thread_start(void *(*body)(void *));

/* Of this thread, for those who list threads. */
void os_thread_name(const char *name);

/* This thread is not cancelled between these two. */
int os_cancel_disable(void);
void os_cancel_restore(int before);

/* Certainly no other thread: libc knows of none. */
bool os_is_single_threaded(void);

/* Handlers around fork(2) as libc does it. False: libc had no memory for them. */
bool os_at_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void));

/* Runs `function` when the process exits normally. */
bool os_at_exit(void (*function)(void));

/* The same at quick_exit. */
bool os_at_quick_exit(void (*function)(void));

/* The program's name without its folders, as libc knows it. */
void os_program_name(char *name, size_t bytes);

/* The handler of a signal until the program installs one. It may run on the
 * stack that sigaltstack set up, with all signals blocked; system calls that it interrupts go
 * on. */
typedef void os_signal_call(int signal, siginfo_t *info, void *context);
bool os_signal_catch(int signal, os_signal_call *handler);

/* The sigaction that comes after ours, libc's as a rule. -1 and ENOSYS: there is none. */
int os_next_sigaction(int signal, const struct sigaction *act, struct sigaction *old);

/* From then on it need not be looked for: a child of fork, whose loader may be locked for ever, can
 * have it. */
void os_next_sigaction_find(void);

/* The definition of `name` that comes after ours in the program's search order, or NULL. May
 * allocate. */
void *os_next_definition(const char *name);

/* The same for one of C++'s operators, also of a runtime that only a library sees that was opened
 * (RTLD_LOCAL). */
void *os_next_operator(const char *name);

/* libc's fork takes the lock of all its streams after our handler, and who has that may wait for
 * ours: so it comes first. */
void os_streams_lock(void);
void os_streams_unlock(void);
void os_streams_lock_reset(void);

/* The same as os_next_definition for a function of any library that was loaded after ours.
 * Allocates nothing; waits for a thread that is changing the loader's list. It must not be one that
 * is chosen when it is bound (an ifunc). */
void *os_next_function(const char *name);

/* A function that the kernel has put into the process (the vDSO), or NULL. */
void *os_kernel_function(const char *name);

/* The program's own image defines a malloc, which the loader finds before ours. Then we stay out of
 * it: what little reaches us goes on to where it would go without us. */
bool os_is_bypassed(void);

/* Once, before libc's allocator has been used. */
void os_foreign_init(void);

/* A block of libc's own allocator: it lies in the brk area that libc alone grows. */
bool os_foreign_is_libc_block(const void *p);
void os_foreign_free(void *p);
size_t os_foreign_usable_size(void *p);
void *os_foreign_realloc(void *p, size_t bytes);

#endif
