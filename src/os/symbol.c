/* SPDX-License-Identifier: MIT */
/*
 * The definition of a name that the loader would find after ours, without dlsym: that takes the
 * loader's lock, which a thread may hold that waits for this one, and 16 us at start. The loader's
 * list of objects is in the order in which it searches those that were there at the start.
 */
#include "os/process.h"
#include "os/stack.h"
#include "os/text.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>

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
    const uint32_t *hash;   /* GNU's */
    const uint32_t *chains; /* the old hash table: how many buckets, how many symbols */
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

/* Whether the loader has made it an address depends on the object. */
static const void *pointer_of(ElfW(Addr) base, const ElfW(Dyn) * entry)
{
    ElfW(Addr) address = entry->d_un.d_ptr;
    return (const void *)(address >= base ? address : base + address);
}

/* Of the object at `base` whose dynamic section begins with `entry`, or is not there. */
static struct symbols symbols_in(ElfW(Addr) base, const ElfW(Dyn) * entry)
{
    struct symbols symbols = {NULL, NULL, NULL, NULL, NULL};
    for (; entry != NULL && entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == DT_SYMTAB)
            symbols.table = pointer_of(base, entry);
        else if (entry->d_tag == DT_STRTAB)
            symbols.names = pointer_of(base, entry);
        else if (entry->d_tag == DT_GNU_HASH)
            symbols.hash = pointer_of(base, entry);
        else if (entry->d_tag == DT_HASH)
            symbols.chains = pointer_of(base, entry);
        else if (entry->d_tag == DT_VERSYM)
            symbols.versions = pointer_of(base, entry);
    }
    return symbols;
}

static struct symbols symbols_of(const struct dl_phdr_info *object)
{
    const ElfW(Dyn) *entry = NULL;
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        if (object->dlpi_phdr[i].p_type == PT_DYNAMIC)
            entry = (const void *)(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr);
    }
    return symbols_in(object->dlpi_addr, entry);
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

/* ---- from an address to a name ---- */

/* One more than the last of the symbols that have names to be found by. */
static uint32_t symbols_end(const struct symbols *symbols)
{
    uint32_t n_buckets = symbols->hash[0];
    uint32_t first = symbols->hash[1];
    const uint32_t *buckets = symbols->hash + 4 + symbols->hash[2] * (sizeof(ElfW(Addr)) / 4);
    const uint32_t *hashes = buckets + n_buckets;
    uint32_t last = 0;
    for (uint32_t i = 0; i < n_buckets; i++)
        last = buckets[i] > last ? buckets[i] : last;
    if (last < first)
        return first;
    while ((hashes[last - first] & 1) == 0)
        last++;
    return last + 1;
}

/* The function or object that this offset lies in, or NULL. */
static const ElfW(Sym) * symbol_at(const struct symbols *symbols, ElfW(Addr) offset)
{
    uint32_t end = symbols_end(symbols);
    for (uint32_t i = symbols->hash[1]; i < end; i++) {
        const ElfW(Sym) *symbol = &symbols->table[i];
        if (symbol->st_shndx != SHN_UNDEF && ELF64_ST_TYPE(symbol->st_info) <= STT_FUNC &&
            offset - symbol->st_value < symbol->st_size)
            return symbol;
    }
    return NULL;
}

/* The kernel's object is small and may have either table. */
static void *find_in_kernel_object(const struct symbols *symbols, ElfW(Addr) base, const char *name)
{
    if (symbols->table == NULL || symbols->names == NULL ||
        (symbols->hash == NULL && symbols->chains == NULL))
        return NULL;
    uint32_t end = symbols->hash != NULL ? symbols_end(symbols) : symbols->chains[1];
    for (uint32_t i = 1; i < end; i++) {
        if (is_match(symbols, i, name))
            return (void *)(base + symbols->table[i].st_value);
    }
    return NULL;
}

void *os_kernel_function(const char *name)
{
    const ElfW(Ehdr) *file = (const void *)getauxval(AT_SYSINFO_EHDR);
    const ElfW(Dyn) *dynamic = NULL;
    ElfW(Addr) base = 0;
    if (file == NULL)
        return NULL;
    const ElfW(Phdr) *headers = (const void *)((const char *)file + file->e_phoff);
    for (size_t i = 0; i < file->e_phnum; i++) {
        const ElfW(Phdr) *header = &headers[i];
        if (header->p_type == PT_LOAD && base == 0)
            base = (ElfW(Addr))file + header->p_offset - header->p_vaddr;
        else if (header->p_type == PT_DYNAMIC)
            dynamic = (const void *)((const char *)file + header->p_offset);
    }
    const struct symbols symbols = symbols_in(base, dynamic);
    return find_in_kernel_object(&symbols, base, name);
}

/* Since glibc 2.35: takes no lock, which dladdr does. */
#ifdef DLFO_STRUCT_HAS_EH_DBASE
/* NOLINTNEXTLINE(readability-redundant-declaration): it is weak here */
extern __typeof__(_dl_find_object) _dl_find_object __attribute__((weak));

static const struct link_map *object_at(uintptr_t address)
{
    struct dl_find_object found;
    if (&_dl_find_object == NULL || _dl_find_object((void *)address, &found) != 0)
        return NULL;
    return found.dlfo_link_map;
}
#else
static const struct link_map *object_at(uintptr_t address)
{
    (void)address;
    return NULL;
}
#endif

/* The program itself has no name in the loader's list. */
static const char *program_file(void)
{
    const char *file = (const char *)getauxval(AT_EXECFN);
    return file != NULL && *file != '\0' ? file : "program";
}

struct os_symbol os_symbol_at(uintptr_t address)
{
    const struct link_map *object = object_at(address);
    if (object == NULL)
        return (struct os_symbol){"?", NULL, address};
    const char *file = *object->l_name != 0 ? object->l_name : program_file();
    size_t offset = address - object->l_addr;
    struct symbols symbols = symbols_in(object->l_addr, object->l_ld);
    const ElfW(Sym) *symbol = NULL;
    if (symbols.table != NULL && symbols.names != NULL && symbols.hash != NULL)
        symbol = symbol_at(&symbols, offset);
    if (symbol == NULL)
        return (struct os_symbol){file, NULL, offset};
    return (struct os_symbol){file, symbols.names + symbol->st_name, offset - symbol->st_value};
}

void os_symbol_add(struct text *text, uintptr_t address)
{
    struct os_symbol symbol = os_symbol_at(address - 1);
    text_add_address(text, (const void *)address);
    text_add(text, " ");
    if (symbol.name != NULL)
        text_add_shown(text, symbol.name, 0);
    text_add(text, "+");
    text_add_address(text, (const void *)(symbol.offset + 1));
    text_add(text, " ");
    text_add_shown(text, symbol.object, 0);
}
