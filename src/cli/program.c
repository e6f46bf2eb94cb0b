/* SPDX-License-Identifier: MIT */
#include "cli/program.h"

#include "cli/elf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { SCRIPTS_MAX = 4, LINE_MAX_BYTES = 256 };

/* ---- finding ---- */

static bool is_program(const char *file)
{
    struct stat status;
    if (stat(file, &status) != 0)
        return false;
    if (!S_ISREG(status.st_mode)) {
        errno = EACCES;
        return false;
    }
    return access(file, X_OK) == 0;
}

bool program_find(const char *name, struct bytes *file)
{
    const char *path = getenv("PATH");
    int error = ENOENT;
    if (strchr(name, '/') != NULL) {
        bytes_add_text(file, name);
        return is_program(name);
    }
    for (const char *at = path != NULL ? path : "/usr/local/bin:/usr/bin:/bin"; *name != '\0';) {
        size_t n = strcspn(at, ":");
        bytes_clear(file);
        bytes_add(file, at, n);
        bytes_printf(file, "%s%s", n > 0 ? "/" : "./", name);
        if (is_program(file->at))
            return true;
        error = errno == EACCES ? EACCES : error;
        if (at[n] == '\0')
            break;
        at += n + 1;
    }
    errno = error;
    return false;
}

/* ---- judging a file ---- */

struct file {
    const char *name;
    struct stat status;
    void *at; /* its contents */
};

