// SPDX-License-Identifier: BSD-3-Clause
/*
 * fsd_create.c - IRP_MJ_CREATE: a name is checked, the file system asked, the open entered into the table
 *
 * Theory of operation
 *
 *   As WinFsp src/sys/create.c: the name and the options are checked here, access by the DLL (access.c).
 *   Only when the file system has opened the file do share modes count, with the node of that name; an open
 *   that fails then is closed again, without a cleanup. An open that overwrites gets its overwrite callback
 *   as a second request, after the share check. When that fails the DLL has closed the file already.
 *
 *   A link stops the create: the path to go on with is handed to the I/O manager (iomgr.c).
 *
 * Ownership: *r gets the file, or a path to free().
 * Locks: volume.rename shared for the whole of it; node.gate while overwriting.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/wine/winfsp/contract.h"

static NTSTATUS check_options(struct volume *v, const struct create_args *a)
{
    bool directory = a->options & FILE_DIRECTORY_FILE;
    uint32_t bad;
    if (a->options & FILE_OPEN_BY_FILE_ID)
        return STATUS_NOT_IMPLEMENTED;
    if (a->extra_len) {
        if (!volume_flag(v, WINFSP_EXTENDED_ATTRIBUTES))
            return STATUS_EAS_NOT_SUPPORTED;
        if (a->options & FILE_NO_EA_KNOWLEDGE)
            return STATUS_ACCESS_DENIED;
        if (!ea_valid(a->extra, a->extra_len, &bad))
            return STATUS_EA_LIST_INCONSISTENT;
    }
    if (directory && (a->options & FILE_NON_DIRECTORY_FILE))
        return STATUS_INVALID_PARAMETER;
    if (directory && (a->attributes & FILE_ATTRIBUTE_TEMPORARY) &&
        (a->disposition == FILE_CREATE || a->disposition == FILE_OPEN_IF))
        return STATUS_INVALID_PARAMETER;
    return STATUS_SUCCESS;
}

/* What is to be opened. */
struct target {
    struct name path;   /* with the stream, if it is one */
    struct name stream; /* its name; empty for the file itself */
    bool trailing;      /* there was a backslash behind it */
    struct file *main;  /* of a stream: its file */
};

/* The whole path: what it is relative to, then the name, one leading backslash, none behind. */
static NTSTATUS whole_path(struct volume *v, const struct create_args *a, WCHAR *buf, unsigned cap,
                           struct target *t)
{
    bool streams = volume_flag(v, WINFSP_NAMED_STREAMS), typed = false;
    struct name *path = &t->path;
    struct name given = a->path;
    unsigned n = 0;
    if (given.len >= 2 && given.at[0] == '\\' && given.at[1] == '\\')
        given = (struct name){given.at + 1, given.len - 1};
    if (a->related) {
        if (!a->related->node)
            return STATUS_OBJECT_PATH_NOT_FOUND;
        if (given.len && given.at[0] == '\\')
            return STATUS_INVALID_PARAMETER;
        pthread_mutex_lock(&v->table);
        struct name dir = node_name(a->related->node);
        if (dir.len + 1 + given.len <= cap) {
            memcpy(buf, dir.at, dir.len * sizeof(WCHAR));
            n = dir.len;
            if (n > 1 && given.len && given.at[0] != ':')
                buf[n++] = '\\';
        }
        pthread_mutex_unlock(&v->table);
    } else if (given.len && given.at[0] != '\\') {
        return STATUS_OBJECT_NAME_INVALID;
    }
    if (n + given.len > cap)
        return STATUS_INVALID_PARAMETER;
    memcpy(buf + n, given.at, given.len * sizeof(WCHAR));
    *path = (struct name){buf, n + given.len};
    if (!name_path_valid(*path, v->params.max_component_length, streams ? &t->stream : NULL,
                         &typed))
        return STATUS_OBJECT_NAME_INVALID;
    if (t->stream.at) /* without the type, and "file::$DATA" is the file */
        path->len = (unsigned)(t->stream.at - buf) + t->stream.len - !t->stream.len;
    t->trailing = path->len > 1 && buf[path->len - 1] == '\\';
    path->len -= t->trailing;
    if ((typed || t->stream.len) && (a->options & FILE_DIRECTORY_FILE))
        return STATUS_NOT_A_DIRECTORY;
    if (t->stream.len && a->target_directory)
        return STATUS_OBJECT_NAME_INVALID;
    return STATUS_SUCCESS;
}

