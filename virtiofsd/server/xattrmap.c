// SPDX-License-Identifier: BSD-3-Clause
/*
 * xattrmap.c - the same attribute under two names
 *
 * Theory of operation
 *
 *   The language is the one of both existing daemons (virtiofsd(1) of QEMU, "Extended attribute
 *   mapping"). A rule's first character is its separator, and white space may stand between rules:
 *
 *       :type:scope:key:prepend:
 *       :map:key:prepend:
 *
 *   The first rule that matches decides. A rule of scope "client" matches guest names that begin with
 *   key, one of scope "server" host names that begin with prepend, one of scope "all" both.
 *
 *       type          guest name                host name, in a listing
 *       prefix        prepend + name            prepend is cut off
 *       ok            unchanged                 unchanged
 *       bad           refused: EPERM            hidden
 *       unsupported   refused: EOPNOTSUPP       hidden
 *
 *   "map" stands for the rules that keep key under prepend and nothing else there, see add_map(). It
 *   must be the last rule.
 *
 *   A name that no rule matches is treated as bad; a map that leaves such names is accepted with a
 *   warning, because the daemons that came before accept it.
 *
 *   When the guest's security.capability is kept under another name, the host's kernel no longer takes
 *   it away when the file is written, and the daemon has to (CVE-2021-20263): xattrmap_capability().
 *
 * Ownership: a map is one allocation; rules point into the copy of their text behind them.
 * Locks: none; constant after xattrmap_parse().
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/log.h"
#include "server/xattrmap.h"

enum rule_type { RULE_PREFIX, RULE_OK, RULE_BAD, RULE_UNSUPPORTED, RULE_MAP };
enum rule_scope { SCOPE_CLIENT = 1, SCOPE_SERVER = 2, SCOPE_ALL = 3 };

struct slice {
    const char *s;
    size_t len;
};

struct rule {
    enum rule_type type;
    unsigned scope;
    struct slice key, prepend;
};

struct xattrmap {
    size_t n;
    char capability[XATTRMAP_NAME]; /* "" when the kernel needs no help */
    char *text;
    struct rule rule[];
};

struct parser {
    struct xattrmap *map;
    const char *at;
    size_t number; /* of the rule being read, from 1 */
    bool map_seen;
    char *why;
    size_t why_size;
};

#define SAY(p, ...) snprintf((p)->why, (p)->why_size, __VA_ARGS__)

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool slice_is(const struct slice *f, const char *word)
{
    return f->len == strlen(word) && memcmp(f->s, word, f->len) == 0;
}

static bool begins(const char *name, const struct slice *with)
{
    return strncmp(name, with->s, with->len) == 0;
}

/* Read up to the separator, which is eaten. */
static int take_field(struct parser *p, char sep, const char *what, struct slice *field)
{
    const char *end = strchr(p->at, sep);

    if (!end) {
        if (sep >= 'a' && sep <= 'z')
            SAY(p, "rule %zu begins with '%c', which makes that its separator; is one missing?",
                p->number, sep);
        else
            SAY(p, "rule %zu: there is no '%c' after its %s", p->number, sep, what);
        return -EINVAL;
    }
    field->s = p->at;
    field->len = (size_t)(end - p->at);
    if (field->len >= XATTRMAP_NAME) {
        SAY(p, "rule %zu: its %s has more than %d bytes", p->number, what, XATTRMAP_NAME - 1);
        return -EINVAL;
    }
    p->at = end + 1;
    return 0;
}

struct word {
    const char *text;
    unsigned value;
};

/* Read a field that is one of a few words. */
static int take_word(struct parser *p, char sep, const char *what, const struct word *words,
                     const char *list, unsigned *value)
{
    struct slice f;
    int err = take_field(p, sep, what, &f);

    if (err)
        return err;
    for (; words->text; words++) {
        if (slice_is(&f, words->text)) {
            *value = words->value;
            return 0;
        }
    }
    SAY(p, "rule %zu: its %s is '%.*s' and must be one of %s", p->number, what, (int)f.len, f.s,
        list);
    return -EINVAL;
}

static void add(struct parser *p, enum rule_type type, unsigned scope, struct slice key,
                struct slice prepend)
{
    p->map->rule[p->map->n++] = (struct rule){type, scope, key, prepend};
}

/* Keep key (or everything) under prepend; nobody else gets at what is there. */
static void add_map(struct parser *p, struct slice key, struct slice prepend)
{
    struct slice any = {"", 0};

    add(p, RULE_PREFIX, SCOPE_ALL, key, prepend);
    if (key.len == 0) {
        add(p, RULE_BAD, SCOPE_ALL, any, any);
        return;
    }
    add(p, RULE_BAD, SCOPE_SERVER, any, key);
    add(p, RULE_BAD, SCOPE_CLIENT, prepend, any);
    add(p, RULE_OK, SCOPE_ALL, any, any);
}

