// SPDX-License-Identifier: BSD-3-Clause
/*
 * fsd_dir.c - IRP_MN_QUERY_DIRECTORY
 *
 * Theory of operation
 *
 *   WinFsp src/sys/dirctl.c. The file system gives entries in no class, from a marker on: the name of the last
 *   entry the program has seen, or, with DirectoryMarkerAsNextOffset, that entry's next_offset. The driver
 *   matches the pattern, makes the class, and asks again while nothing matched. What was read from the start
 *   without a pattern is cached, at most DIR_BUFFER_MAX bytes of it; later calls are served from there until it
 *   ends. A pattern goes to the file system only when it asked for patterns, or is a plain name and it asked
 *   for those (get_dir_info_by_name).
 *
 *   How much is asked for depends on the program's room and on what can be cached; see length_to_ask().
 *
 * Ownership: the pattern and marker belong to the file.   Locks: node.gate exclusive for the whole call.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/wine/winfsp/contract.h"

enum {
    CLASS_DIRECTORY = 1,
    CLASS_FULL = 2,
    CLASS_BOTH = 3,
    CLASS_NAMES = 12,
    CLASS_ID_BOTH = 37,
    CLASS_ID_FULL = 38,
};

static uint32_t base_length(uint32_t class)
{
    switch (class) {
    case CLASS_DIRECTORY:
        return 64;
    case CLASS_FULL:
        return 68;
    case CLASS_BOTH:
        return 94;
    case CLASS_NAMES:
        return 12;
    case CLASS_ID_BOTH:
        return 104;
    case CLASS_ID_FULL:
        return 80;
    default:
        return 0;
    }
}

static void put32(uint8_t *out, uint32_t at, uint32_t value)
{
    memcpy(out + at, &value, 4);
}
static void put64(uint8_t *out, uint32_t at, uint64_t value)
{
    memcpy(out + at, &value, 8);
}

/* MS-FSCC 2.4.10, 2.4.14, 2.4.8, 2.4.28, 2.4.17, 2.4.18: all begin alike but the names' class. */
static void fill_entry(uint8_t *out, uint32_t class, const struct file *f,
                       const struct winfsp_dir_info *d, uint32_t base, uint32_t copy)
{
    const struct winfsp_file_info *i = &d->file_info;
    uint32_t bytes = d->size - (uint32_t)sizeof *d;
    uint32_t ea =
        volume_flag(f->vol, WINFSP_EXTENDED_ATTRIBUTES) && i->ea_size ? i->ea_size + 4 : 0;
    memset(out, 0, base);
    memcpy(out + base, d->name, copy);
    if (class == CLASS_NAMES) {
        put32(out, 8, bytes);
        return;
    }
    put64(out, 8, i->creation_time);
    put64(out, 16, i->last_access_time);
    put64(out, 24, i->last_write_time);
    put64(out, 32, i->change_time);
    put64(out, 40, i->file_size);
    put64(out, 48, i->allocation_size);
    put32(out, 56, i->file_attributes ? i->file_attributes : FILE_ATTRIBUTE_NORMAL);
    put32(out, 60, bytes);
    if (class != CLASS_DIRECTORY)
        put32(out, 64, i->file_attributes & FILE_ATTRIBUTE_REPARSE_POINT ? i->reparse_tag : ea);
    if (class == CLASS_ID_BOTH)
        put64(out, 96, i->index_number);
    if (class == CLASS_ID_FULL)
        put64(out, 72, i->index_number);
}

struct copying {
    const uint8_t *from; /* what the file system gave */
    uint32_t from_len, at;
    uint8_t *out;
    uint32_t cap, len, last, next; /* bytes out, start of the last entry, of the next one */
    bool find_marker, single;
};

static void remember(struct file *f, const struct winfsp_dir_info *d)
{
    unsigned units = UNITS(d->size - sizeof *d);
    const void *from = d->name;
    if (volume_flag(f->vol, WINFSP_DIRECTORY_MARKER_AS_NEXT_OFFSET)) {
        units = 4;
        from = &d->next_offset;
    }
    WCHAR *marker = malloc((units + 1) * sizeof(WCHAR));
    memcpy(marker, from, units * sizeof(WCHAR));
    marker[units] = 0;
    free(f->marker);
    f->marker = marker;
    f->marker_len = units;
}

static bool is_marker(const struct file *f, const struct winfsp_dir_info *d)
{
    if (volume_flag(f->vol, WINFSP_DIRECTORY_MARKER_AS_NEXT_OFFSET))
        return !memcmp(&d->next_offset, f->marker, 8);
    return name_equal((struct name){d->name, UNITS(d->size - sizeof *d)},
                      (struct name){f->marker, f->marker_len}, volume_folds(f->vol));
}

