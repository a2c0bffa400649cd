// SPDX-License-Identifier: BSD-3-Clause
/*
 * scenario_all.c - the tables of scenarios as one
 */
#include "tests/nt-bench/rig.h"

HOST const struct scenario *nt_scenarios(unsigned *n)
{
    static struct scenario all[256];
    static const struct {
        const struct scenario *table;
        const unsigned *n;
    } tables[] = {
        {scenarios_pnp, &n_scenarios_pnp},       {scenarios_io, &n_scenarios_io},
        {scenarios_cancel, &n_scenarios_cancel}, {scenarios_power, &n_scenarios_power},
        {scenarios_fault, &n_scenarios_fault},   {scenarios_caller, &n_scenarios_caller},
        {scenarios_memory, &n_scenarios_memory}, {scenarios_cost, &n_scenarios_cost},
    };

    *n = 0;
    for (size_t t = 0; t < RTL_NUMBER_OF(tables); t++)
        for (unsigned i = 0; i < *tables[t].n; i++)
            all[(*n)++] = tables[t].table[i];
    return all;
}
