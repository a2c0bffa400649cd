// SPDX-License-Identifier: BSD-3-Clause
/*
 * fuzz_must.h - what has to hold in a fuzzer, whatever the input
 */
#ifndef VIOFS_TESTS_FUZZ_MUST_H
#define VIOFS_TESTS_FUZZ_MUST_H

#include <stdio.h>
#include <stdlib.h>

#define MUST(cond)                                                                                 \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #cond);              \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