/* STATUS_SUCCESS with c->len of 0: nothing matched, ask for more. */
static NTSTATUS copy_entries(struct file *f, uint32_t class, struct copying *c)
{
    uint32_t base = base_length(class);
    struct name pattern = {f->pattern, f->pattern_len};
    while (c->at + sizeof(uint16_t) <= c->from_len) {
        const struct winfsp_dir_info *d = (const void *)(c->from + c->at);
        if (d->size < sizeof *d) {
            if (c->len)
                return STATUS_SUCCESS;
            return f->has_such_file ? STATUS_NO_MORE_FILES : STATUS_NO_SUCH_FILE;
        }
        uint32_t bytes = d->size - (uint32_t)sizeof *d, step = (d->size + 7u) & ~7u;
        if (c->find_marker) {
            c->find_marker = !is_marker(f, d);
            c->at += step;
            continue;
        }
        if (!f->pattern_all &&
            !name_matches(pattern, (struct name){d->name, UNITS(bytes)}, volume_folds(f->vol))) {
            remember(f, d);
            c->at += step;
            continue;
        }
        uint32_t copy = bytes;
        NTSTATUS status = STATUS_SUCCESS;
        if (c->next + base + bytes > c->cap) {
            if (c->len)
                return STATUS_SUCCESS;
            copy = c->cap - base;
            status = STATUS_BUFFER_OVERFLOW;
        }
        if (c->len)
            put32(c->out, c->last, c->next - c->last);
        fill_entry(c->out + c->next, class, f, d, base, copy);
        c->last = c->next;
        c->len = c->next + base + copy;
        c->next = (c->len + 7u) & ~7u;
        remember(f, d);
        f->has_such_file = true;
        c->at += step;
        if (status || c->single)
            return status;
    }
    return STATUS_SUCCESS;
}

/*
 * Room for at least one entry of the longest name; for what the program can take, at 24 units a name; or all
 * that a cache item holds, when the answer is cached, or has to be searched.
 */
static uint32_t length_to_ask(const struct file *f, uint32_t class, uint32_t cap, bool by_name,
                              bool pass_pattern)
{
    const struct winfsp_volume_params *p = &f->vol->params;
    uint32_t entry = sizeof(struct winfsp_dir_info);
    uint32_t least = (entry + p->max_component_length * (uint32_t)sizeof(WCHAR) + 7u) & ~7u;
    bool cacheable = p->dir_info_timeout && !f->marker;
    if (by_name)
        return least;
    if (!pass_pattern && (cacheable || !f->pattern_all))
        return DIR_BUFFER_MAX;
    uint64_t want = ((uint64_t)cap * (entry + 48) / (base_length(class) + 48) + 7u) & ~7ull;
    return want < least ? least : want > DIR_BUFFER_MAX ? DIR_BUFFER_MAX : (uint32_t)want;
}

static struct op *dir_op(struct file *f, uint32_t class, uint32_t cap)
{
    bool name = volume_flag(f->vol, WINFSP_PASS_QUERY_DIRECTORY_FILE_NAME) &&
                !name_has_wildcards((struct name){f->pattern, f->pattern_len});
    bool pass =
        name || (volume_flag(f->vol, WINFSP_PASS_QUERY_DIRECTORY_PATTERN) && !f->pattern_all);
    uint16_t pattern_bytes = pass ? (uint16_t)((f->pattern_len + 1) * sizeof(WCHAR)) : 0;
    uint16_t marker_bytes = f->marker ? (uint16_t)((f->marker_len + 1) * sizeof(WCHAR)) : 0;
    struct op *op = fsd_op(f, WINFSP_KIND_QUERY_DIRECTORY, pattern_bytes + marker_bytes);
    struct winfsp_request *req = op->req;
    req->file.query_directory.length = length_to_ask(f, class, cap, name, pass);
    req->file.query_directory.flags = (volume_folds(f->vol) ? 0u : 1u) | (name ? 2u : 0u);
    if (pass) {
        memcpy(req->buffer, f->pattern, pattern_bytes);
        req->file.query_directory.pattern = (struct winfsp_span){0, pattern_bytes};
    }
    if (f->marker) {
        memcpy(req->buffer + pattern_bytes, f->marker, marker_bytes);
        req->file.query_directory.marker = (struct winfsp_span){pattern_bytes, marker_bytes};
    }
    return op;
}

static void store(struct file *f, const struct guarded *g, uint32_t got, uint32_t change)
{
    struct node *n = f->node;
    pthread_mutex_lock(&n->lock);
    if (n->dir.change == change)
        cache_store(f->vol, &n->dir, g->at, got, f->vol->params.dir_info_timeout, DIR_BUFFER_MAX);
    f->dir_change = n->dir.change;
    pthread_mutex_unlock(&n->lock);
}

