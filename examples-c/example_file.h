/* example_file.h: what the examples that hand tokens on share: files that nobody else may read. */
#ifndef EXAMPLE_FILE_H
#define EXAMPLE_FILE_H

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* Writes a new file that nobody else may read; returns 0, or -1 with a message. */
static inline int write_file(const char *directory, const char *name, const void *data, size_t size)
{
    char path[4096];
    int file, written;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    written = file >= 0 && write(file, data, size) == (ssize_t)size;
    if ((file >= 0 && close(file) != 0) || !written) {
        perror(path);
        return -1;
    }
    return 0;
}

#endif
