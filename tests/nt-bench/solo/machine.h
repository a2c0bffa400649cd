// SPDX-License-Identifier: BSD-3-Clause
/*
 * machine.h - the machine of a script, as its files share it
 *
 *   machine.c   life of the machine, the managers, the device
 *   callers.c   programs: handles, requests, and what is wrong with them
 */
#ifndef VIOFS_NT_BENCH_SOLO_MACHINE_H
#define VIOFS_NT_BENCH_SOLO_MACHINE_H

#include "tests/nt-bench/rig.h"
#include "tests/nt-bench/solo/solo.h"

#define MACHINE_HANDLES 3
#define MACHINE_IOS     12

enum machine_state {
    MACHINE_NONE, /* AddDevice failed */
    MACHINE_STARTED,
    MACHINE_FAILED, /* a start failed: only removal is left */
    MACHINE_GONE,   /* surprise removal */
};

struct machine_handle {
    struct handle *h;
    BOOLEAN leaving; /* the last handle is closed: CLEANUP was sent */
    BOOLEAN left;    /* and is done */
};

struct machine_io {
    struct rig_io *io;
    struct machine_handle *handle;
    PVOID pointer; /* what a READ by pointer names */
    BOOLEAN sent;  /* the call into the driver returned */
};

struct machine {
    enum solo_mode mode;
    const uint8_t *at; /* script */
    size_t left;
    struct rig *rig;
    enum machine_state state;
    BOOLEAN disturbed;  /* requests may fail or hang, and nobody is to blame */
    BOOLEAN pulled_out; /* how the device goes */
    BOOLEAN pnp_busy;
    uint8_t pnp_what, pnp_pause;
    uint64_t unique;
    struct machine_handle handle[MACHINE_HANDLES];
    struct machine_io io[MACHINE_IOS];
};

uint8_t script_u8(struct machine *m);
uint16_t script_u16(struct machine *m);
uint32_t script_u32(struct machine *m);

/* callers.c: steps */
void step_open(struct machine *m);
void step_close(struct machine *m);
void step_cancel(struct machine *m);
void step_send(struct machine *m);      /* anything */
void step_send_well(struct machine *m); /* what virtiofs.exe could send */
/* reap() - free requests that are done, close handles that are done with */
void reap(struct machine *m);
/* close_all() - every program ends */
void close_all(struct machine *m);
/* still_busy() - is a request with the driver? Its handle cannot be closed then. */
BOOLEAN still_busy(struct machine *m);
/* end_all() - wait for every request and handle; stops after @seconds */
void end_all(struct machine *m, ULONG seconds);

#endif