static int take_rule(struct parser *p)
{
    static const struct word types[] = {{"prefix", RULE_PREFIX}, {"ok", RULE_OK},
                                        {"bad", RULE_BAD},       {"unsupported", RULE_UNSUPPORTED},
                                        {"map", RULE_MAP},       {NULL, 0}};
    static const struct word scopes[] = {
        {"client", SCOPE_CLIENT}, {"server", SCOPE_SERVER}, {"all", SCOPE_ALL}, {NULL, 0}};
    char sep = *p->at++;
    unsigned type = 0, scope = SCOPE_ALL;
    struct slice key, prepend;
    int err;

    if (p->map_seen) {
        SAY(p, "rule %zu comes after a 'map' rule, which must be the last one", p->number);
        return -EINVAL;
    }
    err = take_word(p, sep, "type", types, "prefix, ok, bad, unsupported, map", &type);
    if (!err && type != RULE_MAP)
        err = take_word(p, sep, "scope", scopes, "client, server, all", &scope);
    if (!err)
        err = take_field(p, sep, "key", &key);
    if (!err)
        err = take_field(p, sep, "prepend", &prepend);
    if (err)
        return err;
    if (type == RULE_MAP) {
        p->map_seen = true;
        add_map(p, key, prepend);
    } else {
        add(p, (enum rule_type)type, scope, key, prepend);
    }
    return 0;
}

static int take_rules(struct parser *p)
{
    p->at = p->map->text;
    for (;;) {
        while (is_space(*p->at))
            p->at++;
        if (!*p->at)
            break;
        p->number++;
        int err = take_rule(p);
        if (err)
            return err;
    }
    if (p->number == 0) {
        SAY(p, "there is no rule in it");
        return -EINVAL;
    }
    return 0;
}

/* A listing or a request may bring any name: is there a rule for the rest, on both sides? */
static void warn_of_gaps(struct parser *p)
{
    unsigned covered = 0;

    for (size_t i = 0; i < p->map->n; i++) {
        const struct rule *r = &p->map->rule[i];

        if (r->key.len == 0)
            covered |= r->scope & SCOPE_CLIENT;
        if (r->prepend.len == 0)
            covered |= r->scope & SCOPE_SERVER;
    }
    if (covered != SCOPE_ALL)
        SAY(p, "no last rule catches all %s names: what no rule matches is %s",
            covered == SCOPE_CLIENT ? "server" : "client",
            covered == SCOPE_CLIENT ? "hidden" : "refused (end with :bad:all::: or :ok:all:::)");
}

int xattrmap_parse(struct xattrmap **map, const char *rules, char *why, size_t why_size)
{
    struct parser p = {.why = why, .why_size = why_size};
    size_t len = strlen(rules);
    size_t max = len / 5 + 4; /* the shortest rule is ":ok:all:::", "map" makes four of itself */
    int err;

    SAY(&p, "%s", "");
    p.map = malloc(sizeof(*p.map) + max * sizeof(struct rule) + len + 1);
    if (!p.map)
        return -ENOMEM;
    p.map->n = 0;
    p.map->capability[0] = '\0';
    p.map->text = (char *)&p.map->rule[max];
    memcpy(p.map->text, rules, len + 1);
    err = take_rules(&p);
    if (err) {
        free(p.map);
        return err;
    }
    warn_of_gaps(&p);
    if (xattrmap_to_host(p.map, "security.capability", p.map->capability) != 0 ||
        strcmp(p.map->capability, "security.capability") == 0)
        p.map->capability[0] = '\0';
    *map = p.map;
    return 0;
}

int xattrmap_new(struct xattrmap **map, const char *rules)
{
    char why[512];
    int err = xattrmap_parse(map, rules, why, sizeof(why));

    if (err)
        log_error("xattrmap: %s", err == -ENOMEM ? "out of memory" : why);
    else if (why[0])
        log_warn("xattrmap: %s", why);
    return err;
}

void xattrmap_free(struct xattrmap *map)
{
    free(map);
}

static const struct rule *first_match(const struct xattrmap *map, unsigned scope, const char *name)
{
    for (size_t i = 0; i < map->n; i++) {
        const struct rule *r = &map->rule[i];

        if (r->scope & scope && begins(name, scope == SCOPE_CLIENT ? &r->key : &r->prepend))
            return r;
    }
    return NULL;
}

int xattrmap_to_host(const struct xattrmap *map, const char *guest, char host[XATTRMAP_NAME])
{
    const struct rule *r = first_match(map, SCOPE_CLIENT, guest);
    size_t len = strlen(guest);
    size_t before;

    if (!r || r->type == RULE_BAD)
        return -EPERM;
    if (r->type == RULE_UNSUPPORTED)
        return -EOPNOTSUPP;
    before = r->type == RULE_PREFIX ? r->prepend.len : 0;
    if (before + len >= XATTRMAP_NAME)
        return -ERANGE;
    memcpy(host, r->prepend.s, before);
    memcpy(host + before, guest, len + 1);
    return 0;
}

const char *xattrmap_to_guest(const struct xattrmap *map, const char *host)
{
    const struct rule *r = first_match(map, SCOPE_SERVER, host);

    if (!r || r->type == RULE_BAD || r->type == RULE_UNSUPPORTED)
        return NULL;
    host += r->type == RULE_PREFIX ? r->prepend.len : 0;
    return *host ? host : NULL; /* a name that was all prefix has none left */
}

const char *xattrmap_capability(const struct xattrmap *map)
{
    return map->capability[0] ? map->capability : NULL;
}
