// SPDX-License-Identifier: BSD-3-Clause
/*
 * fold.h - a set of names that is searched regardless of case
 *
 * Ownership: the caller's, freed with cli_fold_free().   Locks: the caller's.
 */
#ifndef VIOFS_CLIENT_FOLD_H
#define VIOFS_CLIENT_FOLD_H

#include "service/client/client_int.h"

/** cli_fold_hash() - equal for names that are cli_fold_equal() */
uint32_t cli_fold_hash(struct cli_name name);

/*
 * Names of one directory. A name that was removed stays in it as missing, so that a listing that is read at
 * the same time does not bring it back.
 */
struct cli_fold {
    uint64_t serial; /* tells this index from one that has replaced it */
    bool building;   /* a listing is being read into it: what is not in it may still come */
    struct cli_time mtime, ctime; /* of the directory when the reading began */
    bool ours;                    /* we changed it since: the next new times are our doing */
    uint64_t distrust_ms;         /* cli_clock_ms() from which it is read again, 0 never */
    uint64_t
        valid_ms; /* until then nobody needs to look at the directory's times: the host said so */
    uint32_t live, dead; /* names, and names that are missing */
    uint32_t slots;      /* a power of two */
    uint32_t *slot;      /* offset into bytes, plus 1; 0: empty */
    uint8_t *bytes;
    uint32_t used, cap; /* of bytes */
};

struct cli_fold *cli_fold_new(void);
void cli_fold_free(struct cli_fold *f);
/** cli_fold_size() - bytes of memory that it takes */
uint64_t cli_fold_size(const struct cli_fold *f);

/**
 * cli_fold_put() - a name is there, or is missing
 * @listed: it comes from a listing: what is known better is left as it is
 * Return: 0 or -LE_ENOMEM.
 */
int cli_fold_put(struct cli_fold *f, struct cli_name name, bool there, bool listed);

/** cli_fold_get() - the very spelling, or the one that sorts first. Return: its length, or -LE_ENOENT. */
int cli_fold_get(const struct cli_fold *f, struct cli_name name, char *actual);

/** cli_fold_better() - of two spellings that fit `name`, is `a` to be preferred to `b`? */
bool cli_fold_better(struct cli_name name, struct cli_name a, struct cli_name b);

#endif
