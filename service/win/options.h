// SPDX-License-Identifier: BSD-3-Clause
/*
 * options.h - the command line
 */
#ifndef VIOFS_SERVICE_OPTIONS_H
#define VIOFS_SERVICE_OPTIONS_H

#include "service/win/settings.h"

enum svc_command { SVC_SERVE, SVC_LIST, SVC_CHECK, SVC_HELP, SVC_VERSION };

struct svc_options {
    enum svc_command command;
    struct svc_settings settings; /* given is 0 when there was no option */
};

/**
 * svc_options_parse() - read a command line
 * @argc: number of words, the program's name first
 * @argv: the words
 *
 * Return: true; false with a sentence in `error` that names the option.
 */
bool svc_options_parse(struct svc_options *o, int argc, const wchar_t *const *argv,
                       struct svc_error *error);

extern const wchar_t svc_usage[];         /* several lines, with WinFsp's notice */
extern const wchar_t svc_version_text[];  /* likewise */
extern const wchar_t svc_usage_pointer[]; /* where to look after an error */

#endif
