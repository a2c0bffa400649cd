// SPDX-License-Identifier: BSD-3-Clause
/*
 * conf_value.c - check one value and store it
 *
 * Theory of operation
 *
 *   A row of the option table names one of these functions and the field it fills. Each takes the text
 *   that the user wrote, refuses what does not fit with a message that says what would, and stores the
 *   rest. None looks at other options: conf_check.c does, once everything has been read.
 *
 *   Lists (id maps, translations) grow with each use; what a configuration file put there is dropped
 *   when the command line has the first word of its own.
 *
 * Ownership: strings and lists are allocated here and belong to struct conf.   Locks: none.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cap-ng.h>

#include "conf_table.h"
#include "host/cleanup.h"

static void *field(const struct conf_reader *r, const struct conf_option *o)
{
    return (char *)r->conf + o->at;
}

/** conf_set_bool() - a switch; a value is optional */
int conf_set_bool(struct conf_reader *r, const struct conf_option *o, const char *value)
{
    static const char *const yes[] = {"yes", "on", "true", "1"};
    static const char *const no[] = {"no", "off", "false", "0"};

    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        bool is_yes = strcasecmp(value, yes[i]) == 0;
        if (is_yes || strcasecmp(value, no[i]) == 0) {
            *(bool *)field(r, o) = is_yes;
            return 0;
        }
    }
    return conf_fail(r, "'%s' is neither yes nor no; leave the value out for yes", value);
}

/** conf_set_word() - one word of a short list */
int conf_set_word(struct conf_reader *r, const struct conf_option *o, const char *value)
{
    char known[128] = "";
    size_t n = 0;

    for (const struct conf_word *w = o->words; w->word; w++) {
        if (strcmp(value, w->word) == 0) {
            memcpy(field(r, o), &w->value, sizeof(int));
            return 0;
        }
        if (!w->alias && n < sizeof(known))
            n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s", n ? ", " : "", w->word);
    }
    return conf_fail(r, "'%s' is not known; use one of %s", value, known);
}

/** conf_set_string() - text of 1 to o->max bytes */
int conf_set_string(struct conf_reader *r, const struct conf_option *o, const char *value)
{
    size_t len = strlen(value);

    if (len == 0)
        return conf_fail(r, "is empty; give a %s of 1 to %lld bytes", o->arg, (long long)o->max);
    if ((int64_t)len > o->max)
        return conf_fail(r, "is %zu bytes long; shorten it to at most %lld", len,
                         (long long)o->max);
    char *copy = strdup(value);
    if (!copy)
        return conf_fail(r, "%s", strerror(ENOMEM));
    char **at = field(r, o);
    free(*at);
    *at = copy;
    return 0;
}

/** conf_set_source() - a string that has two spellings, which must not contradict each other */
int conf_set_source(struct conf_reader *r, const struct conf_option *o, const char *value)
{
    const char *before = r->conf->source;

    if (before && strcmp(before, value) != 0 && conf_rank_of(r, o->name) == r->rank)
        return conf_fail(r,
                         "'%s' is not '%s', which was asked for before; --shared-dir and "
                         "-o source= mean the same: give one of them, once",
                         value, before);
    return conf_set_string(r, o, value);
}

static int number(const struct conf_reader *r, const struct conf_option *o, const char *value,
                  int64_t *out)
{
    char *end;

    errno = 0;
    long long n = strtoll(value, &end, 10);
    if (end == value || *end || value[0] == ' ' || errno || n < o->min || n > o->max)
        return conf_fail(r, "'%s' is not a number from %lld to %lld", value, (long long)o->min,
                         (long long)o->max);
    *out = n;
    return 0;
}

int conf_set_int(struct conf_reader *r, const struct conf_option *o, const char *value)
{
    int64_t n = 0;
    int err = number(r, o, value, &n);
    if (!err)
        *(int *)field(r, o) = (int)n;
    return err;
}

int conf_set_int64(struct conf_reader *r, const struct conf_option *o, const char *value)
{
    return number(r, o, value, field(r, o));
}

/** conf_set_limit() - a number of o->min to o->max, or 0 for no limit */
int conf_set_limit(struct conf_reader *r, const struct conf_option *o, const char *value)
{
    if (strcmp(value, "0") == 0) {
        *(int64_t *)field(r, o) = 0;
        return 0;
    }
    return number(r, o, value, field(r, o));
}

