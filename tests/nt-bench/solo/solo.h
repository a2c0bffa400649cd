// SPDX-License-Identifier: BSD-3-Clause
/*
 * solo.h - the machine that is one thread: what its files and the programs on it share
 *
 * Theory of operation
 *
 *   The bench plays a Windows machine with real threads, real time and a real daemon: true, and far too slow
 *   for a fuzzer. Here the same NT half (nt_*.c, rig.c) and the same driver sources run on another
 *   Linux half that never leaves one thread and never waits:
 *
 *   fiber.c     threads are fibers, the clock jumps, who runs next can be told: a run repeats exactly
 *   arena.c     physical memory; what is not allocated is poisoned for AddressSanitizer
 *   function.c  the PCI function: configuration space and registers, and what they say that is not so
 *   data.c      its data path, with no daemon: chains are taken and given back as told
 *   machine.c   a script of steps: callers, PnP and power managers, device
 *   fuzz_*.c    libFuzzer's entry points;   cost.c  a fixed script, for callgrind
 *
 *   The verifier's rules are those of the bench. What a real thread or processor would add (two processors
 *   at one time, memory ordering) is ThreadSanitizer's to find on the bench.
 */
#ifndef VIOFS_NT_BENCH_SOLO_H
#define VIOFS_NT_BENCH_SOLO_H

#include "tests/nt-bench/bench.h"

/* ---- fiber.c --------------------------------------------------------------------------------- */

HOST void solo_init(void);
/* solo_preempt() - at the @n-th thr_point() from now on, the @pick-th other fiber that could run goes on */
HOST void solo_preempt(uint32_t n, uint32_t pick);
HOST void solo_no_preemption(void);
/* solo_settle() - let everybody run who can without time passing */
HOST void solo_settle(void);

/* ---- function.c ------------------------------------------------------------------------------ */

/* A register that says something else. Offsets count through the four areas, 256 bytes each. */
struct solo_lie {
    uint16_t at;
    uint8_t skip;  /* reads that are answered honestly first */
    uint8_t count; /* reads that are not; 0: all */
    uint32_t value;
};
#define SOLO_LIES 8u
HOST void solo_lie(struct vdev *d, const struct solo_lie *lie);
/* solo_patch() - a byte of configuration space */
HOST void solo_patch(struct vdev *d, uint8_t at, uint8_t value);
HOST void solo_stick(struct vdev *d, bool stuck); /* a reset that never ends */
HOST void solo_message(struct vdev *d, uint32_t message);
HOST void solo_line(struct vdev *d, uint8_t isr);
HOST void solo_needs_reset(struct vdev *d);

/* ---- data.c ---------------------------------------------------------------------------------- */

/* solo_take() - take what the driver made available on @queue. Return: chains taken. */
HOST uint32_t solo_take(struct vdev *d, uint32_t queue);
HOST uint32_t solo_held(struct vdev *d);
/* solo_held_opcode() - of the @k-th chain held */
HOST uint32_t solo_held_opcode(struct vdev *d, uint32_t k);
/* How a chain is given back. */
struct solo_reply {
    uint32_t used_len; /* in the used element */
    uint32_t id_xor;   /* other id than the chain's */
    uint32_t len;      /* of the header */
    int32_t error;
    uint64_t unique_xor;
    bool with_header;
    uint32_t word; /* first of the payload: fuse_write_out.size */
    uint8_t fill;  /* the rest of it */
};
/* solo_honest() - the reply of a good daemon with @payload bytes at most */
HOST struct solo_reply solo_honest(struct vdev *d, uint32_t k, uint32_t payload);
/* solo_give() - put the @k-th held chain into the used ring; seen by the driver after solo_publish() */
HOST void solo_give(struct vdev *d, uint32_t k, const struct solo_reply *r);
/* solo_publish() - move the used index of @queue. Return: does the driver want an interrupt? */
HOST bool solo_publish(struct vdev *d, uint32_t queue);
/* solo_interrupt() - what the transport does for @queue */
HOST void solo_interrupt(struct vdev *d, uint32_t queue);
/* solo_serve() - be a good device on all queues until nothing is left. Return: did anything happen? */
HOST bool solo_serve(struct vdev *d, uint32_t payload);
/* solo_used_index(), solo_scribble() - a device that writes where it pleases, within what it may reach */
HOST void solo_used_index(struct vdev *d, uint32_t queue, uint16_t index);
HOST void solo_scribble(struct vdev *d, uint32_t queue, uint32_t where, uint32_t at, uint8_t byte);

/* ---- machine.c ------------------------------------------------------------------------------- */

enum solo_mode { SOLO_DEVICE, SOLO_CALLER }; /* who is hostile */
/* solo_run() - one machine from power-on to removal, as @bytes say. Aborts when anybody complains. */
HOST void solo_run(enum solo_mode mode, const uint8_t *bytes, size_t n);
/* cost.c: solo_cost() - @n requests, @depth of them sent before the device looks. Return: what they cost */
HOST struct ver_costs solo_cost(uint32_t n, uint32_t depth);

#endif
