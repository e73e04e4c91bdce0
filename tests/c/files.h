/* files.h: the files with which the tests and the openssl command line talk to each other. */

#ifndef FILES_H
#define FILES_H

#include "check.h"

/* path has room for 1024 characters. */
static inline void name_file(char *path, const char *directory, const char *name)
{
    snprintf(path, 1024, "%s/%s", directory, name);
}

static inline size_t read_file(const char *path, uint8_t *bytes, size_t size)
{
    FILE *file = fopen(path, "rb");
    size_t length = file ? fread(bytes, 1, size, file) : 0;
    if (file) fclose(file);
    CHECK(length > 0 && length < size);
    return length;
}

static inline void write_file(const char *path, const uint8_t *bytes, size_t length)
{
    FILE *file = fopen(path, "wb");
    CHECK(file && fwrite(bytes, 1, length, file) == length);
    if (file) fclose(file);
}

#endif
