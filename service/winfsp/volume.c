// SPDX-License-Identifier: BSD-3-Clause
/*
 * volume.c - life of a volume
 *
 * Theory of operation
 *
 *   A volume starts with its session and ends with it: connect, ask the root who owns it and whether it has
 *   extended attributes, tell WinFsp what it is (params.c), mount, serve. It stops the other way round:
 *   reads and writes that pend are ended first, because their buffers go with the dispatcher; then the
 *   dispatcher; then the handles that programs still have, for which WinFsp sends no close; then the
 *   session.
 *
 *   Trouble is noticed by svc_volume_tick(): the client says when the host has stopped responding. That the session is
 *   gone the client says itself, whoever notices. Each is told once. svc_volume_recover() starts a new session under the
 *   mounted volume; for ten seconds programs wait for it and hear nothing.
 *
 * Locks: none of its own for its life (one thread at a time, volume.h).
 */
#include "service/winfsp/svc.h"

#include <sddl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/meta/dosattrib.h"
#include "service/winfsp/mount.h"
#include "service/winfsp/params.h"

enum { LOG_UNITS = 512, STRICT_MS = 1000, PATIENCE_MS = 10000 };

/** svc_volume_log() - level: 0 error, 1 warning, 2 debug */
void svc_volume_log(struct svc_volume *v, int level, const WCHAR *format, ...)
{
    WCHAR text[LOG_UNITS];
    va_list args;

    if (!v->options.log)
        return;
    va_start(args, format);
    vswprintf(text, LOG_UNITS, format, args);
    va_end(args);
    text[LOG_UNITS - 1] = 0;
    v->options.log(v->options.user, level, text);
}

/* The client's lines are UTF-8. */
static void log_of_client(void *user, int level, const char *text)
{
    struct svc_volume *v = user;
    WCHAR wide[LOG_UNITS];
    int n = MultiByteToWideChar(CP_UTF8, 0, text, -1, wide, LOG_UNITS);

    if (n == 0) {
        wide[LOG_UNITS - 1] = 0; /* longer than the buffer: what fits */
        if (GetLastError() != ERROR_INSUFFICIENT_BUFFER)
            return;
    }
    svc_volume_log(v, level, L"%ls", wide);
}

static void tell(struct svc_volume *v, enum svc_volume_event event)
{
    if (v->options.event)
        v->options.event(v->options.user, event);
}

static void session_lost(void *user)
{
    struct svc_volume *v = user;

    InterlockedExchange(&v->session_lost, 1);
    tell(v, SVC_VOLUME_SESSION_LOST);
}

/* ---- start ------------------------------------------------------------------------------------------ */

/* Copies of the strings: the caller's may go. */
static NTSTATUS copy_options(struct svc_volume *v, const struct svc_volume_options *options)
{
    const WCHAR **string[] = {&v->options.mount_point, &v->options.file_system_name,
                              &v->options.label, &v->options.security};

    v->options = *options;
    for (unsigned i = 0; i < 4; i++) {
        if (!*string[i])
            continue;
        v->strings[i] = _wcsdup(*string[i]);
        *string[i] = v->strings[i];
        if (!v->strings[i])
            return STATUS_INSUFFICIENT_RESOURCES;
    }
    return STATUS_SUCCESS;
}

static NTSTATUS parse_security(struct svc_volume *v)
{
    ULONG size = 0;

    if (!v->options.security || v->options.security[0] == 0)
        return STATUS_SUCCESS;
    if (!ConvertStringSecurityDescriptorToSecurityDescriptorW(v->options.security, SDDL_REVISION_1,
                                                              &v->security, &size))
        return STATUS_INVALID_SECURITY_DESCR;
    v->security_size = size;
    return STATUS_SUCCESS;
}

static void read_tag(struct svc_volume *v, struct cli_transport *transport)
{
    const WCHAR *label = v->options.label;
    struct cli_limits limits;

    if (transport->ops->limits(transport, &limits) == 0) {
        v->side_by_side = limits.side_by_side;
        if (MultiByteToWideChar(CP_UTF8, 0, limits.tag, -1, v->tag, ARRAYSIZE(v->tag)) == 0)
            v->tag[0] = 0;
    }
    lstrcpynW(v->label, label && label[0] ? label : v->tag, WINFSP_LABEL_UNITS);
}