/* "512", "64K", "10G" in bytes. Return: false for what is no size, or more than an int64_t has. */
static bool read_size(const char *text, int64_t *size)
{
    static const char units[] = "KMGT";
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (errno)
        return false;
    unsigned shift = 0;
    if (*end) {
        const char *unit = isalpha((unsigned char)*end) ? strchr(units, *end & ~0x20) : NULL;
        if (!unit || end[1])
            return false;
        shift = (unsigned)(unit - units + 1) * 10;
    }
    if (n > INT64_MAX >> shift)
        return false;
    *size = n << shift;
    return true;
}

/** conf_set_size() - bytes, with K, M, G or T for powers of 1024; 0 for no limit */
int conf_set_size(struct conf_reader *r, const struct conf_option *o, const char *value)
{
    int64_t size;

    if (!read_size(value, &size))
        return conf_fail(
            r, "'%s' is not a size, such as 500M or 10G (K, M, G, T; without one: bytes)", value);
    if (size != 0 && (size < o->min || size > o->max))
        return conf_fail(r, "'%s' is not from %lld to %lld bytes, nor 0 for no limit", value,
                         (long long)o->min, (long long)o->max);
    *(int64_t *)field(r, o) = size;
    return 0;
}

/** conf_set_seconds() - a time of 0 to o->max seconds, fractions allowed */
int conf_set_seconds(struct conf_reader *r, const struct conf_option *o, const char *value)
{
    char *end;
    double seconds = strtod(value, &end);

    if (end == value || *end || !isfinite(seconds) || seconds < 0 || seconds > (double)o->max)
        return conf_fail(r, "'%s' is not a time in seconds, such as 0, 0.5 or 60", value);
    *(double *)field(r, o) = seconds;
    return 0;
}

/** conf_set_modcaps() - "+cap:-cap...", names with or without "cap_", as libcap-ng knows them */
int conf_set_modcaps(struct conf_reader *r, const struct conf_option *o, const char *value)
{
    cleanup_free char *copy = strdup(value);
    char *rest = copy, *word;

    if (!copy)
        return conf_fail(r, "%s", strerror(ENOMEM));
    while ((word = strsep(&rest, ":"))) {
        if (word[0] != '+' && word[0] != '-')
            return conf_fail(r, "'%s' does not start with '+' (keep) or '-' (drop)", word);
        const char *name = word + 1;
        if (strncasecmp(name, "cap_", 4) == 0)
            name += 4;
        if (capng_name_to_capability(name) < 0)
            return conf_fail(r,
                             "'%s' is no capability; capabilities(7) lists them, as in "
                             "+sys_admin:-mknod",
                             name);
    }
    return conf_set_string(r, o, value);
}

/*
 * Grow a list by one element. A list in struct conf is a pointer and, elsewhere, its length: the two
 * kinds of list differ in element size only.
 */
static void *list_add(struct conf_reader *r, const struct conf_option *o, size_t *n, size_t size)
{
    void **list = field(r, o);

    if (conf_rank_of(r, o->name) < r->rank)
        *n = 0;
    if (*n >= CONF_MAX_RANGES) {
        conf_fail(r, "more than %d ranges; join some of them", CONF_MAX_RANGES);
        return NULL;
    }
    void *grown = reallocarray(*list, *n + 1, size);
    if (!grown) {
        conf_fail(r, "%s", strerror(ENOMEM));
        return NULL;
    }
    *list = grown;
    *n += 1;
    return (char *)grown + (*n - 1) * size;
}

/*
 * Read @want ids divided by @sep, and the end of the text. Ids go up to 2^32 - 2 (the last one means
 * "no change" to the kernel), the last number is a count and at least 1.
 */
static bool read_ids(const char *text, char sep, uint32_t *out, unsigned want)
{
    for (unsigned i = 0; i < want; i++) {
        char *end;
        if (*text < '0' || *text > '9')
            return false;
        errno = 0;
        unsigned long long n = strtoull(text, &end, 10);
        if (errno || n >= UINT32_MAX || (i == want - 1 ? *end != '\0' : *end != sep))
            return false;
        out[i] = (uint32_t)n;
        text = end + 1;
    }
    return out[want - 1] > 0;
}

static bool range_fits(uint32_t base, uint32_t count)
{
    return (uint64_t)base + count <= UINT32_MAX;
}

