/* store.h: a token store as a caller writes one: a file for each partition, shared by processes. */

#ifndef STORE_H
#define STORE_H

#include <fcntl.h>
#include <unistd.h>

#include "../c/check.h"

#define MOST_STORED (4 << 20)

/* Keys may hold anything: the name of the file is their hash, which is good enough for those of one program. */
static inline void name_partition(char *path, size_t size, const char *directory, const char *key)
{
    uint64_t hash = 14695981039346656037u;
    for (; *key; key++) hash = (hash ^ (unsigned char)*key) * 1099511628211u;
    snprintf(path, size, "%s/%016llx", directory, (unsigned long long)hash);
}

static inline int32_t load_partition(const char *path, mtlspop_store_op *operation)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = file ? malloc(MOST_STORED) : NULL;
    if (data) mtlspop_store_op_set_data(operation, data, fread(data, 1, MOST_STORED, file));
    free(data);
    if (file) fclose(file);
    return 0;
}

/* Readers see the old file or the new one. */
static inline int32_t save_partition(const char *path, mtlspop_store_op *operation)
{
    static int written;
    size_t length;
    const uint8_t *data = mtlspop_store_op_data(operation, &length);
    char fresh[1100];
    FILE *file;
    int whole;

    snprintf(fresh, sizeof fresh, "%s.%d.%d", path, (int)getpid(), __atomic_add_fetch(&written, 1, __ATOMIC_RELAXED));
    file = fopen(fresh, "wb");
    if (!file) return 1;
    whole = fwrite(data, 1, length, file) == length;
    whole = fclose(file) == 0 && whole;
    if (whole && rename(fresh, path) == 0) return 0;
    unlink(fresh);
    return 1;
}

/* userdata is the directory. */
static int32_t stored(void *userdata, mtlspop_store_op *operation)
{
    char path[1024];

    name_partition(path, sizeof path, userdata, mtlspop_store_op_partition_key(operation));
    if (mtlspop_store_op_kind(operation) == MTLSPOP_STORE_SAVE) return save_partition(path, operation);
    return load_partition(path, operation);
}

#endif