static NTSTATUS check_root(const struct create_args *a, struct name path)
{
    if (!name_is_root(path))
        return STATUS_SUCCESS;
    if (a->disposition == FILE_CREATE || a->disposition == FILE_OVERWRITE ||
        a->disposition == FILE_OVERWRITE_IF || a->disposition == FILE_SUPERSEDE ||
        a->target_directory)
        return STATUS_ACCESS_DENIED;
    return a->options & FILE_DELETE_ON_CLOSE ? STATUS_CANNOT_DELETE : STATUS_SUCCESS;
}

static uint32_t new_attributes(const struct create_args *a)
{
    uint32_t out = a->attributes & ~(uint32_t)(FILE_ATTRIBUTE_NORMAL | FILE_ATTRIBUTE_DIRECTORY |
                                               FILE_ATTRIBUTE_REPARSE_POINT);
    return out | (a->options & FILE_DIRECTORY_FILE ? FILE_ATTRIBUTE_DIRECTORY : 0);
}

static uint16_t append(struct winfsp_request *req, uint32_t *at, const void *data, uint32_t len)
{
    *at = (*at + 7) & ~7u;
    uint16_t here = (uint16_t)*at;
    memcpy(req->buffer + here, data, len);
    *at += len;
    return here;
}

static struct op *create_op(struct volume *v, const struct create_args *a, const struct target *t)
{
    struct name path = t->path;
    uint32_t at = (path.len + 1) * (uint32_t)sizeof(WCHAR);
    uint64_t unit = volume_unit(v);
    struct op *op = op_new(WINFSP_KIND_CREATE, at + 16u + a->sd_len + a->extra_len);
    if (!op)
        return NULL;
    struct winfsp_request *req = op->req;
    op_path(op, path);
    req->create.create_options = (a->options & 0xFFFFFFu) | a->disposition << 24;
    req->create.file_attributes = new_attributes(a);
    req->create.allocation_size = (a->allocation + unit - 1) / unit * unit;
    req->create.access_token = token_handle(a->pid, a->token);
    req->create.desired_access = a->access;
    req->create.share_access = a->share;
    req->create.flags = WINFSP_CREATE_USER_MODE;
    if (a->token->traverse)
        req->create.flags |= WINFSP_CREATE_HAS_TRAVERSE_PRIVILEGE;
    if (a->target_directory)
        req->create.flags |= WINFSP_CREATE_OPEN_TARGET_DIRECTORY;
    if (!volume_folds(v))
        req->create.flags |= WINFSP_CREATE_CASE_SENSITIVE;
    if (volume_flag(v, WINFSP_ALLOW_OPEN_IN_KERNEL_MODE))
        req->create.flags |= WINFSP_CREATE_ACCEPTS_SECURITY_DESCRIPTOR;
    if (t->stream.len) {
        req->create.named_stream = (uint16_t)((t->stream.at - path.at - 1) * sizeof(WCHAR));
        req->create.file_attributes = 0;
        req->create.flags &= ~WINFSP_CREATE_ACCEPTS_SECURITY_DESCRIPTOR;
    }
    if (t->trailing)
        req->create.flags |= WINFSP_CREATE_HAS_TRAILING_BACKSLASH;
    if (a->sd_len)
        req->create.security_descriptor =
            (struct winfsp_span){append(req, &at, a->sd, a->sd_len), (uint16_t)a->sd_len};
    if (a->extra_len)
        req->create.ea =
            (struct winfsp_span){append(req, &at, a->extra, a->extra_len), (uint16_t)a->extra_len};
    return op;
}

