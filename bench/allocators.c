/* SPDX-License-Identifier: MIT */
/*
 * The list of allocators, and where installed ones are found. Names and paths live as long as the
 * program; nothing here is freed.
 */
#include "harness.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N_LIBRARY_NAMES_MAX = 3, N_DIRECTORIES_MAX = 8 };

/* The first library that exists counts, unless an earlier row has it already. */
static const struct peer {
    const char *name;
    const char *libraries[N_LIBRARY_NAMES_MAX];
} peers[] = {
    {"mimalloc", {"libmimalloc.so.2", "libmimalloc.so"}},
    {"mimalloc3", {"libmimalloc.so.3"}},
    {"jemalloc", {"libjemalloc.so.2"}},
    {"tcmalloc", {"libtcmalloc_minimal.so.4"}},
    {"tbbmalloc", {"libtbbmalloc_proxy.so.2"}},
};

bool allocators_add(struct allocator_list *list, const char *name, const char *path)
{
    if (list->n == N_ALLOCATORS_MAX || allocators_index(list, name) >= 0) {
        return false;
    }
    list->items[list->n++] = (struct allocator){.name = name, .path = path};
    return true;
}

int allocators_index(const struct allocator_list *list, const char *name)
{
    for (int i = 0; i < list->n; i++) {
        if (strcmp(list->items[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

static bool has_path(const struct allocator_list *list, const char *path)
{
    for (int i = 0; i < list->n; i++) {
        if (list->items[i].path != NULL && strcmp(list->items[i].path, path) == 0) {
            return true;
        }
    }
    return false;
}

/* The resolved path of DIRECTORY/LIBRARY, or NULL when there is none. */
static char *installed_path(const char *directory, const char *library)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", directory, library);
    return n > 0 && (size_t)n < sizeof path ? realpath(path, NULL) : NULL;
}

/* The directory libc was loaded from: the multiarch directory where there is one. */
static bool libc_directory(char directory[PATH_MAX])
{
    Dl_info info;
    void *address = dlsym(RTLD_NEXT, "strerror");
    if (address == NULL || dladdr(address, &info) == 0) {
        return false;
    }
    int n = snprintf(directory, PATH_MAX, "%s", info.dli_fname);
    char *slash = strrchr(directory, '/');
    if (n >= PATH_MAX || slash == NULL) {
        return false;
    }
    *slash = '\0';
    return true;
}

static void add_first_installed(struct allocator_list *list, const struct peer *peer,
                                const char *const directories[])
{
    for (int d = 0; directories[d] != NULL; d++) {
        for (int i = 0; i < N_LIBRARY_NAMES_MAX && peer->libraries[i] != NULL; i++) {
            char *path = installed_path(directories[d], peer->libraries[i]);
            if (path != NULL && !has_path(list, path)) {
                (void)allocators_add(list, peer->name, path);
                return;
            }
            free(path);
        }
    }
}

void allocators_add_installed(struct allocator_list *list)
{
    char beside_libc[PATH_MAX];
    char below_usr[PATH_MAX + 4];
    const char *directories[N_DIRECTORIES_MAX] = {"/usr/local/lib", "/usr/lib64", "/usr/lib"};
    int n = 3;
    if (libc_directory(beside_libc)) {
        (void)snprintf(below_usr, sizeof below_usr, "/usr%s", beside_libc);
        directories[n++] = beside_libc;
        directories[n++] = below_usr;
    }
    directories[n] = NULL;

    (void)allocators_add(list, "glibc", NULL);
    for (size_t i = 0; i < sizeof peers / sizeof peers[0]; i++) {
        add_first_installed(list, &peers[i], directories);
    }
}

static bool is_among(const char *name, const char *names)
{
    size_t n_bytes = strlen(name);
    for (const char *at = names; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, n_bytes) == 0 && (at[n_bytes] == ',' || at[n_bytes] == '\0')) {
            return true;
        }
    }
    return false;
}

static int count_names(const char *names)
{
    int n = 1;
    for (const char *at = strchr(names, ','); at != NULL; at = strchr(at + 1, ',')) {
        n++;
    }
    return n;
}

bool allocators_keep(struct allocator_list *list, const char *names)
{
    int n_kept = 0;
    for (int i = 0; i < list->n; i++) {
        if (is_among(list->items[i].name, names)) {
            list->items[n_kept++] = list->items[i];
        }
    }
    list->n = n_kept;
    return n_kept == count_names(names);
}
