/* watch.h: a thread that ends the program, with what everybody was doing, when a call does not come back. */

#ifndef WATCH_H
#define WATCH_H

#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "figures.h"

#define MOST_WORKERS 1024

/* What a worker is at. */
struct worker {
    pthread_t thread;
    int number;
    uint64_t dice;
    /* Nanoseconds, 0 for nothing. */
    int64_t since;
    const char *what;
    const char *of;
    /* The flag of the call under way that another worker may raise. */
    pthread_mutex_t lock;
    mtlspop_cancel *cancel;
};

static struct worker workers[MOST_WORKERS];
static int worker_count, watching;

static inline void busy(struct worker *worker, const char *what, const char *of)
{
    worker->of = of;
    worker->what = what;
    __atomic_store_n(&worker->since, monotonic_ns(), __ATOMIC_RELEASE);
}

static inline void idle(struct worker *worker)
{
    __atomic_store_n(&worker->since, 0, __ATOMIC_RELEASE);
}

/* On the thread that hangs. Enough of what it calls is safe: the program ends here anyway. */
static void print_stack(int signal)
{
    void *frames[48];
    (void)signal;
    backtrace_symbols_fd(frames, backtrace(frames, 48), STDOUT_FILENO);
}

static inline void tell_all(int64_t now, int64_t most)
{
    struct timespec moment = {0, 50 * 1000 * 1000};
    int i;

    for (i = 0; i < worker_count; i++) {
        int64_t since = __atomic_load_n(&workers[i].since, __ATOMIC_ACQUIRE);
        if (since == 0 || now - since < most / 2) continue;
        printf("worker %d: %s of %s for %.1f s\n", i, workers[i].what, workers[i].of, (double)(now - since) / 1e9);
        fflush(stdout);
        pthread_kill(workers[i].thread, SIGUSR1);
        nanosleep(&moment, NULL);
    }
}

static void *watch(void *limit)
{
    struct timespec second = {1, 0};
    int64_t most = *(int64_t *)limit;
    int i;

    while (__atomic_load_n(&watching, __ATOMIC_ACQUIRE)) {
        int64_t now = monotonic_ns();
        for (i = 0; i < worker_count; i++) {
            int64_t since = __atomic_load_n(&workers[i].since, __ATOMIC_ACQUIRE);
            if (since == 0 || now - since < most) continue;
            violation("worker %d does not come back", i);
            tell_all(now, most);
            _exit(3);
        }
        nanosleep(&second, NULL);
    }
    return NULL;
}

static inline pthread_t start_watch(int64_t *limit)
{
    struct sigaction action;
    pthread_t thread;
    void *frame;

    memset(&action, 0, sizeof action);
    action.sa_handler = print_stack;
    sigaction(SIGUSR1, &action, NULL);
    /* The first call loads a library, which is not for a signal handler. */
    backtrace(&frame, 1);
    watching = 1;
    if (pthread_create(&thread, NULL, watch, limit)) exit(2);
    return thread;
}

#endif