/* The file system resolved a link: where does the create go on? */
static NTSTATUS reparse(struct volume *v, const struct winfsp_response *rsp,
                        struct create_result *r)
{
    const struct winfsp_reparse_data *data = (const void *)rsp->buffer;
    struct name to;
    if (rsp->information == 1) { /* IO_REPARSE: a path, nothing around it */
        to = (struct name){(const WCHAR *)(const void *)rsp->buffer, UNITS(rsp->span.size)};
        r->reparse_outside = true;
    } else if (rsp->information == IO_REPARSE_TAG_SYMLINK) {
        if (reparse_valid(data, rsp->span.size)) {
            violation(v, "resolve_reparse_points returned invalid reparse data");
            return STATUS_REPARSE_POINT_NOT_RESOLVED;
        }
        to = (struct name){data->symlink.path + data->symlink.substitute_name_offset / 2,
                           UNITS(data->symlink.substitute_name_length)};
        r->reparse_outside = !(data->symlink.flags & SYMLINK_FLAG_RELATIVE);
    } else {
        return STATUS_IO_REPARSE_TAG_NOT_HANDLED; /* what the I/O manager makes of unknown tags */
    }
    if (!to.len || to.at[0] != '\\')
        return STATUS_REPARSE_POINT_NOT_RESOLVED;
    r->reparse_path = malloc(to.len * sizeof(WCHAR));
    memcpy(r->reparse_path, to.at, to.len * sizeof(WCHAR));
    r->reparse_len = to.len;
    return STATUS_REPARSE;
}

/* On a volume that folds case: the file system's spelling, or upper case. */
static NTSTATUS normalise(struct volume *v, struct node *n, const struct winfsp_response *rsp)
{
    struct name given = {(const WCHAR *)(const void *)rsp->buffer,
                         UNITS(rsp->opened.file_name.size)};
    char a[512], b[512];
    if (!volume_folds(v))
        return STATUS_SUCCESS;
    if (!given.len) {
        name_upcase(n->path, n->path_len);
        return STATUS_SUCCESS;
    }
    if (!name_equal(node_name(n), given, true)) {
        violation(v, "the normalised name of %s is %s, more than case apart",
                  name_print(node_name(n), a, sizeof a), name_print(given, b, sizeof b));
        return STATUS_OBJECT_NAME_INVALID;
    }
    memcpy(n->path, given.at, n->path_len * sizeof(WCHAR));
    return STATUS_SUCCESS;
}

static void post_close(struct volume *v, uint64_t context, uint64_t context2)
{
    struct op *op = op_new(WINFSP_KIND_CLOSE, 0);
    op->req->file.user_context = context;
    op->req->file.user_context2 = context2;
    op_post(v, op);
}

static NTSTATUS overwrite(struct file *f, const struct create_args *a,
                          const struct winfsp_response *opened)
{
    struct node *n = f->node;
    uint32_t attributes =
        a->attributes & ~(uint32_t)(FILE_ATTRIBUTE_NORMAL | FILE_ATTRIBUTE_DIRECTORY);
    uint32_t was = opened->opened.file_info.file_attributes;
    uint32_t keep = was & (FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM);
    uint64_t unit = volume_unit(f->vol);
    if (n->is_directory)
        attributes |= FILE_ATTRIBUTE_DIRECTORY;
    if (keep & ~attributes) { /* hidden and system files only by who says that they are */
        post_close(f->vol, n->user_context, f->user_context2);
        return STATUS_ACCESS_DENIED;
    }
    struct op *op = fsd_op(f, WINFSP_KIND_OVERWRITE, a->extra_len);
    struct req_overwrite *o = REQ_AS(req_overwrite, op->req);
    o->attributes = attributes;
    o->allocation = (a->allocation + unit - 1) / unit * unit;
    o->supersede = opened->information == FILE_SUPERSEDED;
    o->ea = (struct winfsp_span){0, (uint16_t)a->extra_len};
    memcpy(op->req->buffer, a->extra, a->extra_len);
    gate_exclusive(&n->gate);
    NTSTATUS status = op_call(f->vol, op, true);
    if (NT_SUCCESS(status)) {
        node_set_info(n, &op->rsp->file_info, true);
        pthread_mutex_lock(&n->lock);
        cache_drop(&n->ea);
        n->ea_changes++;
        pthread_mutex_unlock(&n->lock);
        if (!n->main)
            node_streams_pending(n);
        fsd_changed(n,
                    FILE_NOTIFY_CHANGE_LAST_WRITE | FILE_NOTIFY_CHANGE_ATTRIBUTES |
                        FILE_NOTIFY_CHANGE_SIZE,
                    FILE_ACTION_MODIFIED, false);
    }
    gate_release(&n->gate);
    op_free(op);
    return status;
}

