// SPDX-License-Identifier: BSD-3-Clause
/*
 * fuzz_caller.c - the driver, a good device, and callers that do what the input says (machine.c)
 */
#include "tests/nt-bench/solo/solo.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    solo_init();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    solo_run(SOLO_CALLER, data, size);
    return 0;
}
