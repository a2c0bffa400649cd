// SPDX-License-Identifier: BSD-3-Clause
/*
 * message.h - one vhost-user message, in and out
 */
#ifndef VIOFS_VHOST_MESSAGE_H
#define VIOFS_VHOST_MESSAGE_H

#include <stdbool.h>

#include "abi/vhost_user.h"

#define VU_MSG_MAX_FDS 8u /* vhost-user: no message carries more */

/* GET_CONFIG, SET_CONFIG: header and contents */
struct vu_msg_config {
    struct vu_config head;
    uint8_t region[VU_CONFIG_MAX];
};

/*
 * Belongs to the control thread. Descriptors in it are closed by vu_msg_drop_fds() unless they were
 * taken with vu_msg_take_fd(). Payload bytes beyond head.size are zero.
 */
struct vu_msg {
    struct vu_header head;
    union {
        uint64_t u64;
        struct vu_vring_state state;
        struct vu_vring_addr addr;
        struct vu_mem_table table;
        struct vu_mem_reg_msg region;
        struct vu_log log;
        struct vu_state_transfer transfer;
        struct vu_msg_config config;
        uint8_t bytes[512];
    };
    int fd[VU_MSG_MAX_FDS];
    unsigned n_fds;
    bool peeked;     /* it is still in the socket: vu_msg_consume() is due */
    uint32_t length; /* bytes that it takes there */
};

/**
 * vu_msg_recv() - wait for the next message
 * @conn:    the connected socket
 * @stop_fd: readable when the caller is to give up
 * @peek:    leave it in the socket, for which vu_msg_can_peek() was called
 *
 * Return: 1 with *@m filled; 0 when the front end has hung up between messages, or @stop_fd is
 * readable, also in the middle of one; -EPROTO (reason logged) for a message that cannot be framed: a wrong version, a payload
 * longer than any that exists, too many descriptors, an end in the middle; another -errno of the socket.
 * No descriptor is left open unless 1 is returned.
 */
int vu_msg_recv(int conn, int stop_fd, bool peek, struct vu_msg *m);

/** vu_msg_can_peek() - prepare @conn, or begin anew with its first message. Return: 0 or -errno. */
int vu_msg_can_peek(int conn);

/** vu_msg_consume() - take a peeked message out of the socket; of others: nothing. Return: 0 or -errno. */
int vu_msg_consume(int conn, struct vu_msg *m);

/** vu_msg_waiting() - is there a byte to be read? */
bool vu_msg_waiting(int conn);

/**
 * vu_msg_reply() - send @m back with @size bytes of its payload
 * Return: 0; -ECANCELED when @stop_fd became readable while the socket was full; -errno.
 */
int vu_msg_reply(int conn, int stop_fd, struct vu_msg *m, uint32_t size);

/** vu_msg_take_fd() - the caller owns descriptor @i from now on. Return: it, or -1 if there is none. */
int vu_msg_take_fd(struct vu_msg *m, unsigned i);

/** vu_msg_drop_fds() - close what nobody took */
void vu_msg_drop_fds(struct vu_msg *m);

#endif
