// SPDX-License-Identifier: BSD-3-Clause
/*
 * main.c - virtiofs.exe: what was asked for?
 *
 * Theory of operation
 *
 *   Started by the service control manager it is a service, and the manager hears what is wrong. Started by
 *   anyone else it reads its command line: help, a question, or mount until Ctrl-C. If the parent cannot be
 *   told, the service way is tried first.
 *
 * Exit codes are Win32 errors; docs/windows.md lists them.
 */
#include <stdbool.h>

#include "service/win/process.h"
#include "service/win/text.h"

int wmain(int argc, wchar_t **argv);

static DWORD run(int argc, const wchar_t *const *argv)
{
    static wchar_t usage[SVC_USAGE_UNITS]; /* too large for a stack */
    enum svc_parent parent = svc_parent();
    struct svc_options options;
    struct svc_error error;
    DWORD exit_code = ERROR_SUCCESS;

    if (parent != SVC_PARENT_OTHER && svc_scm_run(argc, argv, &exit_code))
        return exit_code;
    if (!svc_options_parse(&options, argc, argv, &error)) {
        HANDLE errors = GetStdHandle(STD_ERROR_HANDLE);

        svc_write(errors, L"virtiofs: ");
        svc_write(errors, error.text);
        svc_write(errors, L"\r\n");
        svc_write(errors, svc_usage_pointer);
        svc_write(errors, L"\r\n");
        return ERROR_INVALID_PARAMETER;
    }
    switch (options.command) {
    case SVC_HELP:
        svc_usage(usage);
        svc_write(GetStdHandle(STD_OUTPUT_HANDLE), usage);
        return ERROR_SUCCESS;
    case SVC_VERSION:
        svc_write(GetStdHandle(STD_OUTPUT_HANDLE), svc_version_text);
        return ERROR_SUCCESS;
    case SVC_LIST:
        return svc_list_run();
    case SVC_CHECK:
        return svc_check_run();
    case SVC_SHARE_ADD:
    case SVC_SHARE_REMOVE:
    case SVC_SHARE_LIST:
        return svc_share_command_run(&options);
    default:
        return svc_console_run(&options);
    }
}

int wmain(int argc, wchar_t **argv)
{
    SetErrorMode(SEM_FAILCRITICALERRORS); /* no boxes that nobody can click */
    SetDefaultDllDirectories(LOAD_LIBRARY_SEARCH_SYSTEM32);
    HeapSetInformation(NULL, HeapEnableTerminationOnCorruption, NULL, 0);
    return (int)run(argc, (const wchar_t *const *)argv);
}
