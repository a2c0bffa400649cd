// SPDX-License-Identifier: BSD-3-Clause
/*
 * transport_compat.c - the client's requests through virtio-win's driver
 *
 * Theory of operation
 *
 *   Three control codes that carry raw FUSE messages (abi/viofs_ioctl.h). Request, arguments and data are
 *   joined into one input buffer, the reply comes with its header into one output buffer, and both are
 *   copied. READ is the exception: the host writes into the caller's memory, whose address is in the
 *   output buffer. That driver serves one request after the other; more are lined up in it.
 *
 *   What it does not do is done here: a reply's length, unique and error are checked (message.c).
 *   Cancelling is left alone: the driver lets go of a cancelled request's memory while the device still
 *   has it.
 *
 *   FORGET wants room for a reply, though there will be none: the driver refuses it otherwise.
 *
 *   There is no epoch. A session that was lost by a reset shows as errors, until the device goes and comes
 *   back.
 *
 * Ownership: one block for each message in flight, freed before done() or the return. A READ's answer goes
 *   straight to m->reply.   Locks: none.
 */
#include "service/win/transport_int.h"

#include "abi/viofs_ioctl.h"

#define MAX_REQUEST (128u * 1024u)
#define MAX_TRANSFER                                                                               \
    (1024u * 1024u) /* 1024 pieces of a page each, header and a split page included */
#define MAX_LINE 64u

struct parcel {
    uint32_t code;
    struct dev_buffers b;
};

/*
 * The block: request and data, then room for the reply (or the descriptor of a READ), 8-byte aligned.
 */
static void *pack(const struct cli_msg *m, struct parcel *p)
{
    bool read = svc_opcode_of(m) == FUSE_READ;
    size_t in_len = (size_t)m->req_len + m->data_len;
    size_t out_at = (in_len + 7) & ~(size_t)7;
    size_t out_len =
        read ? sizeof(struct viofs_read_by_pointer) : sizeof(struct fuse_out_header) + m->reply_cap;
    uint8_t *block;

    if (in_len > MAX_REQUEST + MAX_TRANSFER || m->reply_cap > MAX_TRANSFER)
        return NULL;
    block = svc_join(m, out_at + out_len);
    if (!block)
        return NULL;
    memset(block + out_at, 0, read ? out_len : sizeof(struct fuse_out_header));
    if (read) {
        struct viofs_read_by_pointer where = {.len = m->reply_cap, .pointer = (uintptr_t)m->reply};

        memcpy(block + out_at, &where, sizeof(where));
    }
    p->code = read ? IOCTL_VIRTFS_FUSE_REQUEST_READ : IOCTL_VIRTFS_FUSE_REQUEST;
    p->b = (struct dev_buffers){block, (uint32_t)in_len, block + out_at, (uint32_t)out_len};
    return block;
}

static int32_t unpack(struct cli_msg *m, const struct parcel *p, uint32_t status,
                      uint32_t information)
{
    bool read = p->code == IOCTL_VIRTFS_FUSE_REQUEST_READ;
    int32_t result = svc_status_errno(status);

    if (result)
        return result;
    /* A READ's header says how much was written to where the pointer pointed; Information does not. */
    result = svc_reply_check(
        p->b.out, read ? sizeof(struct fuse_out_header) + (uint64_t)m->reply_cap : information,
        svc_unique_of(m));
    if (result > 0 && (uint32_t)result > m->reply_cap)
        return -LE_EIO;
    if (result > 0 && !read)
        memcpy(m->reply, (const uint8_t *)p->b.out + sizeof(struct fuse_out_header),
               (uint32_t)result);
    return result;
}

static int32_t compat_call(struct cli_transport *base, struct cli_msg *m)
{
    struct svc_transport *t = (struct svc_transport *)base;
    uint32_t information = 0, status;
    struct parcel p;
    void *block = pack(m, &p);

    m->result = -LE_ENOMEM;
    if (block) {
        status = dev_io_call(t->d, p.code, &p.b, &information);
        m->result = unpack(m, &p, status, information);
        free(block);
    }
    return m->result;
}

/* What done() needs of a message that was submitted. */
struct block_in_flight {
    struct parcel p;
    void *block;
};

static void compat_done(struct dev_op *op, uint32_t status, uint32_t information)
{
    struct cli_msg *m = svc_msg_of(op);
    struct block_in_flight *f = svc_flight_of(m)->buffer;

    m->result = unpack(m, &f->p, status, information);
    free(f->block);
    free(f);
    m->done(m);
}

static int compat_submit(struct cli_transport *base, struct cli_msg *m)
{
    struct svc_transport *t = (struct svc_transport *)base;
    struct svc_flight *flight = svc_flight_of(m);
    struct block_in_flight *f = malloc(sizeof(*f));
    uint32_t status;

    if (!f)
        return -LE_ENOMEM;
    f->block = pack(m, &f->p);
    if (!f->block) {
        free(f);
        return -LE_ENOMEM;
    }
    *flight = (struct svc_flight){.op.done = compat_done, .buffer = f};
    status = dev_io_submit(t->d, &flight->op, f->p.code, &f->p.b);
    if (status == 0)
        return 0;
    free(f->block);
    free(f);
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
