// SPDX-License-Identifier: BSD-3-Clause
/*
 * cost_main.c - usage: nt-bench-cost REQUESTS DEPTH; to be run under valgrind --tool=callgrind (bench/driver.py)
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/nt-bench/solo/solo.h"

int main(int argc, char **argv)
{
    struct ver_costs c;

    if (argc != 3) {
        fprintf(stderr, "usage: %s REQUESTS DEPTH\n", argv[0]);
        return 2;
    }
    solo_init();
    c = solo_cost((uint32_t)strtoul(argv[1], NULL, 10), (uint32_t)strtoul(argv[2], NULL, 10));
    printf("requests=%llu kicks=%llu interrupts=%llu pool=%llu mappings=%llu\n",
           (unsigned long long)c.requests, (unsigned long long)c.kicks,
           (unsigned long long)c.interrupts, (unsigned long long)c.pool_allocations,
           (unsigned long long)c.payload_mappings);
    return ver_complaints() ? 1 : 0;
}
