/* SPDX-License-Identifier: MIT */
/*
 * A program that does nothing wrong, and leaves its descriptors at its end as argv[1] says:
 *
 *     as-they-are      like most
 *     close-stderr     fd 2 closed, as many programs do that check it for errors
 *     replace-stderr   fd 2 closed, and opened again as the file argv[2]
 *     replace-all      the same, and all above it closed
 *     take-all         the same, and every one above it that was open is the file argv[2] as well
 */
#include <fcntl.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The dump's reader looks for these: a class that libc has no use for. */
enum { N_TAKEN = 7, N_GIVEN = 2, BLOCK_BYTES = 6000, FDS = 1024 };

static void *blocks[N_TAKEN];

static void use_memory(void)
{
    for (size_t i = 0; i < N_TAKEN; i++) {
        blocks[i] = malloc(BLOCK_BYTES);
        if (blocks[i] == NULL)
            exit(EXIT_FAILURE);
        memset(blocks[i], 1, BLOCK_BYTES);
    }
    for (size_t i = 0; i < N_GIVEN; i++)
        free(blocks[i]);
}

static void replace_stderr(const char *path)
{
    (void)close(STDERR_FILENO);
    if (open(path, O_WRONLY | O_CREAT | O_EXCL, 0600) != STDERR_FILENO ||
        write(STDERR_FILENO, "mine\n", 5) != 5)
        exit(EXIT_FAILURE);
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) != -1;
}

static void close_all(void)
{
    for (int fd = STDERR_FILENO + 1; fd < FDS; fd++) {
        if (is_open(fd))
            (void)close(fd);
    }
}

static void take_all(void)
{
    for (int fd = STDERR_FILENO + 1; fd < FDS; fd++) {
        if (is_open(fd) && dup2(STDERR_FILENO, fd) != fd)
            exit(EXIT_FAILURE);
    }
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "as-they-are";
    const char *path = argc > 2 ? argv[2] : "";
    use_memory();
    if (strcmp(what, "close-stderr") == 0)
        (void)close(STDERR_FILENO);
    if (strncmp(what, "replace-", 8) == 0 || strcmp(what, "take-all") == 0)
        replace_stderr(path);
    if (strcmp(what, "replace-all") == 0)
        close_all();
    if (strcmp(what, "take-all") == 0)
        take_all();
    return EXIT_SUCCESS;
}
