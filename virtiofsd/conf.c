// SPDX-License-Identifier: BSD-3-Clause
/*
 * conf.c - read the command line and configuration files
 *
 * Theory of operation
 *
 *   The same option may be spelt --name=value, --name value, -o name=value, or "name = value" in a
 *   file; all of them end in apply(), which looks the row up in the option table and lets it check and
 *   store the value. '-' and '_' are the same in names; "no-" before a switch's name turns it off.
 *
 *   The command line is walked twice: first only --config acts, so that files come before everything
 *   the command line says, wherever it says it. Later words win over earlier ones.
 *
 *   A file may have sections, "[share NAME]": then files are read twice, first what stands before the sections,
 *   which all shares have in common, then the sections, each onto a copy of that; and the command line is applied
 *   to each share (conf_share.c).
 *
 *   A -o list is divided at commas; a doubled comma is a comma of a value, which is how libvirt writes
 *   a path that has one. The first '=' ends the name, further ones belong to the value.
 *
 * Ownership: values are copied.   Locks: none; runs before any thread is started.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf_table.h"
#include "host/cleanup.h"
#include "host/notify.h"

int conf_fail(const struct conf_reader *r, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    fprintf(stderr, "virtiofsd: %s: %s\n", r->where, text);
    return -EINVAL;
}

/* Names are equal when they differ in '-' and '_' only. */
static bool same_name(const char *known, const char *name, size_t len)
{
    if (!known || strlen(known) != len)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (known[i] != (name[i] == '_' ? '-' : name[i]))
            return false;
    }
    return true;
}

const struct conf_option *conf_find(const char *name, size_t len, bool *negative)
{
    *negative = false;
    for (const struct conf_option *o = conf_options; o < conf_options + conf_n_options; o++) {
        if (same_name(o->name, name, len) || same_name(o->also, name, len))
            return o;
    }
    if (len <= 3 || !same_name("no-", name, 3))
        return NULL;
    const struct conf_option *o = conf_find(name + 3, len - 3, negative);
    if (*negative || !o || !o->off)
        return NULL;
    *negative = true;
    return o;
}

enum conf_rank conf_rank_of(const struct conf_reader *r, const char *name)
{
    bool negative;
    const struct conf_option *o = conf_find(name, strlen(name), &negative);
    return o ? (enum conf_rank)r->set_by[o - conf_options] : RANK_DEFAULT;
}

/*
 * One option. @value is NULL when none was written. r->where says how it was spelt.
 */
static int apply(struct conf_reader *r, const struct conf_option *o, bool negative,
                 const char *value)
{
    if (negative && value)
        return conf_fail(r, "takes no value; leave '%s' out", value);
    if (negative)
        value = o->off;
    else if (!value)
        value = o->bare;
    if (!value && o->set != conf_set_refused)
        return conf_fail(r, "needs a value (%s)", o->arg ? o->arg : o->words[0].word);
    if (r->files_only != (o->set == conf_set_config) && r->rank == RANK_COMMAND)
        return 0;
    int err = conf_fits_here(r, o);
    if (!err)
        err = o->set(r, o, value);
    if (!err)
        r->set_by[o - conf_options] = (uint8_t)r->rank;
    return err;
}

/* "name", "name=value" of a -o list */
static int apply_item(struct conf_reader *r, const char *item)
{
    size_t len = strcspn(item, "=");
    bool negative;
    const struct conf_option *o = conf_find(item, len, &negative);

    snprintf(r->where, sizeof(r->where), "-o %.*s", (int)(len < 64 ? len : 64), item);
    if (!o)
        return conf_fail(r, "no such option; see virtiofsd --help (a comma inside a value is "
                            "written twice)");
    return apply(r, o, negative, item[len] ? item + len + 1 : NULL);
}

