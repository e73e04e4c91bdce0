/* check.h: how the C tests check. A failed check says where and what; the program goes on and ends with 1. */

#ifndef CHECK_H
#define CHECK_H

#include <mtlspop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int check_failures;

/* Is it true? */
#define CHECK(condition) check_that((condition) != 0, __FILE__, __LINE__, #condition, NULL)

/* Did the call succeed? Frees *error and sets it to NULL, so that the next call can use it. */
#define CHECK_OK(call, error) check_ok((call), &(error), __FILE__, __LINE__, #call)

/* Does the text hold the part? */
#define CHECK_CONTAINS(text, part) check_contains((text), (part), __FILE__, __LINE__, #text)

static inline void check_that(int holds, const char *file, int line, const char *what, const char *detail)
{
    if (holds) return;
    check_failures++;
    printf("FAILED %s:%d: %s%s%s\n", file, line, what, detail ? ": " : "", detail ? detail : "");
    fflush(stdout);
}

static inline void check_ok(mtlspop_status status, mtlspop_error **error, const char *file, int line,
                            const char *what)
{
    check_that(status == MTLSPOP_OK, file, line, what, mtlspop_error_message(*error));
    mtlspop_error_free(*error);
    *error = NULL;
}

static inline void check_contains(const char *text, const char *part, const char *file, int line,
                                  const char *what)
{
    check_that(text && strstr(text, part), file, line, what, text ? text : "(NULL)");
}

/* What main returns. */
static inline int check_result(void)
{
    printf("%d checks failed\n", check_failures);
    return check_failures ? 1 : 0;
}

#endif
