// SPDX-License-Identifier: BSD-3-Clause
/*
 * conf.h - what the administrator asked for
 *
 * One struct a share, filled once from the command line and --config files, read-only after
 * that and shared by every thread. Strings live as long as the process.
 */
#ifndef VIOFS_CONF_H
#define VIOFS_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "conf_text.h"
#include "host/log.h"

enum conf_cache { CACHE_AUTO, CACHE_NEVER, CACHE_ALWAYS, CACHE_METADATA };
enum conf_sandbox { SANDBOX_NAMESPACE, SANDBOX_CHROOT, SANDBOX_NONE };
enum conf_seccomp { SECCOMP_KILL, SECCOMP_NONE, SECCOMP_LOG, SECCOMP_TRAP };
enum conf_handles { HANDLES_PREFER, HANDLES_NEVER, HANDLES_MANDATORY };
enum conf_watch { WATCH_AUTO, WATCH_NEVER, WATCH_INOTIFY, WATCH_FANOTIFY };
enum conf_migration { MIGRATE_PATHS, MIGRATE_HANDLES };
enum conf_on_error { ON_ERROR_ABORT, ON_ERROR_GUEST };
enum conf_when { WHEN_NEVER, WHEN_AUTO, WHEN_ALWAYS };

/* --uid-map / --gid-map: a user namespace line */
struct conf_idmap {
    uint32_t inside, outside, count;
};

/* --translate-uid / --translate-gid: in-process translation between guest and host ids */
enum conf_xlate_kind {
    XLATE_GUEST,        /* guest -> host only: guest-id, host-id, count */
    XLATE_HOST,         /* host -> guest only: host-id, guest-id, count */
    XLATE_SQUASH_GUEST, /* guest range -> one host id: guest base, host id, count */
    XLATE_SQUASH_HOST,  /* host range -> one guest id: host base, guest id, count */
    XLATE_FORBID_GUEST, /* guest range refused with EPERM: guest base, count */
    XLATE_MAP,          /* both ways: guest base, host base, count */
};
struct conf_xlate {
    enum conf_xlate_kind kind;
    uint32_t from, to, count;
};

struct conf {
    const char *name;         /* of one of several shares; NULL: the only one */
    const char *source;       /* absolute path of the shared directory (or single file) */
    const char *socket_path;  /* NULL with --fd */
    const char *socket_group; /* NULL: owner only */
    int listen_fd;            /* --fd, or handed over by systemd; else -1 */
    bool activated;           /* listen_fd is systemd's */
    const char *tag;          /* NULL: no PROTOCOL_F_CONFIG */
    bool keep_listening;
    bool daemonize;
    bool supervise;
    const char *stats_socket; /* NULL: no statistics kept */

    int thread_pool_size;  /* -1: chosen by the daemon; 0: everything inline */
    int64_t rlimit_nofile; /* -1: chosen by the daemon; 0: leave as it is */

    /* limits; 0: none */
    int64_t limit_bytes, limit_inodes;  /* by project quota */
    int64_t project_id;                 /* for these; -1: the one that the directory has */
    int64_t limit_ops, limit_bandwidth; /* a second */
    int limit_in_flight;
    int64_t limit_files; /* descriptors */

    enum conf_cache cache;
    double timeout; /* seconds, < 0: from the cache mode */
    enum conf_watch watch;
    int watch_limit; /* directories */
    bool readdirplus;
    bool writeback;
    bool allow_direct_io;
    bool allow_mmap;
    bool announce_submounts;
    bool flock;
    bool posix_lock;
    bool readonly;
    bool preserve_noatime;
    bool xattr;
    const char *xattrmap; /* NULL, or the text of the rules */
    enum conf_when posix_acl;
    enum conf_when security_label;
    enum conf_when
        killpriv_v2; /* AUTO: when the guest offers it and the host file system is local */
    enum conf_handles inode_file_handles;
    enum conf_migration migration_mode;       /* how another daemon is to find the guest's files */
    enum conf_on_error migration_on_error;    /* what happens when it will not, or does not */
    bool migration_verify, migration_confirm; /* asked for; both are always done */

    enum conf_sandbox sandbox;
    enum conf_seccomp seccomp;
    const char *modcaps; /* NULL, or "+cap:-cap..." checked by conf_parse() */
    struct conf_idmap *uid_map, *gid_map;
    size_t n_uid_map, n_gid_map;
    struct conf_xlate *xlate_uid, *xlate_gid;
    size_t n_xlate_uid, n_xlate_gid;

    enum log_level log_level;
    bool syslog;
};

enum conf_action { CONF_RUN, CONF_DONE /* --help and the like: printed, exit 0 */ };

/*
 * All shares of the process, at least one. What a process has only once (sandbox, log, statistics ...) is the same in
 * each. Without sections in a file there is one share, without a name.
 */
struct conf_shares {
    struct conf *at;
    size_t n;
    struct conf_texts texts; /* of the files */
};
#define CONF_MAX_SHARES 4096

/**
 * conf_parse_shares() - read the command line, which may name files with several shares
 * @shares: filled when CONF_RUN is returned; to be freed then
 *
 * Prints its own errors as conf_parse() does. Return: as conf_parse().
 */
int conf_parse_shares(struct conf_shares *shares, int argc, char **argv);
void conf_free_shares(struct conf_shares *shares);

/**
 * conf_parse() - read a command line of one share without a name
 * @conf: filled, defaults included
 *
 * Prints its own errors (naming the option and the next step) to stderr.
 * Return: CONF_RUN, CONF_DONE, or -EINVAL.
 */
int conf_parse(struct conf *conf, int argc, char **argv);

/** conf_free() - release the strings and lists; only once no thread reads them any more */
void conf_free(struct conf *conf);

#endif
