// SPDX-License-Identifier: BSD-3-Clause
/*
 * transport_compat.c - the client's requests through virtio-win's driver
 *
 * Theory of operation
 *
 *   Raw FUSE messages (abi/viofs_ioctl.h). Request, arguments and data are joined into one input buffer, the
 *   reply comes with its header into one output buffer, and both are copied. That driver serves one request
 *   after the other; more are lined up in it.
 *
 *   What it does not do is done here: a reply's length, unique and error are checked (message.c).
 *
 *   What it does wrong is kept away from:
 *   - Cancelling: it lets go of a cancelled request's memory while the device still has it.
 *   - Its READ with a pointer: it locks the pages of whatever process runs when the request's turn comes,
 *     which is right only as long as nothing is lined up. READ is a message like any other here.
 *   - FORGET wants room for a reply, though there will be none: it is refused otherwise.
 *
 *   There is no epoch. A session that was lost by a reset shows as errors, until the device goes and comes
 *   back.
 *
 * Ownership: one block for each message in flight, freed before done() or the return.   Locks: none.
 */
#include "service/win/transport_int.h"

#include "abi/viofs_ioctl.h"

#define MAX_REQUEST (128u * 1024u)
#define MAX_TRANSFER                                                                               \
    (1024u * 1024u) /* 1024 pieces of a page each, header and a split page included */
#define MAX_LINE 64u

/* A message with its buffers, in one block of memory. */
struct parcel {
    struct dev_buffers b;
    uint8_t bytes[]; /* request and data, then, 8-byte aligned, room for the reply */
};

static struct parcel *pack(const struct cli_msg *m)
{
    size_t in_len = (size_t)m->req_len + m->data_len;
    size_t out_at = (in_len + 7) & ~(size_t)7;
    size_t out_len = sizeof(struct fuse_out_header) + m->reply_cap;
    struct parcel *p;

    if (in_len > MAX_REQUEST + MAX_TRANSFER || m->reply_cap > MAX_TRANSFER)
        return NULL;
    p = malloc(sizeof(*p) + out_at + out_len);
    if (!p)
        return NULL;
    svc_join(m, p->bytes);
    memset(p->bytes + out_at, 0, sizeof(struct fuse_out_header));
    p->b = (struct dev_buffers){p->bytes, (uint32_t)in_len, p->bytes + out_at, (uint32_t)out_len};
    return p;
}

static int32_t unpack(struct cli_msg *m, const struct parcel *p, uint32_t status,
                      uint32_t information)
{
    int32_t result = svc_status_errno(status);

    if (result)
        return result;
    if (information > p->b.out_len)
        return -LE_EIO;
    result = svc_reply_check(p->b.out, information, svc_unique_of(m));
    if (result > 0 && (uint32_t)result > m->reply_cap)
        return -LE_EIO;
    if (result > 0)
        memcpy(m->reply, (const uint8_t *)p->b.out + sizeof(struct fuse_out_header),
               (uint32_t)result);
    return result;
}

static int32_t compat_call(struct cli_transport *base, struct cli_msg *m)
{
    struct svc_transport *t = (struct svc_transport *)base;
    struct parcel *p = pack(m);
    uint32_t information = 0, status;

    m->result = -LE_ENOMEM;
    if (p) {
        status = dev_io_call(t->d, IOCTL_VIRTFS_FUSE_REQUEST, &p->b, &information);
        m->result = unpack(m, p, status, information);
        free(p);
    }
    return m->result;
}

static void compat_done(struct dev_op *op, uint32_t status, uint32_t information)
{
    struct cli_msg *m = svc_msg_of(op);
    struct parcel *p = svc_flight_of(m)->buffer;

    m->result = unpack(m, p, status, information);
    free(p);
    m->done(m);
}

static int compat_submit(struct cli_transport *base, struct cli_msg *m)
{
    struct svc_transport *t = (struct svc_transport *)base;
    struct svc_flight *f = svc_flight_of(m);
    struct parcel *p = pack(m);
    uint32_t status;

    if (!p)
        return -LE_ENOMEM;
    *f = (struct svc_flight){.op.done = compat_done, .buffer = p};
    status = dev_io_submit(t->d, &f->op, IOCTL_VIRTFS_FUSE_REQUEST, &p->b);
    if (status == 0)
        return 0;
    free(p);
    return svc_status_errno(status) ? svc_status_errno(status) : -LE_EIO;
}

static int compat_post(struct cli_transport *base, const void *req, uint32_t len)
{
    return svc_post((struct svc_transport *)base, IOCTL_VIRTFS_FUSE_REQUEST, req, len);
}

static void compat_cancel(struct cli_transport *base, struct cli_msg *m)
{
    (void)base;
    (void)m;
}

static int compat_limits(struct cli_transport *base, struct cli_limits *out)
{
    struct svc_transport *t = (struct svc_transport *)base;
    struct svc_device_facts facts;
    uint32_t status = svc_device_ask(t->d, &facts);

    if (status)
        return svc_status_errno(status);
    *out = (struct cli_limits){.epoch = 1,
                               .max_in_flight = MAX_LINE,
                               .max_request = MAX_REQUEST,
                               .max_transfer = MAX_TRANSFER};
    svc_utf8((const uint16_t *)facts.tag, out->tag, sizeof(out->tag));
    return 0;
}

const struct cli_transport_ops svc_transport_compat_ops = {
    .limits = compat_limits,
    .call = compat_call,
    .submit = compat_submit,
    .post = compat_post,
    .cancel = compat_cancel,
};
