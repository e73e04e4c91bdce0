/* growth.h: descriptors, threads and memory of this process, second by second, and whether they grow. */

#ifndef GROWTH_H
#define GROWTH_H

#include <dirent.h>
#include <malloc.h>
#include <unistd.h>

#include "figures.h"

enum grown { DESCRIPTORS, THREADS, HEAP, RESIDENT, GROWN };

static const char *const grown_names[GROWN] = {"descriptors", "threads", "heap without connections, kB", "resident, kB"};

/* What may come on top, between two windows in which the same happens: a share, and a constant. */
static const double grown_share[GROWN] = {0.25, 0.0, 0.10, 0.20};
static const double grown_least[GROWN] = {40, 6, 512, 16384};

/* What a connection takes: buffers of 64 and 16 KiB, and TLS. They come and go, and would hide what is small. */
#define CONNECTION_KB 88
/* What may be left of the heap when everything is freed: what the apps of a process share. */
#define LEFT_KB 1024

#define MOST_SAMPLES 7200

struct sample {
    double of[GROWN];
};

static struct sample samples[MOST_SAMPLES];
static int sample_count;

static inline double entries(const char *path)
{
    DIR *directory = opendir(path);
    int count = 0;
    if (!directory) return -1;
    while (readdir(directory)) count++;
    closedir(directory);
    return count - 2;
}

static inline double resident_kb(void)
{
    unsigned long total = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file) return -1;
    if (fscanf(file, "%lu %lu", &total, &resident) != 2) resident = 0;
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE) / 1024;
}

static inline struct sample sample_now(void)
{
    struct sample sample = {{0}};
    struct mallinfo2 heap = mallinfo2();

    /* Without the one that reads the directory. */
    sample.of[DESCRIPTORS] = entries("/proc/self/fd") - 1;
    sample.of[THREADS] = entries("/proc/self/task");
    sample.of[HEAP] = (double)(heap.uordblks + heap.hblkhd) / 1024 - CONNECTION_KB * sample.of[DESCRIPTORS];
    sample.of[RESIDENT] = resident_kb();
    return sample;
}

static inline void take_sample(void)
{
    if (sample_count < MOST_SAMPLES) samples[sample_count++] = sample_now();
}

static inline double mean(enum grown what, int from, int to)
{
    double sum = 0;
    int i;
    for (i = from; i < to; i++) sum += samples[i].of[what];
    return to > from ? sum / (to - from) : 0;
}

/* Compares the window after `warm` seconds with the last one, each of a third of what was left. The one between is shown. */
static inline void judge_growth(int warm)
{
    int window = (sample_count - warm) / 3, i;

    if (window < 3) return;
    printf("%-28s %12s %12s %12s %12s\n", "", "at first", "then", "at the end", "allowed");
    for (i = 0; i < GROWN; i++) {
        double first = mean(i, warm, warm + window), last = mean(i, sample_count - window, sample_count);
        double then = mean(i, warm + window, warm + 2 * window), allowed = first * (1 + grown_share[i]) + grown_least[i];
        printf("%-28s %12.0f %12.0f %12.0f %12.0f\n", grown_names[i], first, then, last, allowed);
        if (last > allowed) violation("%s grew from %.0f to %.0f", grown_names[i], first, last);
    }
}

#endif
