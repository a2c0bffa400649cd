// SPDX-License-Identifier: BSD-3-Clause
/*
 * fuzz_device.c - the driver, well-behaved callers, and a device that does what the input says (machine.c)
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
    solo_run(SOLO_DEVICE, data, size);
    return 0;
}
