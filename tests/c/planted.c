/* planted.c: mistakes that a sanitizer, or valgrind, must find: so that a run that found none is known to have looked.
 * planted MISTAKE */

#include <pthread.h>

#include "apps.h"

static volatile int sink;
static mtlspop_token_request *changed;

/* The library is told of more bytes than there are, and reads them. */
static void overread(void)
{
    mtlspop_certificate *certificate = NULL;
    uint8_t *pem = malloc(100);

    memset(pem, '#', 100);
    mtlspop_certificate_new_from_pem(pem, 200, NULL, 0, NULL, &certificate, NULL);
    mtlspop_certificate_free(certificate);
    free(pem);
}

/* The library frees a handle, and reads it afterwards. */
static void freed(void)
{
    mtlspop_token_request *request = graph_request(0);

    mtlspop_token_request_free(request);
    mtlspop_token_request_set_force_refresh(request, 1);
}

static void leak(void)
{
    char *volatile mine = malloc(10);
    mtlspop_token_request *volatile theirs = graph_request(0);

    mine = NULL;
    theirs = NULL;
    sink = mine == NULL && theirs == NULL;
}

static void overflow(void)
{
    /* Not to be seen through: how long it is must be found out when it is read. */
    int *volatile numbers = calloc(10, sizeof *numbers);

    sink = numbers[10];
    free(numbers);
}

static void undefined(int by)
{
    sink = 1 << by;
}

/* "One thread at a time may change a request". */
static void *change(void *nothing)
{
    int i;

    for (i = 0; i < 1000; i++) mtlspop_token_request_set_force_refresh(changed, i % 2);
    return nothing;
}

static void *change_sink(void *nothing)
{
    int i;

    for (i = 0; i < 1000; i++) sink = i;
    return nothing;
}

static void race(void *(*body)(void *))
{
    pthread_t one, other;

    changed = graph_request(0);
    pthread_create(&one, NULL, body, NULL);
    pthread_create(&other, NULL, body, NULL);
    pthread_join(one, NULL);
    pthread_join(other, NULL);
    mtlspop_token_request_free(changed);
}

int main(int count, char **arguments)
{
    const char *mistake = count > 1 ? arguments[1] : "";

    if (strcmp(mistake, "overread") == 0) overread();
    else if (strcmp(mistake, "freed") == 0) freed();
    else if (strcmp(mistake, "leak") == 0) leak();
    else if (strcmp(mistake, "overflow") == 0) overflow();
    else if (strcmp(mistake, "undefined") == 0) undefined(count + 30);
    else if (strcmp(mistake, "race in the library") == 0) race(change);
    else if (strcmp(mistake, "race") == 0) race(change_sink);
    else if (strcmp(mistake, "none") != 0) return 2;
    printf("not noticed\n");
    return 0;
}