/* The list of one -o. */
static int apply_list(struct conf_reader *r, const char *list)
{
    cleanup_free char *item = malloc(strlen(list) + 1);
    int err = item ? 0 : -ENOMEM;

    while (*list && !err) {
        size_t n = 0;
        while (*list && (*list != ',' || list[1] == ',')) {
            if (*list == ',')
                list++;
            item[n++] = *list++;
        }
        item[n] = '\0';
        if (*list)
            list++;
        if (n)
            err = apply_item(r, item);
    }
    return err;
}

/*
 * "--name", "--name=value", "--name value". Return: arguments used, or -EINVAL.
 */
static int apply_long(struct conf_reader *r, const char *arg, const char *next)
{
    size_t len = strcspn(arg, "=");
    bool negative;
    const struct conf_option *o = conf_find(arg, len, &negative);

    snprintf(r->where, sizeof(r->where), "--%.*s", (int)(len < 64 ? len : 64), arg);
    if (!o)
        return conf_fail(r, "no such option; see virtiofsd --help");
    if (arg[len])
        return apply(r, o, negative, arg + len + 1) ?: 1;
    if (negative || o->bare)
        return apply(r, o, negative, NULL) ?: 1;
    return apply(r, o, false, next) ?: 2;
}

static const struct conf_option *find_letter(char letter)
{
    for (const struct conf_option *o = conf_options; o < conf_options + conf_n_options; o++) {
        if (letter && o->letter == letter)
            return o;
    }
    return NULL;
}

/* "-d", "-o list", "-olist". Return: arguments used, or -EINVAL. */
static int apply_short(struct conf_reader *r, const char *arg, const char *next)
{
    snprintf(r->where, sizeof(r->where), "-%.64s", arg);
    if (arg[0] == 'o') {
        const char *list = arg[1] ? arg + 1 : next;
        if (!list)
            return conf_fail(r, "needs a list of options, such as -o source=DIR,cache=auto");
        return apply_list(r, list) ?: (arg[1] ? 1 : 2);
    }
    const struct conf_option *o = arg[0] && !arg[1] ? find_letter(arg[0]) : NULL;
    if (!o)
        return conf_fail(r, "no such option; see virtiofsd --help");
    return apply(r, o, false, NULL) ?: 1;
}

static int read_arguments(struct conf_reader *r, int argc, char **argv)
{
    for (int i = 1; i < argc && !r->done;) {
        const char *arg = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;
        int used;
        if (strncmp(arg, "--", 2) == 0 && arg[2]) {
            used = apply_long(r, arg + 2, next);
        } else if (arg[0] == '-' && arg[1] && arg[1] != '-') {
            used = apply_short(r, arg + 1, next);
        } else {
            snprintf(r->where, sizeof(r->where), "%.64s", arg);
            used = conf_fail(r, "stands alone; directories are shared with --shared-dir DIR, and "
                                "values that may be left out are written --option=value");
        }
        if (used < 0)
            return used;
        i += used;
    }
    return 0;
}

/* Cut blanks off both ends, in place. */
static char *trim(char *s)
{
    s += strspn(s, " \t");
    size_t n = strlen(s);
    while (n && strchr(" \t\r\n", s[n - 1]))
        n--;
    s[n] = '\0';
    return s;
}

/* One line of a file: nothing, "# comment", "name", "name = value". */
static int read_line(struct conf_reader *r, const char *file, unsigned line_no, char *line)
{
    char *value = strchr(line, '=');
    if (value)
        *value++ = '\0';
    char *name = trim(line);
    bool negative;
    const struct conf_option *o = conf_find(name, strlen(name), &negative);

    snprintf(r->where, sizeof(r->where), "%.400s:%u: %.64s", file, line_no, name);
    if (!o)
        return conf_fail(
            r, "no such option; lines are 'name = value' or '[share NAME]', as explained in "
               "man virtiofsd");
    if (o->set == conf_set_config || o->set == conf_set_help || o->set == conf_set_version ||
        o->set == conf_set_capabilities)
        return conf_fail(r, "belongs on the command line, not into a file");
    return apply(r, o, negative, value ? trim(value) : NULL);
}

