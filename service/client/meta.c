// SPDX-License-Identifier: BSD-3-Clause
/*
 * meta.c - what Windows and Samba keep of a file in its extended attributes
 *
 * Theory of operation
 *
 *   With VIOFS_FEATURE_META everything comes with the entries. A host without it is asked for user.DOSATTRIB, if
 *   the user of the client wants attributes (opt.want_dos) and the host knows GETXATTR at all: the question travels
 *   beside the one for the other attributes, and its answer, also that there is nothing, holds as long as theirs.
 *   Regular files and directories only. How large EAs are, and whether there are streams, such hosts are not asked.
 *
 *   What we store ourselves is known at once; nobody has to ask for it.
 *
 * Locks: node->lock; c->dos.lock to wait, whose memory outlives every question.
 */
#include <string.h>

#include "lib/meta/dosattrib.h"
#include "service/client/client_int.h"

enum { STORED_HOLDS_MS = 1000 }; /* ctime moves with what we store; see attr.c of writes */

/** cli_meta_parse() - see client_int.h */
void cli_meta_parse(const struct fuse_viofs_ext *ext, struct cli_attr *out)
{
    if (!(ext->flags & VIOFS_EXT_META))
        return;
    out->meta_known = out->eas_known = true;
    out->ea_size = ext->ea_size;
    out->has_streams = ext->flags & VIOFS_EXT_STREAMS;
    out->has_acl = ext->flags & VIOFS_EXT_ACL;
    out->has_dos = ext->flags & VIOFS_EXT_DOS;
    if (out->has_dos)
        out->dos_attributes = ext->dos_attributes;
    if ((ext->flags & VIOFS_EXT_CREATED) && ext->create_time <= INT64_MAX)
        out->create_time = ext->create_time;
}

/** cli_meta_copy() - see client_int.h */
void cli_meta_copy(struct cli_attr *to, const struct cli_attr *from)
{
    to->meta_known = from->meta_known;
    to->eas_known = from->eas_known;
    to->ea_size = from->ea_size;
    to->has_streams = from->has_streams;
    to->has_acl = from->has_acl;
    to->has_dos = from->has_dos;
    to->dos_attributes = from->dos_attributes;
    to->create_time = from->create_time;
}

static void set_dos(struct cli_attr *a, const struct dosattrib *d)
{
    a->meta_known = true;
    a->has_dos = d != NULL;
    a->dos_attributes = d ? d->attributes : 0;
    a->create_time = d ? d->create_time : 0;
}

/* ---- asking ------------------------------------------------------------------------------------------- */

bool cli_dos_wanted(struct cli *c, const struct cli_node *n)
{
    return c->opt.want_dos && !atomic_load(&c->meta) &&
           (n->type == LX_S_IFREG || n->type == LX_S_IFDIR) && !cli_enosys(c, FUSE_GETXATTR);
}

static void dos_done(struct cli_async *a)
{
    struct cli_dos *d = a->user;
    struct cli *c = a->c;

    cli_mutex_lock(&c->dos.lock);
    d->result = a->msg.result;
    d->out = false;
    cli_cond_wake_all(&c->dos.answered);
    cli_mutex_unlock(&c->dos.lock);
}

/** cli_dos_begin() - see client_int.h */
void cli_dos_begin(struct cli *c, struct cli_node *n, struct cli_dos *d)
{
    struct fuse_getxattr_in in = {.size = sizeof(d->value)};
    struct cli_req r = {
        .opcode = FUSE_GETXATTR,
        .node = n,
        .arg = {{&in, sizeof(in)}, {DOSATTRIB_NAME, sizeof(DOSATTRIB_NAME)}},
        .reply = d->value,
        .reply_cap = sizeof(d->value),
    };

    d->a = (struct cli_async){.done = dos_done, .user = d};
    d->stamp = cli_stamp(c);
    d->out = true;
    int e = cli_submit(c, &d->a, &r);
    if (e <
        0) { /* a node of an older session, say: then it is asked the long way; done() never comes */
        d->result = e;
        d->out = false;
    }
}

/* Errors that say that there is nothing for us, as opposed to those that say nothing. */
static bool means_none(int32_t result)
{
    return result == -LE_ENODATA || result == -LE_EOPNOTSUPP || result == -LE_ENOSYS ||
           result == -LE_ERANGE || result == -LE_EACCES || result == -LE_EPERM;
}

/** cli_dos_end() - see client_int.h */
void cli_dos_end(struct cli *c, struct cli_node *n, struct cli_dos *d, struct cli_attr *out)
{
    struct dosattrib dos;
    bool some;

    cli_mutex_lock(&c->dos.lock);
    while (d->out)
        cli_cond_wait(&c->dos.answered, &c->dos.lock);
    cli_mutex_unlock(&c->dos.lock);
    if (d->result == -LE_ESTALE)
        d->result = cli_getxattr(c, n, DOSATTRIB_NAME, d->value, sizeof(d->value));
    if (d->result < 0 && !means_none(d->result))
        return;
    some = d->result >= 0 && dosattrib_decode(d->value, (size_t)d->result, &dos);
    set_dos(out, some ? &dos : NULL);
    cli_mutex_lock(&n->lock);
    if (d->stamp >= n->attr_changed) {
        set_dos(&n->attr, some ? &dos : NULL);
        n->meta_until = n->attr_until;
    }
    cli_mutex_unlock(&n->lock);
}

/* ---- storing ------------------------------------------------------------------------------------------ */

/** cli_dos_set() - see client.h */
int cli_dos_set(struct cli *c, struct cli_node *n, uint32_t attributes, uint64_t create_time)
{
    struct dosattrib d = {.attributes = attributes, .create_time = create_time};
    uint8_t value[DOSATTRIB_SIZE];
    struct cli_attr before;
    uint64_t until, soon;

    cli_mutex_lock(&n->lock);
    before = n->attr;
    until = n->has_attr ? n->attr_until : 0;
    cli_mutex_unlock(&n->lock);
    dosattrib_encode(&d, value);
    int e = cli_setxattr(c, n, DOSATTRIB_NAME, value, sizeof(value), 0);
    if (e < 0 || !until)
        return e;
    /* cli_setxattr() has made everything uncertain; but for times nothing is. */
    soon = cli_clock_ms() + STORED_HOLDS_MS;
    cli_mutex_lock(&n->lock);
    if (n->attr_until == 0 && before.ino == n->attr.ino && before.size == n->attr.size) {
        set_dos(&n->attr, &d);
        n->attr_until = n->mode_until = n->meta_until = until < soon ? until : soon;
    }
    cli_mutex_unlock(&n->lock);
    return 0;
}