/* Are extended attributes kept at the root? Return: 0 or -errno. */
static int ask_for_eas(struct svc_volume *v, struct cli_node *root)
{
    uint8_t value[DOSATTRIB_MAX];
    int r = cli_listxattr(v->client, root, NULL, 0);

    if (r < 0)
        return r;
    /* Some file systems keep names of other kinds than user.*, and have lists. */
    r = cli_getxattr(v->client, root, DOSATTRIB_NAME, value, sizeof(value));
    return r == -LE_EOPNOTSUPP || r == -LE_ENOSYS ? r : 0;
}

static NTSTATUS start_session(struct svc_volume *v, struct cli_transport *transport)
{
    uint32_t stall = v->options.stall_seconds ? v->options.stall_seconds : SVC_STALL_SECONDS;
    struct cli_options o = {.case_insensitive = v->options.case_insensitive,
                            .read_only = v->options.read_only,
                            .want_btime = true,
                            .want_meta = true,
                            .want_dos = !v->options.mode_attributes,
                            .want_feed = !v->options.no_notify,
                            .longest_ms = v->options.cache == SVC_CACHE_STRICT ? STRICT_MS : 0,
                            .changed = svc_changed,
                            .patience_ms = PATIENCE_MS,
                            .lost = session_lost,
                            .stall_ms = stall > UINT32_MAX / 1000 ? UINT32_MAX : stall * 1000,
                            .log = log_of_client,
                            .log_user = v};
    struct cli_node *root;
    NTSTATUS status;
    int error = cli_open(&v->client, transport, &o);

    if (error == -LE_ENOTCONN || error == -LE_ETIMEDOUT)
        return STATUS_DEVICE_NOT_CONNECTED;
    if (error)
        return svc_status(error, SVC_ABOUT_HANDLE);
    status = svc_owner_find(v);
    root = cli_root(v->client);
    v->eas_error = ask_for_eas(v, root);
    v->has_eas = v->eas_error == 0;
    v->streams_on = v->has_eas && !v->options.no_streams;
    v->rules = (struct svc_attribute_rules){.stored = v->has_eas && !v->options.mode_attributes,
                                            .read_only = v->options.read_only_attribute};
    if (!v->has_eas && !v->options.mode_attributes)
        svc_volume_log(v, 2,
                       L"the host keeps no extended attributes here: attributes are shown as "
                       L"mode bits say, changes of others are dropped, and there are no streams");
    if (!v->has_eas && v->options.acl == SVC_ACL_STORED)
        svc_volume_log(v, 1,
                       L"the host keeps no extended attributes here: Acl=stored has nowhere to "
                       L"store, and permissions are shown as mode bits say");
    svc_acl_try(v, root);
    cli_node_put(v->client, root);
    return status;
}

static const struct winfsp_interface callbacks = {
    .get_volume_info = svc_cb_get_volume_info,
    .set_volume_label = svc_cb_set_volume_label,
    .get_security_by_name = svc_cb_get_security_by_name,
    .create_ex = svc_cb_create_ex,
    .open = svc_cb_open,
    .overwrite_ex = svc_cb_overwrite_ex,
    .cleanup = svc_cb_cleanup,
    .close = svc_cb_close,
    .read = svc_cb_read,
    .write = svc_cb_write,
    .flush = svc_cb_flush,
    .get_file_info = svc_cb_get_file_info,
    .set_basic_info = svc_cb_set_basic_info,
    .set_file_size = svc_cb_set_file_size,
    .set_delete = svc_cb_set_delete,
    .rename = svc_cb_rename,
    .get_security = svc_cb_get_security,
    .set_security = svc_cb_set_security,
    .read_directory = svc_cb_read_directory,
    .resolve_reparse_points = svc_cb_resolve_reparse_points,
    .get_reparse_point = svc_cb_get_reparse_point,
    .set_reparse_point = svc_cb_set_reparse_point,
    .delete_reparse_point = svc_cb_delete_reparse_point,
    .get_stream_info = svc_cb_get_stream_info,
    .get_dir_info_by_name = svc_cb_get_dir_info_by_name,
    .get_ea = svc_cb_get_ea,
    .set_ea = svc_cb_set_ea,
    .dispatcher_stopped = svc_cb_dispatcher_stopped,
};

