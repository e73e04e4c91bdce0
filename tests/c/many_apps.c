/* many_apps.c: do a thousand apps at once cost no thread and little memory, and is all of it back when they are freed? */

#include <dirent.h>
#include <malloc.h>
#include <unistd.h>

#include "apps.h"

#define APPS 1000
/* How many of them are used: each keeps a connection. */
#define USED 100

static int entries(const char *path)
{
    DIR *directory = opendir(path);
    int count = 0;

    if (!directory) return -1;
    while (readdir(directory)) count++;
    closedir(directory);
    return count;
}

/* What the program has of the heap, in KiB. Not what the process takes: libc keeps what is freed in pieces. */
static long heap_kib(void)
{
    return (long)(mallinfo2().uordblks / 1024);
}

/* Makes them all, uses some, and frees them; the memory that one takes, in KiB. */
static long round_of(mtlspop_token_request *request, int threads)
{
    static mtlspop_app *apps[APPS];
    long before = heap_kib(), each;
    int i;

    for (i = 0; i < APPS; i++) apps[i] = certificate_app();
    each = (heap_kib() - before) / APPS;
    for (i = 0; i < USED; i++) {
        mtlspop_token *token = acquire(apps[i], request);
        CHECK(mtlspop_token_source(token) == MTLSPOP_TOKEN_SOURCE_IDENTITY_PROVIDER);
        mtlspop_token_free(token);
    }
    CHECK(entries("/proc/self/task") == threads);
    for (i = 0; i < APPS; i++) mtlspop_app_free(apps[i]);
    return each;
}

int main(void)
{
    mtlspop_token_request *request = graph_request(1);
    int threads = entries("/proc/self/task"), descriptors;
    long each, before;

    alarm(110);
    round_of(request, threads);
    descriptors = entries("/proc/self/fd");
    before = heap_kib();
    each = round_of(request, threads);
    printf("an app: %ld KiB; after a thousand more: %ld KiB more\n", each, heap_kib() - before);
    CHECK(each < 48);
    CHECK(heap_kib() - before < 128);
    CHECK(entries("/proc/self/fd") == descriptors && descriptors < 20);
    mtlspop_token_request_free(request);
    return check_result();
}
