// SPDX-License-Identifier: BSD-3-Clause
#include "tests/nt-bench/fuse.h"
const struct scenario scenarios_memory[1];
const unsigned n_scenarios_memory = 0;
