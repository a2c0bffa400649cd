// SPDX-License-Identifier: BSD-3-Clause
/*
 * conf_table.h - the options, as rows of one table
 *
 * Command line, -o lists, configuration files, --help and the tests of the man page all read the same
 * rows, so an option is added in one place. Private to conf*.c and the tests.
 */
#ifndef VIOFS_CONF_TABLE_H
#define VIOFS_CONF_TABLE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "conf.h"

/* Room for the file name, line and option that an error message starts with. */
#define CONF_WHERE_MAX 512
/* Lines of a user namespace map (user_namespaces(7)); also the bound of the translation tables. */
#define CONF_MAX_RANGES 340

enum conf_group {
    GROUP_SHARE,
    GROUP_SOCKET,
    GROUP_CACHE,
    GROUP_ATTR,
    GROUP_LIMIT,
    GROUP_SANDBOX,
    GROUP_RUN,
    GROUP_HIDDEN, /* known, to be refused with a reason */
};

struct conf_word {
    const char *word;
    int value;
    bool alias; /* accepted, not advertised */
};

struct conf_reader;
struct conf_option;
typedef int conf_set_fn(struct conf_reader *r, const struct conf_option *o, const char *value);

struct conf_option {
    const char *name; /* "shared-dir"; '_' is accepted for '-' */
    const char *also; /* another name, or NULL */
    char letter;      /* single-letter form, or 0 */
    enum conf_group group;
    conf_set_fn *set; /* checks and stores a value; prints its own errors */
    size_t at;        /* offset in struct conf */
    const char *bare; /* what the option means without a value; NULL: a value is needed */
    const char *off;  /* what its no- form means; NULL: it has none */
    int64_t min, max; /* of numbers and sizes; longest length of strings */
    const struct conf_word *words; /* of enumerations, ends with a NULL word */
    const char *arg;               /* how --help calls the value; NULL: the words, or none */
    const char *help;              /* one line; of a hidden row: why it is refused */
    const char *process; /* why a process has it only once; NULL: each share has its own */
    bool own;            /* what no two shares have alike: not for the command line of several */
};

extern const struct conf_option conf_options[];
extern const size_t conf_n_options;
#define CONF_MAX_OPTIONS 96

/* Who said it; a higher rank wins. */
enum conf_rank { RANK_DEFAULT, RANK_COMMON /* above the sections */, RANK_FILE, RANK_COMMAND };

/* What parsing needs to know of the process, so that tests can be somebody else. */
struct conf_env {
    uid_t euid;
    int activated_fd; /* a socket from systemd, NOTIFY_NO_SOCKET or NOTIFY_MANY_SOCKETS */
    const struct notify_fds *activated; /* all of them with their names; NULL: none */
    struct conf_texts *texts;           /* of files; NULL: they are not needed afterwards */
    bool managed;                       /* a service manager waits to hear of us */
};

/* What is known of a share while it is read, or of what all have in common. */
struct conf_part {
    struct conf conf;
    uint8_t set_by[CONF_MAX_OPTIONS]; /* enum conf_rank, by row */
};

struct conf_reader {
    struct conf *conf;
    const struct conf_env *env;
    enum conf_rank rank; /* of what is being read now */
    bool files_only;     /* first passes over the command line: only --config acts */
    bool sections;       /* of these the second one: only sections act */
    bool has_sections;   /* there is one in some file */
    bool in_share;       /* conf is that of the last part */
    struct conf *common; /* conf when it is not */
    struct conf_texts *texts;
    struct conf_part *part; /* of the shares that have a section */
    size_t n_parts;
    bool capabilities;                /* --print-capabilities was seen */
    bool done;                        /* --help or --version was printed */
    uint8_t set_by[CONF_MAX_OPTIONS]; /* enum conf_rank, by row */
    char where[CONF_WHERE_MAX];       /* how the user spelt the option that is being read */
};

/** conf_find() - row of a name of @len bytes. *@negative: it was the no- form. Return: row or NULL. */
const struct conf_option *conf_find(const char *name, size_t len, bool *negative);

/** conf_rank_of() - who set an option, by its main name */
enum conf_rank conf_rank_of(const struct conf_reader *r, const char *name);

/** conf_fail() - print "virtiofsd: WHERE: message". Return: -EINVAL. */
__attribute__((format(printf, 2, 3))) int conf_fail(const struct conf_reader *r, const char *fmt,
                                                    ...);

/** conf_read() - parse and cross-check, without a look at the host's files except --config's.
 *  Return: as conf_parse(). */
int conf_read(struct conf *conf, const struct conf_env *env, int argc, char **argv);

/** conf_check() - conflicts between options, and what one implies for another. Return: 0 or -EINVAL. */
int conf_check(struct conf_reader *r);

/** conf_read_shares() - the same for any number of shares. Return: as conf_parse_shares(). */
int conf_read_shares(struct conf_shares *shares, const struct conf_env *env, int argc, char **argv);

/* ---- conf_share.c ------------------------------------------------------------------------------- */

/** conf_begin_share() - a line "[share NAME]": what is read now is about it. @common: what stands before the first
 *  Return: 0 or -EINVAL. */
int conf_begin_share(struct conf_reader *r, const struct conf_part *common, char *line);
/** conf_end_share() - the file has ended, and with it the last section */
void conf_end_share(struct conf_reader *r, struct conf_part *common);
/** conf_fits_here() - may this option stand where it stands? Return: 0 or -EINVAL. */
int conf_fits_here(const struct conf_reader *r, const struct conf_option *o);
/** conf_check_shares() - what two shares must not have in common. Return: 0 or -EINVAL. */
int conf_check_shares(struct conf_reader *r);
/** conf_copy() - a deep copy. Return: 0 or -ENOMEM, and @to is empty. */
int conf_copy(struct conf *to, const struct conf *from);

/** conf_check_source() - the share exists and is a directory or a file; its path made absolute */
int conf_check_source(struct conf *conf);

/* What the rows call; conf_value.c unless said. */
conf_set_fn conf_set_bool, conf_set_word, conf_set_string, conf_set_source, conf_set_int,
    conf_set_int64, conf_set_size, conf_set_limit, conf_set_seconds, conf_set_modcaps,
    conf_set_idmap, conf_set_xlate, conf_set_debug, conf_set_foreground, conf_set_refused;
conf_set_fn conf_set_config;                                        /* conf.c */
conf_set_fn conf_set_help, conf_set_version, conf_set_capabilities; /* conf_help.c */

/** conf_print_capabilities() - the JSON of docs/interop/vhost-user.json, on stdout */
void conf_print_capabilities(void);

#endif
