/* SPDX-License-Identifier: MIT */
#include "cli/library.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* POOLALLOC_LIBRARY_DIR: from the directory of the command to that of the library, installed. */
static const char *const places[] = {
    "/libpoolalloc.so." POOLALLOC_SOVERSION,
    "/" POOLALLOC_LIBRARY_DIR "/libpoolalloc.so." POOLALLOC_SOVERSION,
    "/../lib/libpoolalloc.so." POOLALLOC_SOVERSION,
};

/* With its directory resolved, but not its own name, which outlives an update. False: it isn't
 * there. */
static bool whole_path(const char *name, struct bytes *file)
{
    struct bytes directory = {0};
    const char *slash = strrchr(name, '/');
    if (slash != NULL)
        bytes_add(&directory, name, (size_t)(slash - name) + 1);
    else
        bytes_add_text(&directory, ".");
    char *path = access(name, R_OK) == 0 ? realpath(directory.at, NULL) : NULL;
    bytes_clear(file);
    if (path != NULL)
        bytes_printf(file, "%s/%s", path, slash != NULL ? slash + 1 : name);
    bool is_there = path != NULL;
    free(path);
    bytes_free(&directory);
    return is_there;
}

static bool find_beside(struct bytes *file)
{
    char self[PATH_MAX];
    struct bytes name = {0};
    bool is_found = false;
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0)
        return false;
    self[n] = '\0';
    *strrchr(self, '/') = '\0';
    for (size_t i = 0; i < sizeof places / sizeof places[0] && !is_found; i++) {
        bytes_clear(&name);
        bytes_printf(&name, "%s%s", self, places[i]);
        is_found = whole_path(name.at, file);
    }
    bytes_free(&name);
    return is_found;
}

void library_find(const char *told, struct bytes *file)
{
    if (told != NULL && !whole_path(told, file))
        fail(STATUS_REFUSED, "%s: %s", told, strerror(errno));
    if (told == NULL && !find_beside(file))
        fail(STATUS_REFUSED, "libpoolalloc.so." POOLALLOC_SOVERSION
                             " is not where it was installed; say where by --library FILE");
    if (strpbrk(file->at, " \t:") != NULL)
        fail(STATUS_REFUSED, "%s: LD_PRELOAD can't name a file with a blank or a colon", file->at);
}

static void set(const char *name, const char *before, char between, const char *value)
{
    struct bytes all = {0};
    if (before != NULL && *before != '\0')
        bytes_printf(&all, "%s%c", before, between);
    bytes_add_text(&all, value);
    if (setenv(name, all.at, 1) != 0)
        fail(STATUS_REFUSED, "%s", strerror(errno));
    bytes_free(&all);
}

void library_preload(const char *file, const char *conf)
{
    const char *preload = getenv("LD_PRELOAD");
    if (preload == NULL || strstr(preload, "libpoolalloc.so") == NULL)
        set("LD_PRELOAD", preload, ':', file);
    if (*conf != '\0')
        set("POOLALLOC_CONF", getenv("POOLALLOC_CONF"), ',', conf);
}
