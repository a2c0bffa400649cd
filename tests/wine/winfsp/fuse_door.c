// SPDX-License-Identifier: BSD-3-Clause
#include "tests/wine/winfsp/standin.h"
void fuse_open(struct volume *v)
{
    (void)v;
}
void fuse_shut(struct volume *v)
{
    (void)v;
}
