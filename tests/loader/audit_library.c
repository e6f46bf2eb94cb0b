/* SPDX-License-Identifier: MIT */
/* An LD_AUDIT library: it has a namespace of its own, with a libc and a malloc of its own. */
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N_KEPT = 64 };

static char *kept[N_KEPT];
static unsigned n_objects;

static void fail(const char *what)
{
    (void)!write(2, what, strlen(what));
    _exit(1);
}

unsigned la_version(unsigned version)
{
    char *block = malloc(1000);
    if (block == NULL)
        fail("no block in la_version\n");
    memset(block, 1, 1000);
    free(block);
    return version;
}

unsigned la_objopen(struct link_map *map, Lmid_t space, uintptr_t *cookie)
{
    (void)space;
    (void)cookie;
    if (n_objects < N_KEPT) {
        kept[n_objects] = strdup(map->l_name);
        if (kept[n_objects] == NULL)
            fail("no block in la_objopen\n");
        n_objects++;
    }
    return LA_FLG_BINDTO | LA_FLG_BINDFROM;
}

/* Before the program's code: what it wrote is there, and it tells that it was here. */
void la_preinit(uintptr_t *cookie)
{
    static const char text[] = "audited\n";
    (void)cookie;
    int has_ours = 0;
    for (unsigned i = 0; i < n_objects; i++) {
        has_ours |= strstr(kept[i], "poolalloc") != NULL;
        kept[i] = realloc(kept[i], strlen(kept[i]) + 5000);
        if (kept[i] == NULL)
            fail("no block in la_preinit\n");
        free(kept[i]);
    }
    if (!has_ours)
        fail("the library was not seen\n");
    (void)!write(1, text, sizeof text - 1);
}

uintptr_t la_symbind64(Elf64_Sym *symbol, unsigned index, uintptr_t *from, uintptr_t *to,
                       unsigned *flags, const char *name)
{
    (void)index;
    (void)from;
    (void)to;
    (void)flags;
    free(strdup(name));
    return symbol->st_value;
}
