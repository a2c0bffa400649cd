// SPDX-License-Identifier: BSD-3-Clause
/* transport_int.h - what both transports share */
#ifndef VIOFS_SERVICE_TRANSPORT_INT_H
#define VIOFS_SERVICE_TRANSPORT_INT_H

#include <stdlib.h>
#include <string.h>

#include "lib/fuse/fuse_proto.h"
#include "service/client/linux_errno.h"
#include "service/win/message.h"
#include "service/win/transport.h"

#define MAX_POSTS 256u /* messages without a reply that the driver may hold at once */

struct svc_transport {
    struct cli_transport base; /* first: svc_transport_free() frees it as it is */
    struct dev_io *d;
    volatile LONG posts;
};

/* A message without a reply on its way. */
struct svc_post {
    struct dev_op op;
    struct svc_transport *t;
    uint8_t no_reply[sizeof(struct fuse_out_header)]; /* room that virtio-win's driver wants */
};

/* In cli_msg.transport, while the message is in flight. */
struct svc_flight {
    struct dev_op op;
    void *buffer; /* what was joined or is received into, or NULL */
};
_Static_assert(sizeof(struct svc_flight) <= sizeof(((struct cli_msg *)0)->transport), "room");

static inline struct svc_flight *svc_flight_of(struct cli_msg *m)
{
    return (struct svc_flight *)m->transport;
}

static inline struct cli_msg *svc_msg_of(struct dev_op *op)
{
    return (struct cli_msg *)((uint8_t *)op - offsetof(struct cli_msg, transport));
}

static inline uint32_t svc_opcode_of(const struct cli_msg *m)
{
    return ((const struct fuse_in_header *)m->req)->opcode;
}

static inline uint64_t svc_unique_of(const struct cli_msg *m)
{
    return ((const struct fuse_in_header *)m->req)->unique;
}

/** svc_join() - request and data, one behind the other. @to: room for req_len + data_len bytes */
void svc_join(const struct cli_msg *m, uint8_t *to);

/** svc_post() - a message without a reply by either driver's control code; see cli_transport_ops */
int svc_post(struct svc_transport *t, uint32_t code, const void *req, uint32_t len);

void svc_cancel(struct cli_transport *base, struct cli_msg *m);

extern const struct cli_transport_ops svc_transport_ops;        /* viofs.sys */
extern const struct cli_transport_ops svc_transport_compat_ops; /* virtio-win's driver */

#endif
