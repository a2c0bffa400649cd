// SPDX-License-Identifier: BSD-3-Clause
/*
 * transport.c - the client's requests through viofs.sys by its own control codes
 *
 * Theory of operation
 *
 *   Nothing is copied here: header and arguments are the input buffer, the caller's payload is the output
 *   buffer in both directions (abi/viofs_ioctl.h), and the reply's header has become the status. Any number
 *   of requests may be in flight; the driver lines up what its rings cannot take.
 *
 *   A WRITE's answer is one number. The driver returns it as Information, and the fuse_write_out that the
 *   client expects is made of it here.
 *
 *   Data after any other request's arguments (a large extended attribute) is joined with them.
 *
 * Ownership: a message's buffers are the client's; what is joined is freed before done() or the return.
 * Locks: none.
 */
#include "service/win/transport_int.h"

#include "abi/viofs_ioctl.h"

struct route {
    uint32_t code;
    struct dev_buffers b;
    void *joined; /* or NULL; to be freed */
};

void svc_join(const struct cli_msg *m, uint8_t *to)
{
    memcpy(to, m->req, m->req_len);
    if (m->data_len)
        memcpy(to + m->req_len, m->data, m->data_len);
}

/* Which control code with which buffers. */
static int route(const struct cli_msg *m, struct route *r)
{
    *r = (struct route){.code = IOCTL_VIOFS_REQUEST,
                        .b = {m->req, m->req_len, m->reply, m->reply_cap}};
    if (svc_opcode_of(m) == FUSE_WRITE) {
        if (m->reply_cap < sizeof(struct fuse_write_out))
            return -LE_EIO;
        r->code = IOCTL_VIOFS_WRITE;
        r->b.out = (void *)m->data;
        r->b.out_len = m->data_len;
    } else if (m->data_len) {
        r->joined = malloc((size_t)m->req_len + m->data_len);
        if (!r->joined)
            return -LE_ENOMEM;
        svc_join(m, r->joined);
        r->b.in = r->joined;
        r->b.in_len = m->req_len + m->data_len;
    }
    return 0;
}

static int32_t result_of(struct cli_msg *m, uint32_t status, uint32_t information)
{
    int32_t errnum = svc_status_errno(status);

    if (errnum)
        return errnum;
    if (svc_opcode_of(m) == FUSE_WRITE) {
        struct fuse_write_out out = {.size = information};

        if (information > m->data_len)
            return -LE_EIO;
        memcpy(m->reply, &out, sizeof(out));
        return sizeof(out);
    }
    return information > m->reply_cap || (int32_t)information < 0 ? -LE_EIO : (int32_t)information;
}

static int32_t viofs_call(struct cli_transport *base, struct cli_msg *m)
{
    struct svc_transport *t = (struct svc_transport *)base;
    uint32_t information = 0;
    struct route r;
    int e = route(m, &r);

    if (e) {
        m->result = e;
        return e;
    }
    uint32_t status = dev_io_call(t->d, r.code, &r.b, &information);
    free(r.joined);
    m->result = result_of(m, status, information);
    return m->result;
}

static void viofs_done(struct dev_op *op, uint32_t status, uint32_t information)
{
    struct cli_msg *m = svc_msg_of(op);

    free(svc_flight_of(m)->buffer);
    m->result = result_of(m, status, information);
    m->done(m);
}

static int viofs_submit(struct cli_transport *base, struct cli_msg *m)
{
    struct svc_transport *t = (struct svc_transport *)base;
    struct svc_flight *f = svc_flight_of(m);
    struct route r;
    int e = route(m, &r);

    if (e)
        return e;
    *f = (struct svc_flight){.op.done = viofs_done, .buffer = r.joined};
    uint32_t status = dev_io_submit(t->d, &f->op, r.code, &r.b);
    if (status) {
        free(r.joined);
        e = svc_status_errno(status);
        return e ? e : -LE_EIO;
    }
    return 0;
}

void svc_cancel(struct cli_transport *base, struct cli_msg *m)
{
    dev_io_cancel(((struct svc_transport *)base)->d, &svc_flight_of(m)->op);
}

/* ---- messages without a reply --------------------------------------------------------------- */

static void post_done(struct dev_op *op, uint32_t status, uint32_t information)
{
    struct svc_post *p = CONTAINING_RECORD(op, struct svc_post, op);

    (void)status; /* what a FORGET was for is over with its session, if it failed */
    (void)information;
    InterlockedDecrement(&p->t->posts);
    free(p);
}

