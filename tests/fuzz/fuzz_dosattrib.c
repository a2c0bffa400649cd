// SPDX-License-Identifier: BSD-3-Clause
/*
 * fuzz_dosattrib.c - any bytes as a user.DOSATTRIB
 *
 * The value is decoded from an exact-size heap copy, so ASan reports a read of one byte too many. What was accepted must
 * be in range and come back unchanged through what we write.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/meta/dosattrib.h"
#include "tests/fuzz/fuzz_must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1), written[DOSATTRIB_SIZE];
    struct dosattrib d, again;

    MUST(copy);
    if (size)
        memcpy(copy, data, size);
    if (dosattrib_decode(copy, size, &d)) {
        MUST(size > 0 && size <= DOSATTRIB_MAX && d.create_time <= INT64_MAX);
        dosattrib_encode(&d, written);
        MUST(dosattrib_decode(written, sizeof(written), &again));
        MUST(again.attributes == d.attributes && again.create_time == d.create_time);
    }
    free(copy);
    return 0;
}