static NTSTATUS mount(struct svc_volume *v)
{
    struct winfsp_volume_params params;
    WCHAR device[] = WINFSP_DISK_DEVICE;
    NTSTATUS status = svc_params(v, &params);

    if (!NT_SUCCESS(status))
        return status;
    status = v->api->create_fs(device, &params, &callbacks, &v->fs);
    if (!NT_SUCCESS(status)) {
        v->fs = NULL;
        return status;
    }
    v->fs->user_context = v;
    v->fs->enter_operation = svc_guard_enter;
    v->fs->leave_operation = svc_guard_leave;
    v->api->set_debug_log(v->fs, v->options.debug_flags);
    status = svc_mount(v->api, v->fs, v->options.mount_point);
    return NT_SUCCESS(status) ? v->api->start_dispatcher(
                                    v->fs, v->options.threads ? v->options.threads : SVC_THREADS)
                              : status;
}

/** svc_volume_start() - see volume.h */
NTSTATUS svc_volume_start(struct svc_volume **out, const struct winfsp_api *api,
                          struct cli_transport *transport, const struct svc_volume_options *options)
{
    struct svc_volume *v = calloc(1, sizeof(*v));
    NTSTATUS status;

    if (!v)
        return STATUS_INSUFFICIENT_RESOURCES;
    v->api = api;
    svc_notify_init(v);
    v->scratch_slot = TLS_OUT_OF_INDEXES;
    status = copy_options(v, options);
    if (NT_SUCCESS(status))
        status = parse_security(v);
    if (NT_SUCCESS(status) && (svc_guard_init(v) < 0 || svc_acl_init(v) < 0))
        status = STATUS_INSUFFICIENT_RESOURCES;
    if (NT_SUCCESS(status)) {
        read_tag(v, transport);
        status = start_session(v, transport);
    }
    if (NT_SUCCESS(status))
        status = mount(v);
    if (NT_SUCCESS(status))
        status = svc_notify_start(v);
    if (!NT_SUCCESS(status)) {
        return svc_volume_stop(v) ? status : STATUS_IO_TIMEOUT;
    }
    *out = v;
    return STATUS_SUCCESS;
}

/* ---- stop ------------------------------------------------------------------------------------------- */

/** svc_volume_hurry() - see volume.h */
void svc_volume_hurry(struct svc_volume *v)
{
    InterlockedExchange(&v->stopping, 1);
    if (v->client)
        cli_hurry(v->client);
}

/** svc_volume_stop() - see volume.h; also what is left of a start that failed */
bool svc_volume_stop(struct svc_volume *v)
{
    svc_volume_hurry(v);
    if (v->fs) {
        svc_io_close(v);
        svc_notify_stop(v);
        v->api->stop_dispatcher(v->fs);
        v->api->remove_mount_point(v->fs);
        v->api->delete_fs(v->fs);
    }
    svc_guard_free(v);
    svc_acl_free(v);
    while (v->opens) /* WinFsp closes nothing when it is told to stop */
        svc_open_free(v->opens);
    if (v->client && cli_close(v->client) < 0)
        return false; /* its answers, should they come, log through the volume */
    svc_notify_free(v);
    if (v->security)
        LocalFree(v->security);
    for (unsigned i = 0; i < ARRAYSIZE(v->strings); i++)
        free(v->strings[i]);
    free(v);
    return true;
}

/** svc_cb_dispatcher_stopped() - WinFsp's driver went away, or we stopped it */
VOID WINAPI svc_cb_dispatcher_stopped(struct winfsp_file_system *fs, BOOLEAN normally)
{
    struct svc_volume *v = svc_volume_of(fs);

    if (v->stopping)
        return;
    svc_volume_log(v, normally ? 1 : 0, L"WinFsp has stopped the volume");
    if (v->options.event)
        v->options.event(v->options.user, SVC_VOLUME_STOPPED);
}

