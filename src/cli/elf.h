/* SPDX-License-Identifier: MIT */
/*
 * What an ELF file says of itself that matters for preloading. The file may be damaged: every
 * offset is checked against its size.
 */
#ifndef POOLALLOC_CLI_ELF_H
#define POOLALLOC_CLI_ELF_H

#include <stdbool.h>
#include <stddef.h>

enum elf_kind {
    ELF_NONE,    /* no ELF file, or a damaged one */
    ELF_32,      /* of 32 bits */
    ELF_MACHINE, /* of 64 bits, for another processor than ours */
    ELF_NATIVE
};

struct elf {
    const unsigned char *at;
    size_t n;
    enum elf_kind kind;
    const char *interpreter; /* NULL: the file names none */
};

/* The file's contents, which must live as long as `elf`. */
void elf_look(struct elf *elf, const void *at, size_t n);

/* A library that the file needs, whose name begins so. */
bool elf_needs(const struct elf *elf, const char *library);

/* The file defines a symbol of this name. Exported: for the loader, so that calls of other
 * libraries come to it; else also where only its own code sees it, if it isn't stripped. */
bool elf_exports(const struct elf *elf, const char *symbol);
bool elf_defines(const struct elf *elf, const char *symbol);

#endif