static struct file *file_new(struct volume *v, const struct create_args *a,
                             const struct winfsp_response *rsp)
{
    struct file *f = calloc(1, sizeof *f);
    f->vol = v;
    f->access = rsp->opened.granted_access;
    f->share = a->share;
    f->options = a->options;
    f->pid = a->pid;
    f->token = a->token;
    f->user_context2 = rsp->opened.user_context2;
    f->delete_on_close = a->options & FILE_DELETE_ON_CLOSE;
    f->caches = v->params.file_info_timeout == WINFSP_FOREVER &&
                !(a->options & FILE_NO_INTERMEDIATE_BUFFERING) &&
                !(rsp->opened.flags & WINFSP_OPENED_DISABLE_CACHE);
    return f;
}

/* The driver takes what an open says of a file only when the file is not open yet. */
static void learn(struct node *n, const struct winfsp_response *rsp)
{
    struct volume *v = n->vol;
    bool created = rsp->information == FILE_CREATED;
    pthread_mutex_lock(&v->table);
    bool first = n->opens <= 1;
    pthread_mutex_unlock(&v->table);
    gate_exclusive(&n->gate);
    if (first) {
        struct winfsp_span sd = rsp->opened.security_descriptor;
        node_set_info(n, &rsp->opened.file_info, created);
        pthread_mutex_lock(&n->lock);
        if ((rsp->opened.flags & OPENED_HAS_DESCRIPTOR) &&
            sd_valid(rsp->buffer + sd.offset, sd.size))
            cache_store(v, &n->security, rsp->buffer + sd.offset, sd.size,
                        v->params.security_timeout, SECURITY_MAX);
        pthread_mutex_unlock(&n->lock);
    } else if (created) {
        pthread_mutex_lock(&n->lock);
        n->truncate_on_close = true;
        pthread_mutex_unlock(&n->lock);
    }
    if (created)
        fsd_changed(n, n->is_directory ? FILE_NOTIFY_CHANGE_DIR_NAME : FILE_NOTIFY_CHANGE_FILE_NAME,
                    FILE_ACTION_ADDED, true);
    gate_release(&n->gate);
}

static NTSTATUS enter(struct volume *v, const struct create_args *a, const struct target *t,
                      const struct winfsp_response *rsp, struct create_result *r)
{
    struct name path = t->path, parent = path, last;
    if (a->target_directory)
        name_split(path, &parent, &last);
    struct node *fresh = node_new(v, parent);
    uint64_t context = rsp->opened.user_context;
    uint32_t also = a->disposition == FILE_OVERWRITE || a->disposition == FILE_OVERWRITE_IF
                        ? FILE_WRITE_DATA
                    : a->disposition == FILE_SUPERSEDE ? DELETE
                                                       : 0;
    if (t->main) {
        pthread_mutex_lock(&v->table);
        fresh->main = t->main->node;
        fresh->main->refs++;
        pthread_mutex_unlock(&v->table);
    }
    fresh->user_context = context;
    fresh->index_number = rsp->opened.file_info.index_number;
    fresh->is_directory = rsp->opened.file_info.file_attributes & FILE_ATTRIBUTE_DIRECTORY;
    fresh->is_root = fresh->is_directory && name_is_root(parent);
    struct file *f = file_new(v, a, rsp);
    NTSTATUS status = normalise(v, fresh, rsp);
    if (!status)
        f->node = node_open(v, fresh, f, also, &status);
    else
        node_put(fresh);
    if (status) {
        post_close(v, context, f->user_context2);
        free(f);
        return status;
    }
    if (rsp->information == FILE_OVERWRITTEN || rsp->information == FILE_SUPERSEDED)
        status = overwrite(f, a, rsp);
    else
        learn(f->node, rsp);
    if (!NT_SUCCESS(status)) {
        node_close(f->node, f, true);
        free(f);
        return status;
    }
    f->main = t->main;
    r->file = f;
    r->information = rsp->information;
    return STATUS_SUCCESS;
}