/* ---- in between ------------------------------------------------------------------------------------- */

/** svc_volume_recover() - see volume.h */
NTSTATUS svc_volume_recover(struct svc_volume *v)
{
    int error = cli_recover(v->client);

    if (error)
        return svc_status(error, SVC_ABOUT_HANDLE);
    InterlockedExchange(&v->session_lost, 0);
    return svc_owner_find(v);
}

/* What is in force by now. */
static void find_modes(struct svc_volume *v, const struct cli_session *session,
                       struct svc_modes *out)
{
    const struct svc_volume_options *o = &v->options;

    memset(out, 0, sizeof(*out)); /* it is compared whole */
    out->mode_attributes = o->mode_attributes;
    out->no_streams = o->no_streams;
    out->no_notify = o->no_notify;
    out->acl_in_security = o->acl_in_security;
    out->fixed_security = v->security != NULL;
    out->read_only = o->read_only_attribute;
    out->cache = o->cache;
    out->acl = o->acl;
    out->poll_seconds = o->poll_seconds;
    out->eas_error = v->eas_error;
    out->dos_error = v->said_unstored;
    out->streams_error = v->said_no_streams;
    out->acl_error = v->said_no_acl;
    out->ea_sizes = session->meta;
    out->extension = session->extension;
    out->side_by_side = v->side_by_side;
    out->told = session->told;
    out->was_told = session->feed && !session->told;
    out->watches = session->watches;
    out->partial = session->partial;
}

/* Whoever lists shares shall know. */
static void look_at_modes(struct svc_volume *v, const struct cli_session *session)
{
    struct svc_modes now;

    find_modes(v, session, &now);
    /* Both were cleared, gaps and all. NOLINTNEXTLINE(bugprone-suspicious-memory-comparison,cert-*) */
    if (memcmp(&now, &v->said_modes, sizeof(now)) == 0)
        return;
    memcpy(&v->said_modes, &now, sizeof(now));
    tell(v, SVC_VOLUME_MODES);
}

/** svc_volume_tick() - see volume.h */
void svc_volume_tick(struct svc_volume *v)
{
    struct cli_session session;
    bool responding;

    cli_tick(v->client);
    responding = cli_responding(v->client);
    if (responding == v->said_stalled) {
        v->said_stalled = !responding;
        tell(v, responding ? SVC_VOLUME_RESPONDING : SVC_VOLUME_STALLED);
    }
    cli_session_get(v->client, &session);
    if (!responding || v->session_lost)
        return;
    look_at_modes(v, &session);
    if (session.told)
        svc_watch_opens(v);
    if (v->options.poll_seconds == 0 ||
        GetTickCount64() - v->polled_ms < (uint64_t)v->options.poll_seconds * 1000)
        return;
    v->polled_ms = GetTickCount64();
    svc_poll(v, session.told);
}

/** svc_volume_open_files() - see volume.h */
uint32_t svc_volume_open_files(struct svc_volume *v)
{
    uint32_t count = 0;

    AcquireSRWLockShared(&v->opens_lock);
    for (const struct svc_open *o = v->opens; o; o = o->next)
        count++;
    ReleaseSRWLockShared(&v->opens_lock);
    return count;
}

/** svc_volume_state_get() - see volume.h */
void svc_volume_state_get(struct svc_volume *v, struct svc_volume_state *out)
{
    struct cli_session session;

    memset(out, 0, sizeof(*out));
    lstrcpynW(out->tag, v->tag, ARRAYSIZE(out->tag));
    if (v->fs->mount_point)
        lstrcpynW(out->mount_point, v->fs->mount_point, ARRAYSIZE(out->mount_point));
    out->mounted = v->fs->mount_point != NULL;
    out->responding = cli_responding(v->client);
    cli_session_get(v->client, &session);
    find_modes(v, &session, &out->modes);
    cli_counters_get(v->client, &out->counters);
}
