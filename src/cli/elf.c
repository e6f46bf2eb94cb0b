/* SPDX-License-Identifier: MIT */
#include "cli/elf.h"

#include <elf.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
enum { OUR_MACHINE = EM_X86_64 };
#elif defined(__aarch64__)
enum { OUR_MACHINE = EM_AARCH64 };
#else
enum { OUR_MACHINE = EM_NONE };
#endif

static const unsigned char *range(const struct elf *elf, uint64_t offset, uint64_t n)
{
    return offset <= elf->n && n <= elf->n - offset ? elf->at + offset : NULL;
}

/* Record i of a table of the file. */
static bool record(const struct elf *elf, uint64_t table, uint64_t i, void *to, size_t bytes)
{
    uint64_t offset;
    if (__builtin_mul_overflow(i, bytes, &offset) || __builtin_add_overflow(offset, table, &offset))
        return false;
    const unsigned char *from = range(elf, offset, bytes);
    if (from != NULL)
        memcpy(to, from, bytes);
    return from != NULL;
}

/* A string that ends within its n bytes. */
static const char *string_at(const struct elf *elf, uint64_t offset, uint64_t n)
{
    const unsigned char *from = range(elf, offset, n);
    if (from == NULL || n == 0 || memchr(from, '\0', n) == NULL)
        return NULL;
    return (const char *)from;
}

static bool header(const struct elf *elf, Elf64_Ehdr *to)
{
    return record(elf, 0, 0, to, sizeof *to);
}

static bool segment(const struct elf *elf, uint64_t i, Elf64_Phdr *to)
{
    Elf64_Ehdr head;
    return header(elf, &head) && i < head.e_phnum && head.e_phentsize == sizeof *to &&
           record(elf, head.e_phoff, i, to, sizeof *to);
}

static bool section(const struct elf *elf, uint64_t i, Elf64_Shdr *to)
{
    Elf64_Ehdr head;
    return header(elf, &head) && i < head.e_shnum && head.e_shentsize == sizeof *to &&
           record(elf, head.e_shoff, i, to, sizeof *to);
}

static void find_interpreter(struct elf *elf)
{
    Elf64_Phdr each;
    for (uint64_t i = 0; segment(elf, i, &each); i++) {
        if (each.p_type == PT_INTERP)
            elf->interpreter = string_at(elf, each.p_offset, each.p_filesz);
    }
}

static enum elf_kind kind_of(const struct elf *elf)
{
    Elf64_Ehdr head;
    if (elf->n < EI_NIDENT || memcmp(elf->at, ELFMAG, SELFMAG) != 0)
        return ELF_NONE;
    if (elf->at[EI_CLASS] == ELFCLASS32)
        return ELF_32;
    if (elf->at[EI_CLASS] != ELFCLASS64 || !header(elf, &head))
        return ELF_NONE;
    if (elf->at[EI_DATA] != (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB))
        return ELF_MACHINE;
    return head.e_machine == OUR_MACHINE || OUR_MACHINE == EM_NONE ? ELF_NATIVE : ELF_MACHINE;
}

void elf_look(struct elf *elf, const void *at, size_t n)
{
    *elf = (struct elf){.at = at, .n = n};
    elf->kind = kind_of(elf);
    if (elf->kind == ELF_NATIVE)
        find_interpreter(elf);
}

/* Where the file holds what will be at an address of the program. */
static bool offset_of(const struct elf *elf, uint64_t address, uint64_t *offset, uint64_t *n)
{
    Elf64_Phdr each;
    for (uint64_t i = 0; segment(elf, i, &each); i++) {
        if (each.p_type != PT_LOAD || address < each.p_vaddr ||
            address - each.p_vaddr >= each.p_filesz)
            continue;
        *n = each.p_filesz - (address - each.p_vaddr);
        return !__builtin_add_overflow(each.p_offset, address - each.p_vaddr, offset);
    }
    return false;
}

static bool find_dynamic(const struct elf *elf, Elf64_Phdr *dynamic)
{
    for (uint64_t i = 0; segment(elf, i, dynamic); i++) {
        if (dynamic->p_type == PT_DYNAMIC)
            return true;
    }
    return false;
}

/* The next entry at or after *i. */
static bool dynamic_entry(const struct elf *elf, const Elf64_Phdr *dynamic, uint64_t i,
                          Elf64_Dyn *entry)
{
    return i < dynamic->p_filesz / sizeof *entry &&
           record(elf, dynamic->p_offset, i, entry, sizeof *entry) && entry->d_tag != DT_NULL;
}

bool elf_needs(const struct elf *elf, const char *library)
{
    Elf64_Phdr dynamic;
    Elf64_Dyn entry;
    uint64_t strings = 0;
    uint64_t offset;
    uint64_t n;
    if (elf->kind != ELF_NATIVE || !find_dynamic(elf, &dynamic))
        return false;
    for (uint64_t i = 0; dynamic_entry(elf, &dynamic, i, &entry); i++) {
        if (entry.d_tag == DT_STRTAB)
            strings = entry.d_un.d_ptr;
    }
    if (!offset_of(elf, strings, &offset, &n))
        return false;
    for (uint64_t i = 0; dynamic_entry(elf, &dynamic, i, &entry); i++) {
        if (entry.d_tag != DT_NEEDED || entry.d_un.d_val >= n)
            continue;
        const char *name = string_at(elf, offset + entry.d_un.d_val, n - entry.d_un.d_val);
        if (name != NULL && strncmp(name, library, strlen(library)) == 0)
            return true;
    }
    return false;
}

static bool is_in_table(const struct elf *elf, const Elf64_Shdr *table, const char *symbol)
{
    Elf64_Shdr strings;
    Elf64_Sym each;
    if (!section(elf, table->sh_link, &strings))
        return false;
    for (uint64_t i = 0; i < table->sh_size / sizeof each; i++) {
        if (!record(elf, table->sh_offset, i, &each, sizeof each))
            return false;
        if (each.st_shndx == SHN_UNDEF || each.st_name >= strings.sh_size)
            continue;
        const char *name =
            string_at(elf, strings.sh_offset + each.st_name, strings.sh_size - each.st_name);
        if (name != NULL && strcmp(name, symbol) == 0)
            return true;
    }
    return false;
}

static bool is_in_tables(const struct elf *elf, uint32_t type, const char *symbol)
{
    Elf64_Shdr each;
    for (uint64_t i = 0; elf->kind == ELF_NATIVE && section(elf, i, &each); i++) {
        if (each.sh_type == type && is_in_table(elf, &each, symbol))
            return true;
    }
    return false;
}

bool elf_exports(const struct elf *elf, const char *symbol)
{
    return is_in_tables(elf, SHT_DYNSYM, symbol);
}

bool elf_defines(const struct elf *elf, const char *symbol)
{
    return elf_exports(elf, symbol) || is_in_tables(elf, SHT_SYMTAB, symbol);
}
