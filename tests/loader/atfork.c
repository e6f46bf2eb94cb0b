/* SPDX-License-Identifier: MIT */
/*
 * Handlers of fork take and return blocks in all three phases, some under a lock of their own that
 * the threads hold around malloc, while four threads go on: 100 children end well.
 */
#include "check.h"

#include <pthread.h>
#include <sys/wait.h>

static _Atomic int is_over;
static pthread_mutex_t own_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned n_prepare;
static unsigned n_parent;
static unsigned n_child;
static char *kept;

static void prepare(void)
{
    use_malloc(1);
    CHECK(pthread_mutex_lock(&own_lock) == 0);
    kept = malloc(2000);
    CHECK(kept != NULL);
    fill(kept, 2000, n_prepare++);
    use_malloc(1);
}

static void parent(void)
{
    use_malloc(1);
    CHECK(is_filled(kept, 2000, n_parent++));
    free(kept);
    CHECK(pthread_mutex_unlock(&own_lock) == 0);
    use_malloc(1);
}

static void child(void)
{
    (void)alarm(30);
    use_malloc(1);
    CHECK(is_filled(kept, 2000, n_parent));
    n_child++;
    free(kept);
    CHECK(pthread_mutex_unlock(&own_lock) == 0);
    use_malloc(1);
}

static void *allocate(void *unused)
{
    while (!is_over) {
        use_malloc(1);
        CHECK(pthread_mutex_lock(&own_lock) == 0);
        use_malloc(1);
        CHECK(pthread_mutex_unlock(&own_lock) == 0);
    }
    return unused;
}

int main(void)
{
    CHECK(is_preloaded());
    pthread_t threads[4];
    CHECK(pthread_atfork(prepare, parent, child) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, allocate, NULL) == 0);
    for (int i = 0; i < 100; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            use_malloc(5);
            _exit(n_child == 1 ? 7 : 1);
        }
        int status = 0;
        CHECK(waitpid(pid, &status, 0) == pid);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    }
    CHECK(n_prepare == 100 && n_parent == 100 && n_child == 0);
    is_over = 1;
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    return 0;
}