/**
 * conf_set_idmap() - one line of a user namespace map, ":inside:outside:count:"
 *
 * The first character is the separator, whatever it is, and may be repeated at the end; plain
 * "inside:outside:count" is taken too.
 */
int conf_set_idmap(struct conf_reader *r, const struct conf_option *o, const char *value)
{
    char text[64];
    uint32_t id[3];
    char sep = ':';
    const char *start = value;

    if (*start && (*start < '0' || *start > '9'))
        sep = *start++;
    size_t len = strlen(start);
    if (len && start[len - 1] == sep)
        len--;
    if (len >= sizeof(text))
        len = 0;
    memcpy(text, start, len);
    text[len] = '\0';
    if (!read_ids(text, sep, id, 3) || !range_fits(id[0], id[2]) || !range_fits(id[1], id[2]))
        return conf_fail(r, "'%s' is not of the form :ID-IN-NAMESPACE:ID-ON-HOST:COUNT:", value);

    bool uid = o->at == offsetof(struct conf, uid_map);
    struct conf_idmap *m =
        list_add(r, o, uid ? &r->conf->n_uid_map : &r->conf->n_gid_map, sizeof(*m));
    if (!m)
        return -EINVAL;
    *m = (struct conf_idmap){.inside = id[0], .outside = id[1], .count = id[2]};
    return 0;
}

/** conf_set_xlate() - "kind:from:to:count", or "forbid-guest:from:count" */
int conf_set_xlate(struct conf_reader *r, const struct conf_option *o, const char *value)
{
    static const struct {
        const char *name;
        enum conf_xlate_kind kind;
    } kinds[] = {
        {"guest:", XLATE_GUEST},
        {"host:", XLATE_HOST},
        {"squash-guest:", XLATE_SQUASH_GUEST},
        {"squash-host:", XLATE_SQUASH_HOST},
        {"forbid-guest:", XLATE_FORBID_GUEST},
        {"map:", XLATE_MAP},
    };
    struct conf_xlate x = {0};
    uint32_t id[3] = {0};
    bool good = false;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && !good; i++) {
        size_t len = strlen(kinds[i].name);
        if (strncmp(value, kinds[i].name, len) != 0)
            continue;
        bool forbid = kinds[i].kind == XLATE_FORBID_GUEST;
        bool squash = kinds[i].kind == XLATE_SQUASH_GUEST || kinds[i].kind == XLATE_SQUASH_HOST;
        good = read_ids(value + len, ':', id, forbid ? 2 : 3);
        x.kind = kinds[i].kind;
        x.from = id[0];
        x.to = forbid ? 0 : id[1];
        x.count = forbid ? id[1] : id[2];
        good = good && range_fits(x.from, x.count) && range_fits(x.to, squash ? 1 : x.count);
    }
    if (!good)
        return conf_fail(r,
                         "'%s' is not of the form KIND:FROM:TO:COUNT with a KIND of guest, host, "
                         "squash-guest, squash-host or map, or forbid-guest:FROM:COUNT",
                         value);

    bool uid = o->at == offsetof(struct conf, xlate_uid);
    struct conf_xlate *at =
        list_add(r, o, uid ? &r->conf->n_xlate_uid : &r->conf->n_xlate_gid, sizeof(*at));
    if (!at)
        return -EINVAL;
    *at = x;
    return 0;
}

/* Switches that stand for other options take no value: only their bare meaning gets through. */
static int bare_only(const struct conf_reader *r, const struct conf_option *o, const char *value)
{
    return strcmp(value, o->bare) == 0 ? 0 : conf_fail(r, "takes no value; leave '%s' out", value);
}

int conf_set_debug(struct conf_reader *r, const struct conf_option *o, const char *value)
{
    int err = bare_only(r, o, value);
    if (!err) {
        r->conf->log_level = LOG_DEBUG_;
        r->conf->daemonize = false;
    }
    return err;
}

int conf_set_foreground(struct conf_reader *r, const struct conf_option *o, const char *value)
{
    int err = bare_only(r, o, value);
    if (!err)
        r->conf->daemonize = false;
    return err;
}

int conf_set_refused(struct conf_reader *r, const struct conf_option *o, const char *value)
{
    (void)value;
    return conf_fail(r, "%s", o->help);
}
