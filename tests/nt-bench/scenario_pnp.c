// SPDX-License-Identifier: BSD-3-Clause
/*
 * scenario_pnp.c - plug and play: start, stop, remove, in every order that Windows knows
 */
#include "tests/nt-bench/fuse.h"

static void a_device_starts_talks_and_is_removed(void)
{
    struct rig *r = rig_up(NULL);
    struct handle *h = rig_open(r);
    struct rig_io *io;

    fuse_init(h);
    io = fuse_send_getattr(h);
    CHECK(NT_SUCCESS(rig_io_wait(io, 1000)), "GETATTR ended with %#x", io->status);
    CHECK(((struct fuse_attr_out *)io->out)->attr.ino == share_stat_ino("."), "another root");
    rig_io_free(io);
    rig_close(h);
    rig_eject(r);
}

const struct scenario scenarios_pnp[] = {
    {"a device starts, talks and is removed", a_device_starts_talks_and_is_removed},
};
const unsigned n_scenarios_pnp = RTL_NUMBER_OF(scenarios_pnp);