static NTSTATUS create(struct volume *v, const struct create_args *a, struct create_result *r);

/* The file of a stream is opened along with it, and made if need be; it stays open as long (FspMainFileOpen). */
static NTSTATUS open_main(struct volume *v, const struct create_args *a, struct target *t)
{
    bool must_be_there = a->disposition == FILE_OPEN || a->disposition == FILE_OVERWRITE;
    struct create_args m = {
        .path = {t->path.at, (unsigned)(t->stream.at - t->path.at) - 1},
        .access = FILE_READ_ATTRIBUTES,
        .disposition = must_be_there ? FILE_OPEN : FILE_OPEN_IF,
        .options = FILE_OPEN_REPARSE_POINT,
        .attributes = a->attributes,
        .share = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
        .sd = a->sd,
        .sd_len = a->sd_len,
        .pid = a->pid,
        .token = a->token,
    };
    struct create_result r = {0};
    NTSTATUS status = create(v, &m, &r);
    free(r.reparse_path);
    t->main = r.file;
    return status == STATUS_REPARSE ? STATUS_SUCCESS
                                    : status; /* a link on the way: the stream meets it, too */
}

static NTSTATUS create_target(struct volume *v, const struct create_args *given, struct target *t,
                              struct create_result *r)
{
    struct create_args a = *given;
    if (t->stream.len) { /* neither can be set on a stream */
        a.sd_len = 0;
        a.extra_len = 0;
    }
    struct op *op = create_op(v, &a, t);
    if (!op)
        return STATUS_INVALID_PARAMETER;
    NTSTATUS status = op_call(v, op, false);
    if (status == STATUS_REPARSE)
        status = reparse(v, op->rsp, r);
    else if (NT_SUCCESS(status))
        status = enter(v, &a, t, op->rsp, r);
    op_free(op);
    return status;
}

static NTSTATUS create(struct volume *v, const struct create_args *a, struct create_result *r)
{
    WCHAR buf[REQUEST_MAX / sizeof(WCHAR)];
    struct target t = {0};
    NTSTATUS status = check_options(v, a);
    if (!status)
        status = whole_path(v, a, buf, ARRAY_SIZE(buf), &t);
    if (!status)
        status = check_root(a, t.path);
    if (!status && t.stream.len)
        status = open_main(v, a, &t);
    if (status)
        return status;
    status = create_target(v, a, &t, r);
    if (status && t.main) {
        fsd_cleanup(t.main);
        fsd_close(t.main);
    }
    return status;
}

NTSTATUS fsd_create(struct volume *v, const struct create_args *a, struct create_result *r)
{
    memset(r, 0, sizeof *r);
    if (!a->related && !a->path.len) { /* the volume itself: the file system is not asked */
        r->file = calloc(1, sizeof *r->file);
        *r->file = (struct file){.vol = v, .access = a->access, .token = a->token, .pid = a->pid};
        r->information = FILE_OPENED;
        return STATUS_SUCCESS;
    }
    gate_shared(&v->rename);
    NTSTATUS status = create(v, a, r);
    gate_release(&v->rename);
    return status;
}

struct op *fsd_op(struct file *f, uint32_t kind, size_t extra)
{
    struct op *op = op_new(kind, extra);
    if (op) {
        op->req->file.user_context = f->node ? f->node->user_context : 0;
        op->req->file.user_context2 = f->user_context2;
    }
    return op;
}

struct op *fsd_op_path(struct file *f, uint32_t kind, size_t extra, uint16_t *at)
{
    pthread_mutex_lock(&f->vol->table);
    size_t path = ((f->node->path_len + 1) * sizeof(WCHAR) + 7) & ~(size_t)7;
    struct op *op = fsd_op(f, kind, path + extra);
    if (op)
        op_path(op, node_name(f->node));
    pthread_mutex_unlock(&f->vol->table);
    if (at)
        *at = (uint16_t)path;
    return op;
}