static bool file_open(struct file *file, const char *name)
{
    *file = (struct file){.name = name};
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return false;
    bool is_there =
        fstat(fd, &file->status) == 0 && S_ISREG(file->status.st_mode) && file->status.st_size > 0;
    if (is_there)
        file->at = mmap(NULL, (size_t)file->status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    (void)close(fd);
    return is_there && file->at != MAP_FAILED;
}

static void file_close(struct file *file)
{
    (void)munmap(file->at, (size_t)file->status.st_size);
}

static bool may_gain_rights(const char *name)
{
    struct statvfs system;
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 &&
           !(statvfs(name, &system) == 0 && (system.f_flag & ST_NOSUID) != 0);
}

/* The loader ignores LD_PRELOAD in programs with more rights than their caller. */
static bool gains_rights(const struct file *file)
{
    const struct stat *status = &file->status;
    if (!may_gain_rights(file->name))
        return false;
    if ((status->st_mode & S_ISUID) != 0 && status->st_uid != getuid())
        return true;
    if ((status->st_mode & S_ISGID) != 0 && (status->st_mode & S_IXGRP) != 0 &&
        status->st_gid != getgid())
        return true;
    return getuid() != 0 && getxattr(file->name, "security.capability", NULL, 0) > 0;
}

/* A library whose name begins so comes before ours. */
static bool is_preloaded(const char *library)
{
    const char *at = getenv("LD_PRELOAD");
    while (at != NULL && *at != '\0') {
        size_t n = strcspn(at, " :");
        const char *slash = memrchr(at, '/', n);
        if (strncmp(slash != NULL ? slash + 1 : at, library, strlen(library)) == 0)
            return true;
        at += n + (at[n] != '\0');
    }
    return false;
}

static bool needs_asan(const struct elf *elf)
{
    return elf_needs(elf, "libasan.so") || elf_needs(elf, "libclang_rt.asan");
}

static const char *const unusable[] = {
    [ELF_32] = "is a 32-bit program; the library is for 64 bits",
    [ELF_MACHINE] = "is for another kind of machine",
};

/* NULL: nothing stands against it. */
static const char *why_useless(const struct elf *elf, const struct file *file)
{
    if (elf->kind == ELF_32 || elf->kind == ELF_MACHINE)
        return unusable[elf->kind];
    if (gains_rights(file))
        return "runs with more rights than you (setuid, setgid or file capabilities): the loader "
               "ignores LD_PRELOAD then";
    /* The loader itself, which preloads what it is told to. */
    if (elf_exports(elf, "_dl_mcount"))
        return NULL;
    if (elf->interpreter == NULL)
        return "is statically linked: nothing can be preloaded. Link it with libpoolalloc.a";
    if (strstr(elf->interpreter, "ld-musl") != NULL)
        return "is for musl, whose libc can't load a library that is made for glibc";
    if (needs_asan(elf) && !is_preloaded("libasan.so") && !is_preloaded("libclang_rt.asan"))
        return "has the address sanitizer, which refuses to start with a preloaded malloc and is "
               "itself what finds faults: run it without";
    return NULL;
}

static const char *remark_on(const struct elf *elf)
{
    if (elf_needs(elf, "libtsan.so") || elf_defines(elf, "__tsan_init"))
        return "has the thread sanitizer, which then sees blocks change hands without a cause: "
               "better run it without";
    if (elf_needs(elf, "liblsan.so"))
        return "has the leak sanitizer, which knows the blocks of its own malloc only and finds no "
               "leaks then: run it without";
    if (elf_defines(elf, "__asan_init") || elf_defines(elf, "__lsan_init") ||
        elf_defines(elf, "__msan_init") || elf_defines(elf, "__hwasan_init"))
        return "has a sanitizer with a malloc of its own: the library stays out";
    if (elf_exports(elf, "malloc"))
        return "has a malloc of its own: the library stays out";
    return NULL;
}

static enum verdict judge_elf(const struct elf *elf, const struct file *file, struct bytes *words)
{
    const char *reason = why_useless(elf, file);
    enum verdict verdict = VERDICT_USELESS;
    if (reason == NULL) {
        reason = remark_on(elf);
        verdict = VERDICT_REMARK;
    }
    if (reason == NULL)
        return VERDICT_FINE;
    bytes_add_shown(words, file->name);
    bytes_printf(words, " %s", reason);
    return verdict;
}

/* ---- scripts ---- */

static const char *next_word(const char **at, size_t *n)
{
    *at += strspn(*at, " \t");
    const char *word = *at;
    *n = strcspn(word, " \t");
    *at += *n;
    return word;
}

/* After env: its options and variables come before the program. */
static bool is_for_env(const char *word, size_t n)
{
    return word[0] == '-' || memchr(word, '=', n) != NULL;
}

static bool interpreter_of(const struct file *file, struct bytes *interpreter)
{
    char line[LINE_MAX_BYTES];
    size_t n =
        (size_t)file->status.st_size < sizeof line ? (size_t)file->status.st_size : sizeof line - 1;
    memcpy(line, file->at, n);
    line[n] = '\0';
    if (strncmp(line, "#!", 2) != 0)
        return false;
    line[strcspn(line, "\n")] = '\0';
    const char *at = line + 2;
    const char *word = next_word(&at, &n);
    bytes_add(interpreter, word, n);
    if (n < 4 || strncmp(word + n - 4, "/env", 4) != 0)
        return n > 0;
    do {
        word = next_word(&at, &n);
    } while (n > 0 && is_for_env(word, n));
    struct bytes name = {0};
    bytes_add(&name, word, n);
    bytes_clear(interpreter);
    bool is_found = n > 0 && program_find(name.at, interpreter);
    bytes_free(&name);
    return is_found;
}

static enum verdict judge(const char *name, int scripts, struct bytes *words);

static enum verdict judge_file(const struct file *file, int scripts, struct bytes *words)
{
    struct elf elf;
    struct bytes interpreter = {0};
    enum verdict verdict = VERDICT_FINE;
    elf_look(&elf, file->at, (size_t)file->status.st_size);
    if (elf.kind != ELF_NONE)
        return judge_elf(&elf, file, words);
    if (scripts < SCRIPTS_MAX && interpreter_of(file, &interpreter))
        verdict = judge(interpreter.at, scripts + 1, words);
    bytes_free(&interpreter);
    return verdict;
}

/* A file that can't be read may well be run: then there is nothing to say. */
static enum verdict judge(const char *name, int scripts, struct bytes *words)
{
    struct file file;
    if (!file_open(&file, name))
        return VERDICT_FINE;
    enum verdict verdict = judge_file(&file, scripts, words);
    file_close(&file);
    return verdict;
}

enum verdict program_judge(const char *file, struct bytes *words)
{
    return judge(file, 0, words);
}

bool program_has_library(const char *name)
{
    struct file file;
    struct elf elf;
    if (!file_open(&file, name))
        return false;
    elf_look(&elf, file.at, (size_t)file.status.st_size);
    bool has = elf_defines(&elf, "poolalloc_version");
    file_close(&file);
    return has;
}