/* What stands before the first section in the first pass, the sections in the second. */
static int read_part(struct conf_reader *r, const struct conf_part *common, const char *file,
                     unsigned line_no, char *text, bool *in_section)
{
    if (*text == '[')
        *in_section = true;
    if (*in_section != r->sections || !*text || *text == '#') {
        r->has_sections = r->has_sections || *in_section;
        return 0;
    }
    snprintf(r->where, sizeof(r->where), "%.400s:%u: %.64s", file, line_no, text);
    return *text == '[' ? conf_begin_share(r, common, text) : read_line(r, file, line_no, text);
}

/** conf_set_config() - read a file of options, below the command line in rank */
int conf_set_config(struct conf_reader *r, const struct conf_option *o, const char *value)
{
    const struct conf_text *file;
    unsigned line_no = 0;
    bool in_section = false;
    struct conf_part common = {.conf = *r->conf};
    int err = conf_text_get(r->texts, value, &file);

    (void)o;
    if (err < 0)
        return conf_fail(r, "%s: %s", value, strerror(-err));
    if (strlen(file->text) != file->len)
        return conf_fail(r, "%s: this is not text: it has a byte that is zero", value);
    cleanup_free char *lines = strdup(file->text);
    if (!lines)
        return conf_fail(r, "%s", strerror(ENOMEM));
    memcpy(common.set_by, r->set_by, sizeof(common.set_by));
    r->rank = RANK_FILE;
    for (char *rest = lines, *line; !err && (line = strsep(&rest, "\n"));)
        err = read_part(r, &common, value, ++line_no, trim(line), &in_section);
    r->rank = RANK_COMMAND;
    conf_end_share(r, &common);
    return err;
}

static void set_defaults(struct conf *conf)
{
    *conf = (struct conf){
        .listen_fd = -1,
        .thread_pool_size = -1,
        .rlimit_nofile = -1,
        .project_id = -1,
        .cache = CACHE_AUTO,
        .timeout = -1,
        .watch_limit = 32768,
        .readdirplus = true,
        .announce_submounts = true,
        .posix_acl = WHEN_NEVER,
        .security_label = WHEN_NEVER,
        .killpriv_v2 = WHEN_AUTO,
        .inode_file_handles = HANDLES_PREFER,
        .sandbox = SANDBOX_NAMESPACE,
        .seccomp = SECCOMP_KILL,
        .log_level = LOG_INFO_,
    };
}

/* The command line for one share: the only one, or one of those of a file. */
static int read_command(struct conf_reader *r, int argc, char **argv)
{
    int err = read_arguments(r, argc, argv);

    if (!err && r->capabilities && !r->done) {
        conf_print_capabilities();
        r->done = true;
    }
    if (!err && !r->done)
        err = conf_check(r);
    return err;
}

/* The same for each of several. */
static int read_command_of_parts(struct conf_reader *r, int argc, char **argv)
{
    int err = 0;

    for (size_t i = 0; i < r->n_parts && !err && !r->done; i++) {
        r->conf = &r->part[i].conf;
        memcpy(r->set_by, r->part[i].set_by, sizeof(r->set_by));
        err = read_command(r, argc, argv);
    }
    return err || r->done ? err : conf_check_shares(r);
}

/* Files first, then the command line. Return: 0 or -EINVAL; the shares are in r->part if there are sections. */
static int read_all(struct conf_reader *r, int argc, char **argv)
{
    int err;

    r->files_only = true;
    err = read_arguments(r, argc, argv);
    if (!err && r->has_sections) {
        r->sections = true;
        err = read_arguments(r, argc, argv);
    }
    r->files_only = false;
    if (err)
        return err;
    return r->has_sections ? read_command_of_parts(r, argc, argv) : read_command(r, argc, argv);
}

/*
 * Who is started by a service manager or by libvirt, which hand a socket over or want to be told, has to survive what can
 * be survived; who types a command wants one process.
 */
static bool is_to_be_supervised(const struct conf_reader *r, const struct conf_shares *shares)
{
    bool by = r->env->managed;

    for (size_t i = 0; i < shares->n; i++)
        by = by || shares->at[i].listen_fd >= 0;
    return by;
}