int svc_post(struct svc_transport *t, uint32_t code, const void *req, uint32_t len)
{
    struct dev_buffers b = {req, len, NULL, 0};
    struct svc_post *p;
    uint32_t status;

    if ((uint32_t)InterlockedIncrement(&t->posts) > MAX_POSTS) {
        InterlockedDecrement(&t->posts);
        return -LE_EAGAIN;
    }
    p = malloc(sizeof(*p));
    if (!p) {
        InterlockedDecrement(&t->posts);
        return -LE_ENOMEM;
    }
    *p = (struct svc_post){.op.done = post_done, .t = t};
    if (code == IOCTL_VIRTFS_FUSE_REQUEST) {
        b.out = p->no_reply;
        b.out_len = sizeof(p->no_reply);
    }
    /* The I/O manager copies the request into a buffer of its own before this returns. */
    status = dev_io_submit(t->d, &p->op, code, &b);
    if (status == 0)
        return 0;
    InterlockedDecrement(&t->posts);
    free(p);
    return svc_status_errno(status) ? svc_status_errno(status) : -LE_EIO;
}

static int viofs_post(struct cli_transport *base, const void *req, uint32_t len)
{
    return svc_post((struct svc_transport *)base, IOCTL_VIOFS_NO_REPLY, req, len);
}

/* ---- limits --------------------------------------------------------------------------------- */

static uint32_t query(struct dev_io *d, struct viofs_query_out *out)
{
    const struct viofs_query_in in = {.version = VIOFS_IOCTL_VERSION};
    const struct dev_buffers b = {&in, sizeof(in), out, sizeof(*out)};
    uint32_t got, status = dev_io_call(d, IOCTL_VIOFS_QUERY, &b, &got);

    if (status == 0 && (got < sizeof(*out) || out->version == 0))
        return 0xC0000059u; /* STATUS_REVISION_MISMATCH */
    return status;
}

static int viofs_limits(struct cli_transport *base, struct cli_limits *out)
{
    struct svc_transport *t = (struct svc_transport *)base;
    uint16_t tag[VIOFS_TAG_CHARS + 1];
    struct viofs_query_out q = {0};
    uint32_t status = query(t->d, &q);

    if (status)
        return svc_status_errno(status);
    if (q.max_request < 4096 || q.max_transfer < 4096)
        return -LE_ENOTCONN; /* a device that is stopped has no limits */
    *out = (struct cli_limits){.epoch = q.epoch,
                               .max_in_flight = q.max_in_flight ? q.max_in_flight : 1,
                               .side_by_side = q.max_in_flight > 1,
                               .max_request = q.max_request,
                               .max_transfer = q.max_transfer};
    svc_tag_copy(q.tag, VIOFS_TAG_CHARS, tag);
    svc_utf8(tag, out->tag, sizeof(out->tag));
    return 0;
}

const struct cli_transport_ops svc_transport_ops = {
    .limits = viofs_limits,
    .call = viofs_call,
    .submit = viofs_submit,
    .post = viofs_post,
    .cancel = svc_cancel,
};

/* ---- which driver it is --------------------------------------------------------------------- */

uint32_t svc_device_ask(struct dev_io *d, struct svc_device_facts *out)
{
    uint16_t tag[VIOFS_TAG_CHARS + 2] = {0};
    const struct dev_buffers b = {NULL, 0, tag, sizeof(tag) - sizeof(tag[0])};
    struct viofs_query_out q = {0};
    uint32_t got, status = query(d, &q);

    *out = (struct svc_device_facts){.ours = status == 0};
    if (status == 0) {
        out->owned = (q.flags & VIOFS_QUERY_OWNED) && !(q.flags & VIOFS_QUERY_MINE);
        out->stalled = q.flags & VIOFS_QUERY_STALLED;
        out->version = q.version;
        out->epoch = q.epoch;
        memcpy(tag, q.tag, sizeof(uint16_t) * VIOFS_TAG_CHARS);
    } else if (svc_status_errno(status) == -LE_ENOSYS) {
        status = dev_io_call(d, IOCTL_VIRTFS_GET_VOLUME_NAME, &b, &got);
    }
    if (status == 0)
        svc_tag_copy(tag, VIOFS_TAG_CHARS, (uint16_t *)out->tag);
    return status;
}

struct cli_transport *svc_transport_open(struct dev_io *d, bool ours)
{
    struct svc_transport *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->base.ops = ours ? &svc_transport_ops : &svc_transport_compat_ops;
    t->d = d;
    return &t->base;
}

void svc_transport_free(struct cli_transport *t)
{
    free(t);
}
