/* SPDX-License-Identifier: MIT */
/*
 * What we ask of the compiler, in one place: GNU C attributes under short names.
 */
#ifndef POOLALLOC_BASE_COMPILER_H
#define POOLALLOC_BASE_COMPILER_H

#include <stddef.h>
#include <stdint.h>

#define LIKELY(x)     __builtin_expect(!!(x), 1)
#define UNLIKELY(x)   __builtin_expect(!!(x), 0)
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define NOINLINE      __attribute__((noinline))
#define COLD          __attribute__((cold, noinline))
#define NORETURN      __attribute__((noreturn))
#define EXPORT        __attribute__((visibility("default")))
#define ALIGNED(n)    __attribute__((aligned(n)))

/* The compiler must have `x` in a register here and knows nothing of its value: keeps it from
 * undoing an order of operations that makes shorter code. */
#define SETTLE(x) __asm__("" : "+r"(x))

/* Initial-exec: a dynamic-TLS access would call malloc (__tls_get_addr) from inside malloc. */
#define THREAD_LOCAL _Thread_local __attribute__((tls_model("initial-exec")))

#define CACHE_LINE_BYTES 64

#define KIB ((size_t)1024)
#define MIB ((size_t)1024 * KIB)
#define GIB ((size_t)1024 * MIB)

#define ARRAY_LEN(a)                 (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(p, type, field) ((type *)(void *)((char *)(p)-offsetof(type, field)))

/* Constants that every program reads lie beside what the loader has to write to anyhow (relro), not
 * in pages of their own. */
#define READ_BY_ALL __attribute__((section(".data.rel.ro.constants")))

#endif
