// SPDX-License-Identifier: BSD-3-Clause
/*
 * conf_help.c - what the daemon says about itself: --help, --version, --print-capabilities
 *
 * --help is printed from the option table, one line a row, so it cannot name an option that does not
 * exist. libvirt and QEMU's vhost-user.json convention decide what --print-capabilities prints: a JSON
 * object and nothing else on stdout, exit status 0, no privileges needed.
 *
 * Ownership: nothing.   Locks: none.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conf_table.h"

#define HELP_COLUMN 36 /* where the explanations start; 80 columns in all */

static const char *const headings[] = {
    [GROUP_SHARE] = "What to share", [GROUP_SOCKET] = "Where the guest connects",
    [GROUP_CACHE] = "Caching",       [GROUP_ATTR] = "Attributes and locks",
    [GROUP_LIMIT] = "Resources",     [GROUP_SANDBOX] = "Confinement and ids",
    [GROUP_RUN] = "Running",
};

/* "--cache=auto|always", "--posix-acl[=never|auto|always]", "-d, --debug", "--tag=TAG" */
static int option_usage(const struct conf_option *o, char *out, size_t size)
{
    char value[128] = "";
    size_t n = 0;

    if (o->arg)
        snprintf(value, sizeof(value), "%s", o->arg);
    for (const struct conf_word *w = o->words; w && w->word; w++) {
        if (!w->alias && n < sizeof(value))
            n += (size_t)snprintf(value + n, sizeof(value) - n, "%s%s", n ? "|" : "", w->word);
    }
    char letter[8] = "";
    if (o->letter)
        snprintf(letter, sizeof(letter), "-%c, ", o->letter);
    const char *open = !*value ? "" : o->bare ? "[=" : "=";
    return snprintf(out, size, "  %s--%s%s%s%s", letter, o->name, open, value,
                    *value && o->bare ? "]" : "");
}

/** conf_set_help() - print the options and be done */
int conf_set_help(struct conf_reader *r, const struct conf_option *o, const char *value)
{
    (void)value;
    printf("Usage: virtiofsd --shared-dir DIR --socket-path PATH [options]\n"
           "Share a directory of this host with a virtual machine over virtio-fs.\n");
    int group = -1;
    for (o = conf_options; o < conf_options + conf_n_options; o++) {
        char usage[160];
        if (o->group == GROUP_HIDDEN)
            continue;
        if ((int)o->group != group)
            printf("%s:\n", headings[group = (int)o->group]);
        if (option_usage(o, usage, sizeof(usage)) < HELP_COLUMN)
            printf("%-*s%s\n", HELP_COLUMN, usage, o->help);
        else
            printf("%s\n%*s%s\n", usage, HELP_COLUMN, "", o->help);
    }
    printf("Switches have a no- form (--no-xattr). Also: -o source=DIR,xattr,no_flock,...\n"
           "All the details: man virtiofsd\n");
    r->done = true;
    return 0;
}

int conf_set_version(struct conf_reader *r, const struct conf_option *o, const char *value)
{
    (void)o;
    (void)value;
    printf("virtiofsd (viofs) %s\n", VIOFS_VERSION);
    r->done = true;
    return 0;
}

/* Printed at the end, so that a mistake beside it is still found. */
int conf_set_capabilities(struct conf_reader *r, const struct conf_option *o, const char *value)
{
    (void)o;
    (void)value;
    r->capabilities = true;
    return 0;
}

/*
 * "separate-options" makes libvirt use its newer arguments (--shared-dir and so on), "migrate-precopy" lets it
 * migrate and save the guest.
 */
void conf_print_capabilities(void)
{
    printf("{\n"
           "  \"type\": \"fs\",\n"
           "  \"features\": [\n"
           "    \"migrate-precopy\",\n"
           "    \"separate-options\"\n"
           "  ]\n"
           "}\n");
}
