/* SPDX-License-Identifier: MIT */
/*
 * poolalloc: the public interface.
 *
 * The library replaces malloc and its family; programs need no header for that. All names declared
 * here begin with poolalloc_.
 */
#ifndef POOLALLOC_H
#define POOLALLOC_H

#define POOLALLOC_VERSION_MAJOR 0
#define POOLALLOC_VERSION_MINOR 1
#define POOLALLOC_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

/* "0.1.0": the version of the library that is running, which may be newer than the header. */
const char *poolalloc_version(void);

#ifdef __cplusplus
}
#endif

#endif
