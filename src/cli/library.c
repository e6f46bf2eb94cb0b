/* SPDX-License-Identifier: MIT */
#include "cli/library.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ANSWER_BYTES_MAX = 1024 * 1024 };

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
    if (before != NULL)
        bytes_add_text(&all, before);
    if (all.n > 0 && *value != '\0')
        bytes_add(&all, &between, 1);
    bytes_add_text(&all, value);
    if (setenv(name, all.at, 1) != 0)
        fail(STATUS_REFUSED, "%s", strerror(errno));
    bytes_free(&all);
}

/* By its name: libpoolalloc.so, or that and a version. */
static bool is_poolalloc(const char *name)
{
    static const char base[] = "libpoolalloc.so";
    const char *slash = strrchr(name, '/');
    const char *at = slash != NULL ? slash + 1 : name;
    return strncmp(at, base, sizeof base - 1) == 0 &&
           at[sizeof base - 1 + strspn(at + sizeof base - 1, ".0123456789")] == '\0';
}

/* Without a slash the loader looks for it: who says so will have it installed. */
static bool may_be_there(const char *name)
{
    return strchr(name, '/') == NULL || access(name, R_OK) == 0;
}

void library_preload(const char *file, bool is_told, const char *conf)
{
    struct bytes others = {0};
    bool is_there = false;
    const char *preload = getenv("LD_PRELOAD");
    for (const char *at = preload != NULL ? preload : ""; *at != '\0';) {
        size_t n = strcspn(at, " :");
        struct bytes name = {0};
        bytes_add(&name, at, n);
        bool is_ours = is_poolalloc(name.at) || strcmp(name.at, file) == 0;
        bool is_kept = n > 0 && (!is_ours || (!is_told && may_be_there(name.at)));
        if (is_kept)
            bytes_printf(&others, "%s%s", others.n > 0 ? ":" : "", name.at);
        is_there = is_there || (is_ours && is_kept);
        bytes_free(&name);
        at += n + (at[n] != '\0');
    }
    set("LD_PRELOAD", bytes_text(&others), ':', is_there ? "" : file);
    bytes_free(&others);
    if (*conf != '\0')
        set("POOLALLOC_CONF", getenv("POOLALLOC_CONF"), ',', conf);
}

/* ---- asking ---- */

/* The version goes where the answer does, which is looked through for what is one. */
_Noreturn static void answer(const char *library, bool is_told, const char *conf, int to)
{
    (void)unsetenv("POOLALLOC_CONF");
    library_preload(library, is_told, conf);
    if (dup2(to, STDOUT_FILENO) < 0 || dup2(to, STDERR_FILENO) < 0)
        _exit(STATUS_REFUSED);
    (void)execl("/proc/self/exe", "poolalloc", "--version", (char *)NULL);
    _exit(STATUS_NOT_RUN);
}

void library_ask(const char *library, bool is_told, const char *conf, struct bytes *words)
{
    int ends[2];
    if (pipe(ends) != 0)
        fail(STATUS_REFUSED, "%s", strerror(errno));
    pid_t child = fork();
    if (child < 0)
        fail(STATUS_REFUSED, "%s", strerror(errno));
    if (child == 0) {
        (void)close(ends[0]);
        answer(library, is_told, conf, ends[1]);
    }
    (void)close(ends[1]);
    if (!bytes_read(words, ends[0], ANSWER_BYTES_MAX))
        fail(STATUS_REFUSED, "%s", strerror(errno));
    (void)close(ends[0]);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        continue;
}
