/* SPDX-License-Identifier: MIT */
/*
 * A directory of our own, which nobody else may enter, for as long as the benchmark runs: links to
 * libraries, and what real programs read and write.
 */
#include "harness.h"

#include <ftw.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>
#include <unistd.h>

enum { N_OPEN_DIRECTORIES = 16, SEGMENT_LINE = 7 };

static char scratch[PATH_MAX]; /* empty: not made */

/* LD_PRELOAD splits at blanks and colons, a script at what the shell knows. */
static bool is_plain(const char *path)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "/._+-";
    return path[strspn(path, plain)] == '\0';
}

void scratch_make(const struct bench *bench)
{
    const char *parent = getenv("TMPDIR");
    bool is_usable = parent != NULL && parent[0] == '/' && is_plain(parent);
    (void)snprintf(scratch, sizeof scratch, "%s/poolalloc-bench-XXXXXX",
                   is_usable ? parent : "/tmp");
    if (mkdtemp(scratch) == NULL) {
        (void)fprintf(stderr, "%s: no scratch directory can be made\n", bench->name);
        scratch[0] = '\0';
        exit(1);
    }
    (void)atexit(scratch_remove);
}

const char *scratch_path(void)
{
    return scratch;
}

const char *scratch_plain_path(const char *path)
{
    static int n_links;
    char link[PATH_MAX + 64];
    if (is_plain(path)) {
        return path;
    }
    (void)snprintf(link, sizeof link, "%s/library%d.so", scratch, n_links++);
    return symlink(path, link) == 0 ? strdup(link) : NULL;
}

/*
 * A PostgreSQL server that had to be killed leaves a segment of shared memory, which the kernel
 * would keep. The seventh line of its lock file names it: key and identifier.
 */
static void remove_segment(const char *lock_file)
{
    char line[256];
    int identifier = -1;
    struct shmid_ds segment;
    FILE *file = fopen(lock_file, "re");
    for (int i = 1; file != NULL && fgets(line, sizeof line, file) != NULL; i++) {
        if (i == SEGMENT_LINE && sscanf(line, "%*d %d", &identifier) != 1) {
            identifier = -1;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    if (identifier >= 0 && shmctl(identifier, IPC_STAT, &segment) == 0 && segment.shm_nattch == 0) {
        (void)shmctl(identifier, IPC_RMID, NULL);
    }
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    if (type == FTW_F && strcmp(path + where->base, "postmaster.pid") == 0) {
        remove_segment(path);
    }
    (void)remove(path);
    return 0;
}

void scratch_remove(void)
{
    if (scratch[0] != '\0' &&
        nftw(scratch, remove_entry, N_OPEN_DIRECTORIES, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) == 0) {
        if (access(scratch, F_OK) == 0) {
            (void)fprintf(stderr, "not all of %s can be removed\n", scratch);
        }
    }
    scratch[0] = '\0';
}
