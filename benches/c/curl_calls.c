/*
 * curl_calls.c: the API called by libcurl over one kept connection, as examples-c/libcurl does it once: argument 1 is the
 * URL, 2 the file with the header field, 3 that with certificate and key, 4 how many calls. Prints the nanoseconds of each.
 */
#include <curl/curl.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static size_t ignore(char *data, size_t size, size_t count, void *userdata)
{
    (void)data, (void)userdata;
    return size * count;
}

int main(int argc, char **argv)
{
    char header[16384] = "";
    FILE *file = argc == 5 ? fopen(argv[2], "r") : NULL;
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = NULL;
    long status = 0, left;
    CURLcode code = CURLE_OK;

    if (file == NULL || fgets(header, sizeof header, file) == NULL)
        return EXIT_FAILURE;
    fclose(file);
    headers = curl_slist_append(NULL, header);
    curl_easy_setopt(curl, CURLOPT_URL, argv[1]);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_SSLCERT, argv[3]);
    curl_easy_setopt(curl, CURLOPT_SSLKEY, argv[3]);
    curl_easy_setopt(curl, CURLOPT_CAINFO, getenv("SSL_CERT_FILE"));
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore);
    for (left = strtol(argv[4], NULL, 10); left > 0 && code == CURLE_OK; left--) {
        struct timespec begun, ended;

        clock_gettime(CLOCK_MONOTONIC, &begun);
        code = curl_easy_perform(curl);
        clock_gettime(CLOCK_MONOTONIC, &ended);
        printf("%ld\n", (ended.tv_sec - begun.tv_sec) * 1000000000L + (ended.tv_nsec - begun.tv_nsec));
    }
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK || status != 200)
        fprintf(stderr, "%s, status %ld\n", curl_easy_strerror(code), status);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    return code == CURLE_OK && status == 200 ? EXIT_SUCCESS : EXIT_FAILURE;
}
