/* figures.h: what is counted, in memory that forked children share, and the table of it. */

#ifndef FIGURES_H
#define FIGURES_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

/* What is timed. */
enum timed {
    /* A good token was there before the call. */
    HIT,
    /* None was, but somebody else fetched it. */
    WAITED,
    FETCHED,
    CALLED,
    TIMED
};

static const char *const timed_names[TIMED] = {"hits", "waited for another", "from the network", "calls of an API"};

/* Sixteen steps for each power of two of nanoseconds. */
#define BUCKETS 720
#define CODES 96
#define KINDS_OF_VIOLATIONS 32

/* An error that was seen, and how often. */
struct coded {
    /* 0 free, 1 being written, 2 readable */
    int state;
    char code[80];
    uint64_t count;
};

struct figures {
    uint64_t buckets[TIMED][BUCKETS];
    struct coded codes[CODES];
    struct {
        const char *format;
        uint64_t count;
    } told[KINDS_OF_VIOLATIONS];
    uint64_t tokens, checked, refreshed, not_refreshed, children, visitors, violations;
};

static struct figures *figures;

#define COUNT(what) __atomic_add_fetch(&figures->what, 1, __ATOMIC_RELAXED)

/* What the environment says. */
static inline long number_of(const char *name, long otherwise)
{
    const char *value = getenv(name);
    return value ? strtol(value, NULL, 10) : otherwise;
}

static inline void figures_start(void)
{
    figures = mmap(NULL, sizeof *figures, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (figures == MAP_FAILED) {
        perror("mmap");
        exit(2);
    }
}

static inline int64_t monotonic_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* How many of its kind there were before. Kinds are told apart by their format, which children have where parents do. */
static inline uint64_t told_before(const char *format)
{
    int i;
    for (i = 0; i < KINDS_OF_VIOLATIONS - 1; i++) {
        const char *none = NULL;
        if (__atomic_compare_exchange_n(&figures->told[i].format, &none, format, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
            || none == format) {
            break;
        }
    }
    return __atomic_fetch_add(&figures->told[i].count, 1, __ATOMIC_RELAXED);
}

/* Something that must not be. The first ones of a kind are told in words. */
static inline void violation(const char *format, ...)
{
    va_list arguments;
    char text[1024];

    COUNT(violations);
    if (told_before(format) >= 5) return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    printf("VIOLATION %s\n", text);
    fflush(stdout);
}

static inline void note_time(enum timed what, int64_t ns)
{
    uint64_t value = ns > 16 ? (uint64_t)ns : 16;
    int power = 63 - __builtin_clzll(value);
    int bucket = (power - 4) * 16 + (int)(value >> (power - 4)) - 16;
    if (bucket >= BUCKETS) bucket = BUCKETS - 1;
    __atomic_add_fetch(&figures->buckets[what][bucket], 1, __ATOMIC_RELAXED);
}

static inline void note_code(const char *code)
{
    int i, free = 0;

    for (i = 0; i < CODES; i++) {
        struct coded *coded = &figures->codes[i];
        if (__atomic_compare_exchange_n(&coded->state, &free, 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            snprintf(coded->code, sizeof coded->code, "%s", code);
            __atomic_store_n(&coded->state, 2, __ATOMIC_RELEASE);
        }
        free = 0;
        while (__atomic_load_n(&coded->state, __ATOMIC_ACQUIRE) == 1) {}
        if (strncmp(coded->code, code, sizeof coded->code - 1) == 0) {
            __atomic_add_fetch(&coded->count, 1, __ATOMIC_RELAXED);
            return;
        }
    }
    violation("more kinds of errors than there is room for: %s", code);
}

static inline uint64_t how_many(enum timed what)
{
    uint64_t sum = 0;
    int i;
    for (i = 0; i < BUCKETS; i++) sum += figures->buckets[what][i];
    return sum;
}

/* The nanoseconds that so many thousandths of them did not exceed. */
static inline double quantile(enum timed what, int thousandths)
{
    uint64_t wanted = (how_many(what) * (uint64_t)thousandths + 999) / 1000, seen = 0;
    int i;
    for (i = 0; i < BUCKETS; i++) {
        seen += figures->buckets[what][i];
        if (seen >= wanted) return (double)(((uint64_t)(i % 16 + 17)) << (i / 16));
    }
    return 0;
}

static inline void print_time(double ns)
{
    if (ns < 1e3) printf("%9.0f ns", ns);
    else if (ns < 1e6) printf("%9.1f us", ns / 1e3);
    else if (ns < 1e9) printf("%9.1f ms", ns / 1e6);
    else printf("%9.1f s ", ns / 1e9);
}

static inline void print_figures(void)
{
    int i;

    printf("%-20s %10s %12s %12s %12s %12s\n", "", "number", "p50", "p99", "p999", "most");
    for (i = 0; i < TIMED; i++) {
        printf("%-20s %10llu ", timed_names[i], (unsigned long long)how_many(i));
        print_time(quantile(i, 500));
        printf(" ");
        print_time(quantile(i, 990));
        printf(" ");
        print_time(quantile(i, 999));
        printf(" ");
        print_time(quantile(i, 1000));
        printf("\n");
    }
    printf("tokens %llu, of which %llu were new and taken by their API\n", (unsigned long long)figures->tokens,
           (unsigned long long)figures->checked);
    printf("background refreshes told: %llu succeeded, %llu failed\n", (unsigned long long)figures->refreshed,
           (unsigned long long)figures->not_refreshed);
    printf("%llu forked children, %llu other processes with the same stores\n",
           (unsigned long long)figures->children, (unsigned long long)figures->visitors);
}

/* For whoever started this: error, code, how often. */
static inline void print_codes(void)
{
    int i;
    for (i = 0; i < CODES && figures->codes[i].state == 2; i++) {
        printf("error %s %llu\n", figures->codes[i].code, (unsigned long long)figures->codes[i].count);
    }
}

#endif
