// SPDX-License-Identifier: BSD-3-Clause
#include "tests/nt-bench/fuse.h"
const struct scenario scenarios_fault[1];
const unsigned n_scenarios_fault = 0;
