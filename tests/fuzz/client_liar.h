// SPDX-License-Identifier: BSD-3-Clause
/*
 * client_liar.h - a host that lies, for fuzz_client.c
 *
 * Theory of operation
 *
 *   Every request has an honest answer, which is small and depends on nothing but the request. The fuzzer's
 *   bytes say what becomes of it: it is sent as it is, cut, grown, overwritten here and there, replaced by
 *   the fuzzer's bytes, or turned into an error or the end of the session. Without bytes the host is honest.
 *
 *   What a transport promises (transport.h) is kept: an answer is never longer than the room for it, and an error
 *   is one of -4095..-1.
 *
 *   Answers to what was submitted may come at once, or later and in another order. VIOFS_EVENTS waits for liar_tell(): then it
 *   tells of things that may have happened, and of others, as the fuzzer's bytes say.
 *
 * Ownership: the fuzzer's bytes are borrowed. Locks: none, one thread.
 */
#ifndef VIOFS_TESTS_FUZZ_CLIENT_LIAR_H
#define VIOFS_TESTS_FUZZ_CLIENT_LIAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/client/transport.h"

#define LIAR_IDS   16u /* node ids 2..17; 1 is the root */
#define LIAR_QUEUE 16u

struct liar {
    struct cli_transport transport;
    const uint8_t *data; /* what is left of the fuzzer's bytes */
    size_t len;
    bool may_wait; /* submitted messages may be answered later */
    bool ended;    /* the session is over, until the next epoch */
    bool lied;     /* an answer was not the honest one */
    uint64_t epoch;
    uint32_t in_flags_off; /* flags of INIT that are not granted */
    uint32_t max_transfer;
    bool echoes; /* the client's own changes are told back to it */
    struct cli_msg *waiting[LIAR_QUEUE];
    unsigned n_waiting;
    struct cli_msg *events;         /* VIOFS_EVENTS, until there is something to tell */
    unsigned flood;                 /* so many more are answered as soon as they come */
    uint32_t requests, told, asked; /* all; pages of changes; VIOFS_EVENTS */
    int64_t lookups[LIAR_IDS + 2];  /* that honest answers gave and FORGET did not take */
};

void liar_init(struct liar *l, const uint8_t *data, size_t len);

/** liar_byte() - the next of the fuzzer's bytes, 0 when there are none left */
uint8_t liar_byte(struct liar *l);

/** liar_answer_all() - what was submitted is answered now, but for VIOFS_EVENTS */
void liar_answer_all(struct liar *l);

/** liar_tell() - answer VIOFS_EVENTS, if it is out, with changes or what the fuzzer's bytes make of them */
void liar_tell(struct liar *l);

#endif