/* Give the caller what was read. Return: 0 or -ENOMEM. */
static int hand_over(struct conf_shares *shares, struct conf_reader *r, const struct conf *only)
{
    shares->n = r->has_sections ? r->n_parts : 1;
    shares->at = calloc(shares->n, sizeof(*shares->at));
    if (!shares->at)
        return -ENOMEM;
    for (size_t i = 0; i < shares->n; i++)
        shares->at[i] = r->has_sections ? r->part[i].conf : *only;
    if (conf_rank_of(r, "supervise") == RANK_DEFAULT && is_to_be_supervised(r, shares)) {
        for (size_t i = 0; i < shares->n; i++)
            shares->at[i].supervise = true;
    }
    return 0;
}

int conf_read_shares(struct conf_shares *shares, const struct conf_env *env, int argc, char **argv)
{
    struct conf common;
    struct conf_texts texts = {0};
    struct conf_reader r = {.conf = &common,
                            .common = &common,
                            .env = env,
                            .rank = RANK_COMMAND,
                            .texts = env->texts ? env->texts : &texts};

    *shares = (struct conf_shares){0};
    set_defaults(&common);
    int err = read_all(&r, argc, argv);
    bool run = !err && !r.done;
    if (run)
        err = hand_over(shares, &r, &common);
    if (!run || err || r.has_sections)
        conf_free(&common);
    for (size_t i = 0; i < r.n_parts && (!run || err); i++)
        conf_free(&r.part[i].conf);
    free(r.part);
    conf_texts_free(&texts);
    if (!err && r.done)
        return fflush(stdout) == 0 ? CONF_DONE : -EINVAL;
    return err ? -EINVAL : CONF_RUN;
}

int conf_read(struct conf *conf, const struct conf_env *env, int argc, char **argv)
{
    struct conf_shares shares;
    int r = conf_read_shares(&shares, env, argc, argv);

    set_defaults(conf);
    if (r != CONF_RUN)
        return r;
    if (shares.n == 1 && !shares.at[0].name) {
        *conf = shares.at[0];
        free(shares.at);
        return r;
    }
    conf_free_shares(&shares);
    return -EINVAL;
}

static struct conf_env env_of_process(struct notify_fds *fds)
{
    notify_listen_fds(fds);
    return (struct conf_env){.euid = geteuid(),
                             .activated_fd = fds->n == 0   ? NOTIFY_NO_SOCKET
                                             : fds->n == 1 ? fds->first
                                                           : NOTIFY_MANY_SOCKETS,
                             .activated = fds,
                             .managed = notify_is_wanted()};
}

int conf_parse_shares(struct conf_shares *shares, int argc, char **argv)
{
    struct notify_fds fds;
    struct conf_env env = env_of_process(&fds);
    struct conf_texts texts = {0};
    int err = conf_texts_passed(&texts);

    env.texts = &texts;
    if (err < 0)
        log_warn("the configuration that the supervisor hands over: %s; the files are read as they "
                 "are now",
                 strerror(-err));
    int r = conf_read_shares(shares, &env, argc, argv);
    shares->texts = texts;
    for (size_t i = 0; r == CONF_RUN && i < shares->n; i++) {
        if (conf_check_source(&shares->at[i]) < 0)
            r = -EINVAL;
    }
    notify_free_fds(&fds);
    if (r != CONF_RUN)
        conf_free_shares(shares);
    return r;
}

int conf_parse(struct conf *conf, int argc, char **argv)
{
    struct notify_fds fds;
    struct conf_env env = env_of_process(&fds);
    int r = conf_read(conf, &env, argc, argv);

    notify_free_fds(&fds);
    return r == CONF_RUN && conf_check_source(conf) ? -EINVAL : r;
}

void conf_free_shares(struct conf_shares *shares)
{
    for (size_t i = 0; i < shares->n; i++)
        conf_free(&shares->at[i]);
    free(shares->at);
    conf_texts_free(&shares->texts);
    *shares = (struct conf_shares){0};
}
