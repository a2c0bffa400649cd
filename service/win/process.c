// SPDX-License-Identifier: BSD-3-Clause
/*
 * process.c - one process that serves shares, as a service or in a console
 *
 * Theory of operation
 *
 *   What both ways of running have in common, in order: settings, debug log, WinFsp, the word to others
 *   (running.c), shares. A debug log that cannot be opened is a warning, a missing WinFsp is the end.
 *
 * Ownership: svc_process owns all it points to but the log.   Locks: none; one thread.
 */
#include "service/win/process.h"

#include "service/win/registry.h"
#include "service/win/text.h"

#define STOP_MS 30000u

static void on_refused(void *user, const wchar_t *text)
{
    svc_say(user, SVC_LOG_WARNING, L"%ls", text);
}

static void open_debug_log(struct svc_process *p)
{
    struct svc_settings set;
    wchar_t why[256];
    DWORD error;

    svc_config_process(&p->config, &set);
    if (svc_has(&set, SVC_DEBUG_LOG_FILE)) {
        error = svc_log_file(p->log, set.debug_log_file);
        if (error) {
            svc_error_text(error, why);
            svc_say(p->log, SVC_LOG_WARNING, L"the debug log %ls cannot be opened: %ls",
                    set.debug_log_file, why);
        }
    }
    svc_log_debug(p->log, set.debug_flags != 0);
}

static DWORD load_winfsp(struct svc_process *p)
{
    struct svc_error reason;
    DWORD error = svc_winfsp_load(&p->winfsp, &reason);

    if (error) {
        svc_say(p->log, SVC_LOG_ERROR, L"%ls", reason.text);
        return error;
    }
    svc_say(p->log, SVC_LOG_DEBUG, L"virtiofs.exe " VIOFS_VERSION L", WinFsp %u.%u from %ls",
            p->winfsp.version >> 16, p->winfsp.version & 0xFFFF, p->winfsp.path);
    if (svc_log_handle(p->log) && svc_log_handle(p->log) != INVALID_HANDLE_VALUE)
        p->winfsp.api.debug_log_handle(svc_log_handle(p->log));
    return ERROR_SUCCESS;
}

DWORD svc_process_start(struct svc_process *p, const struct svc_options *o, bool service)
{
    struct svc_shares_env env = {
        .config = &p->config, .api = &p->winfsp.api, .log = p->log, .give_up = p->give_up};
    DWORD error;

    p->config = (struct svc_config){.sources = svc_registry_sources,
                                    .num_sources = SVC_REGISTRY_KEYS,
                                    .command_line = o->settings,
                                    .refused = on_refused,
                                    .user = p->log};
    svc_config_load(&p->config);
    open_debug_log(p);
    error = load_winfsp(p);
    if (error)
        return error;
    p->running = svc_running_open(service);
    env.running = p->running;
    p->shares = svc_shares_start(&env);
    if (!p->shares) {
        svc_say(p->log, SVC_LOG_ERROR, L"memory is short");
        svc_running_close(p->running);
        return ERROR_NOT_ENOUGH_MEMORY;
    }
    return ERROR_SUCCESS;
}

DWORD svc_process_stop(struct svc_process *p, void (*waiting)(void *user), void *user)
{
    DWORD error = svc_shares_error(p->shares);

    p->hangs = !svc_shares_stop(p->shares, STOP_MS, waiting, user);
    if (!p->hangs)
        svc_running_close(p->running);
    return error;
}
