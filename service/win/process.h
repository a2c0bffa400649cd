// SPDX-License-Identifier: BSD-3-Clause
/*
 * process.h - one process that serves shares, as a service or in a console
 */
#ifndef VIOFS_SERVICE_PROCESS_H
#define VIOFS_SERVICE_PROCESS_H

#include "service/win/config.h"
#include "service/win/log.h"
#include "service/win/options.h"
#include "service/win/shares.h"
#include "service/win/winfsp_dll.h"

struct svc_process {
    struct svc_log *log;
    struct svc_config config;
    struct svc_winfsp winfsp;
    struct svc_running *running;
    struct svc_shares *shares;
    HANDLE give_up; /* console mode: nothing more can be done; NULL in a service */
    bool hangs;     /* a share did not end: its thread still uses the log and all else */
};

/**
 * svc_process_start() - read settings, open the debug log, load WinFsp, begin to mount what is there
 * @p:      zeroed, but for log and give_up
 * @o:      the command line
 *
 * Return: ERROR_SUCCESS, though nothing may be mounted yet; else what to exit with, after it was logged.
 */
DWORD svc_process_start(struct svc_process *p, const struct svc_options *o, bool service);

/**
 * svc_process_stop() - unmount
 * @waiting: as in svc_shares_stop()
 *
 * Return: why nothing was ever mounted; ERROR_SUCCESS if something was.
 */
DWORD svc_process_stop(struct svc_process *p, void (*waiting)(void *user), void *user);

/* ---- ways to run ---- */

enum svc_parent { SVC_PARENT_SCM, SVC_PARENT_OTHER, SVC_PARENT_UNKNOWN };

/** svc_parent() - was this process started by the service control manager? */
enum svc_parent svc_parent(void);

/**
 * svc_scm_run() - be a service until it is stopped
 * @argc, @argv: the process' command line, for a ServiceMain that gets no arguments of its own
 *
 * Return: false if nobody expects a service here; then @exit_code is untouched.
 */
bool svc_scm_run(int argc, const wchar_t *const *argv, DWORD *exit_code);

/** svc_console_run() - mount until Ctrl-C, Ctrl-Break or the end of the session. Return: exit code. */
DWORD svc_console_run(const struct svc_options *o);

DWORD svc_list_run(void);  /* `virtiofs.exe list`; return: exit code */
DWORD svc_check_run(void); /* `virtiofs.exe check`; likewise */

/** svc_share_command_run() - `virtiofs.exe share add|remove|list`. Return: exit code. */
DWORD svc_share_command_run(const struct svc_options *o);

#endif
