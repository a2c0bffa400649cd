// SPDX-License-Identifier: BSD-3-Clause
/*
 * config.h - which setting counts: command line, registry, one share's key
 */
#ifndef VIOFS_SERVICE_CONFIG_H
#define VIOFS_SERVICE_CONFIG_H

#include "service/win/settings.h"

/* One key of the registry that settings may be in, with what is below it. */
struct svc_source {
    const wchar_t *name; /* for messages */
    /** read() - a value of the key itself (share NULL) or of Shares\<share> */
    void (*read)(void *user, const wchar_t *share, const wchar_t *value, struct svc_value *out);
    void *user;
};

struct svc_config {
    const struct svc_source *sources; /* the first one that has a value decides */
    unsigned num_sources;
    struct svc_settings command_line;
    struct svc_settings plain; /* of the registry; empty when the command line has options */
    /** refused() - a registry value is not used, and why */
    void (*refused)(void *user, const wchar_t *text);
    void *user;
};

/**
 * svc_config_load() - read what counts for the whole process
 * @c: sources, command_line, refused and user are set; the rest is filled
 */
void svc_config_load(struct svc_config *c);

/** svc_config_process() - what counts for the whole process: command line over plain values */
void svc_config_process(const struct svc_config *c, struct svc_settings *out);

/**
 * svc_config_share() - what counts for one share: command line over Shares\<tag> over plain values
 * @own: what Shares\<tag> says
 */
void svc_config_share(const struct svc_config *c, const wchar_t *tag, struct svc_settings *out,
                      struct svc_settings *own);

/** svc_config_own_place() - is the mount point one that was given for this share alone? @own: its own settings */
bool svc_config_own_place(const struct svc_config *c, const struct svc_settings *own);

/** svc_tag_is_key() - can a registry key have this name? A tag with a backslash cannot be one. */
bool svc_tag_is_key(const wchar_t *tag);

#endif