/* Asks the file system, as often as nothing matches. */
static NTSTATUS ask(struct file *f, uint32_t class, struct copying *c)
{
    struct node *n = f->node;
    NTSTATUS status;
    do {
        struct op *op = dir_op(f, class, c->cap);
        struct guarded g = guarded_new(op->req->file.query_directory.length);
        bool from_start = !f->marker && !op->req->file.query_directory.pattern.size;
        op->req->file.query_directory.address = (uintptr_t)g.at;
        pthread_mutex_lock(&n->lock);
        uint32_t change = n->dir.change;
        pthread_mutex_unlock(&n->lock);
        status = op_call(f->vol, op, false);
        guarded_check(f->vol, "read_directory", g);
        uint32_t got = op->rsp->information;
        op_free(op);
        if (NT_SUCCESS(status)) {
            contract_dir(f->vol, g.at, got, (uint32_t)g.len);
            got = got > g.len ? (uint32_t)g.len : got;
            c->from = g.at;
            c->from_len = got;
            c->at = 0;
            c->find_marker = false;
            if (!got)
                status = f->has_such_file ? STATUS_NO_MORE_FILES : STATUS_NO_SUCH_FILE;
            else
                status = copy_entries(f, class, c);
            if (from_start && got) {
                store(f, &g, got, change);
                f->dir_hint = c->at;
            }
        }
        guarded_free(g);
    } while (status == STATUS_SUCCESS && !c->len);
    return status;
}

/* The part of the listing that is cached; false: it ends here, or is stale. */
static bool from_cache(struct file *f, uint32_t class, bool restart, struct copying *c,
                       NTSTATUS *status)
{
    struct node *n = f->node;
    pthread_mutex_lock(&n->lock);
    if (!cache_alive(f->vol, &n->dir) || !n->dir.data) {
        pthread_mutex_unlock(&n->lock);
        return false;
    }
    uint32_t len = n->dir.len, change = n->dir.change;
    uint8_t *copy = malloc(len);
    memcpy(copy, n->dir.data, len);
    pthread_mutex_unlock(&n->lock);
    if (restart || f->dir_change != change)
        f->dir_hint = 0;
    f->dir_change = change;
    c->from = copy;
    c->from_len = len;
    c->at = f->dir_hint;
    c->find_marker = !f->dir_hint && f->marker;
    *status = copy_entries(f, class, c);
    f->dir_hint = c->at;
    free(copy);
    return !NT_SUCCESS(*status) || c->len;
}

static void set_pattern(struct file *f, struct name pattern)
{
    static const WCHAR star = '*';
    f->pattern_all = !pattern.len || (pattern.len == 1 && pattern.at[0] == '*');
    if (f->pattern_all)
        pattern = (struct name){&star, 1};
    free(f->pattern);
    f->pattern = malloc((pattern.len + 1) * sizeof(WCHAR));
    memcpy(f->pattern, pattern.at, pattern.len * sizeof(WCHAR));
    f->pattern[pattern.len] = 0;
    f->pattern_len = pattern.len;
    if (volume_folds(f->vol))
        name_upcase(f->pattern, f->pattern_len);
}

static NTSTATUS query(struct file *f, uint32_t class, struct name pattern, bool restart,
                      struct copying *c)
{
    NTSTATUS status;
    if (!f->pattern || (restart && pattern.len))
        set_pattern(f, pattern);
    else if (!restart)
        pattern.len = 0;
    if (restart || pattern.len) {
        free(f->marker);
        f->marker = NULL;
        f->has_such_file = false;
    }
    if (!name_has_wildcards((struct name){f->pattern, f->pattern_len}) && f->has_such_file)
        return STATUS_NO_MORE_FILES;
    if (from_cache(f, class, restart, c, &status))
        return status;
    return ask(f, class, c);
}

NTSTATUS fsd_query_dir(struct file *f, uint32_t class, struct name pattern, uint32_t flags,
                       void *buf, uint32_t cap, uint32_t *len)
{
    struct node *n = f->node;
    struct copying c = {.out = buf, .cap = cap, .single = flags & DOOR_DIR_SINGLE};
    *len = 0;
    if (!n)
        return STATUS_INVALID_DEVICE_REQUEST;
    if (!n->is_directory || !name_pattern_valid(pattern, f->vol->params.max_component_length))
        return STATUS_INVALID_PARAMETER;
    if (!base_length(class))
        return STATUS_INVALID_INFO_CLASS;
    if (base_length(class) >= cap)
        return STATUS_BUFFER_TOO_SMALL;
    gate_exclusive(&n->gate);
    NTSTATUS status = query(f, class, pattern, flags & DOOR_DIR_RESTART, &c);
    gate_release(&n->gate);
    *len = c.len;
    return status;
}
