/* SPDX-License-Identifier: MIT */
/*
 * The definition of a name that the loader would find after ours, without dlsym: that takes the
 * loader's lock, which a thread may hold that waits for this one, and 16 us at start. The loader's
 * list of objects is in the order in which it searches those that were there at the start.
 */
#include "os/process.h"

#include <link.h>
#include <string.h>

struct search {
    const char *name;
    uint32_t hash;
    bool is_past_ours;
    void *found;
};

/* Of an object, from its dynamic section. */
struct symbols {
    const ElfW(Sym) * table;
    const char *names;
    const uint32_t *hash; /* GNU's */
    const uint16_t *versions;
};

enum { VERSION_HIDDEN = 0x8000 };

static uint32_t gnu_hash(const char *name)
{
    uint32_t hash = 5381;
    for (; *name != '\0'; name++)
        hash = hash * 33 + (unsigned char)*name;
    return hash;
}

static const void *segment_at(const struct dl_phdr_info *object, ElfW(Addr) address)
{
    return (const void *)(object->dlpi_addr + address);
}

/* Whether the loader has made it an address depends on the object. */
static const void *pointer_of(const struct dl_phdr_info *object, const ElfW(Dyn) * entry)
{
    ElfW(Addr) address = entry->d_un.d_ptr;
    return address >= object->dlpi_addr ? (const void *)address : segment_at(object, address);
}

static struct symbols symbols_of(const struct dl_phdr_info *object)
{
    struct symbols symbols = {NULL, NULL, NULL, NULL};
    const ElfW(Dyn) *entry = NULL;
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        if (object->dlpi_phdr[i].p_type == PT_DYNAMIC)
            entry = segment_at(object, object->dlpi_phdr[i].p_vaddr);
    }
    for (; entry != NULL && entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == DT_SYMTAB)
            symbols.table = pointer_of(object, entry);
        else if (entry->d_tag == DT_STRTAB)
            symbols.names = pointer_of(object, entry);
        else if (entry->d_tag == DT_GNU_HASH)
            symbols.hash = pointer_of(object, entry);
        else if (entry->d_tag == DT_VERSYM)
            symbols.versions = pointer_of(object, entry);
    }
    return symbols;
}

static bool is_match(const struct symbols *symbols, uint32_t i, const char *name)
{
    const ElfW(Sym) *symbol = &symbols->table[i];
    bool is_hidden = symbols->versions != NULL && (symbols->versions[i] & VERSION_HIDDEN) != 0;
    return symbol->st_shndx != SHN_UNDEF && ELF64_ST_TYPE(symbol->st_info) == STT_FUNC &&
           !is_hidden && strcmp(symbols->names + symbol->st_name, name) == 0;
}

/* The table: how many buckets, the first symbol in it, words of a filter, a shift; the filter;
 * the buckets; and for each symbol its hash, whose lowest bit ends a bucket's chain. */
static const ElfW(Sym) * lookup(const struct symbols *symbols, const struct search *search)
{
    uint32_t n_buckets = symbols->hash[0];
    uint32_t first = symbols->hash[1];
    const uint32_t *buckets = symbols->hash + 4 + symbols->hash[2] * (sizeof(ElfW(Addr)) / 4);
    const uint32_t *hashes = buckets + n_buckets;
    if (n_buckets == 0)
        return NULL;
    for (uint32_t i = buckets[search->hash % n_buckets]; i >= first; i++) {
        uint32_t hash = hashes[i - first];
        if ((hash | 1) == (search->hash | 1) && is_match(symbols, i, search->name))
            return &symbols->table[i];
        if ((hash & 1) != 0)
            return NULL;
    }
    return NULL;
}

static bool is_ours(const struct dl_phdr_info *object)
{
    uintptr_t address = (uintptr_t)&gnu_hash;
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &object->dlpi_phdr[i];
        if (header->p_type == PT_LOAD &&
            address - (object->dlpi_addr + header->p_vaddr) < header->p_memsz)
            return true;
    }
    return false;
}

static int visit(struct dl_phdr_info *object, size_t bytes, void *argument)
{
    struct search *search = argument;
    (void)bytes;
    if (!search->is_past_ours) {
        search->is_past_ours = is_ours(object);
        return 0;
    }
    struct symbols symbols = symbols_of(object);
    if (symbols.table == NULL || symbols.names == NULL || symbols.hash == NULL)
        return 0;
    const ElfW(Sym) *symbol = lookup(&symbols, search);
    if (symbol != NULL)
        search->found = (void *)(object->dlpi_addr + symbol->st_value);
    return symbol != NULL;
}

void *os_next_function(const char *name)
{
    struct search search = {.name = name, .hash = gnu_hash(name)};
    (void)dl_iterate_phdr(visit, &search);
    return search.found;
}
