// SPDX-License-Identifier: BSD-3-Clause
/*
 * tree.c - the tree as a whole: its root, its beginning and its end (see tree.h)
 *
 * syscalls: fcntl close
 */
#include <fcntl.h>
#include <unistd.h>

#include "host/log.h"
#include "tree/tree_int.h"

/* The root has id 1, a descriptor that is never evicted, and no name. */
static int root_open(struct tree *t, struct inode *root)
{
    struct inode_fd f;
    int fd = fcntl(t->p.root_fd, F_DUPFD_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    fdcache_install(t, root, fd, FD_KEEP, &f);
    inode_fd_put(t, &f);
    return 0;
}

static int root_identify(struct tree *t, struct statx *stx, struct identity *id)
{
    if (statx(t->p.root_fd, "", AT_EMPTY_PATH, TREE_STATX_MASK, stx) < 0)
        return -errno;
    if (!S_ISDIR(stx->stx_mode) && !S_ISREG(stx->stx_mode))
        return -ENOTDIR;
    return identify(t, 0, stx, t->p.root_fd, -1, "", id);
}

static int root_make(struct tree *t)
{
    struct statx stx;
    struct identity id;
    int r = root_identify(t, &stx, &id);

    if (r < 0)
        return r;
    t->head->n_slots = TREE_ROOT_ID;
    struct inode *root = table_new(t, &id, stx.stx_mode);
    if (!root)
        return -ENOMEM;
    if (inode_id(root) != TREE_ROOT_ID)
        abort(); /* the first slot of an empty table */
    struct shard *s = inode_shard(t, root);
    pthread_mutex_lock(&s->lock);
    table_hash(t, s, identity_hash(&id), root);
    pthread_mutex_unlock(&s->lock);
    return root_open(t, root); /* its first reference is never put before tree_free() */
}

/* The root that another worker made: it must be the directory that is shared now. */
static int root_resume(struct tree *t)
{
    struct inode *root = slot_inode(t, TREE_ROOT_ID);
    struct statx stx;
    struct identity id;
    int r = root_identify(t, &stx, &id);

    if (r < 0)
        return r;
    if (identity_is(&id, root))
        return root_open(t, root);
    log_error(
        "another directory is shared now than before the daemon was replaced; restart guest and "
        "daemon, or share the old one again");
    return -ESTALE;
}

/* --inode-file-handles=mandatory is a promise: find out now whether it can be kept. */
static int check_handles(struct tree *t)
{
    struct inode *root = slot_inode(t, TREE_ROOT_ID);
    struct mount *m = mount_at(t->mounts, root->mount);

    if (t->p.handles == HANDLES_NEVER) {
        t->p.can_handles = false;
        return 0;
    }
    bool works = t->p.can_handles && m->handles;
    if (works)
        (void)mount_handle_fd(t->mounts, m, t->p.root_fd, inode_type(root), t->p.proc_fd);
    if (works || t->p.handles != HANDLES_MANDATORY)
        return 0;
    log_error("--inode-file-handles=mandatory: %s; use --inode-file-handles=prefer",
              m->handles ? "opening file handles needs CAP_DAC_READ_SEARCH outside a user namespace"
                         : "the file system of the shared directory has no file handles");
    return -EOPNOTSUPP;
}

/* Everything that needs what is in kept memory. */
static int begin(struct tree *t)
{
    int r = mounts_begin(t->mounts);
    bool resumes = keep_resumes(t->p.keep) && t->head->n_slots > TREE_ROOT_ID;

    if (r == 0 && resumes)
        r = resume_begin(t);
    if (r == 0)
        r = resumes ? root_resume(t) : root_make(t);
    /* The other one ended before there was anything: tree_settle() counts the root's reference, too. */
    if (r == 0 && !resumes && keep_resumes(t->p.keep))
        atomic_store(&slot_inode(t, TREE_ROOT_ID)->refs, 0);
    t->begun = r == 0;
    if (r < 0)
        log_error("cannot set up the shared directory: %s", strerror(-r));
    return r == 0 ? check_handles(t) : r;
}

int tree_resume(struct tree *t)
{
    return begin(t);
}

int tree_new(struct tree **out, const struct tree_params *p)
{
    struct tree *t = aligned_alloc(64, sizeof(*t));

    if (!t)
        return -ENOMEM;
    memset(t, 0, sizeof(*t));
    t->p = *p;
    int r = mounts_new(&t->mounts, p->keep, p->proc_fd);
    if (r == 0)
        r = table_init(t);
    if (r == 0)
        r = fdcache_init(&t->fds, p->max_fds, p->keep);
    if (r < 0)
        log_error("cannot set up the shared directory: %s", strerror(-r));
    else if (!keep_resumes(p->keep))
        r = begin(t);
    if (r < 0) {
        tree_free(t);
        return r;
    }
    *out = t;
    return 0;
}

void tree_free(struct tree *t)
{
    if (!t)
        return;
    /* A supervised worker's tables are the next one's. */
    if (t->begun && !keep_is_supervised(t->p.keep)) {
        tree_reset(t);
        inode_put(t, slot_inode(t, TREE_ROOT_ID));
    }
    fdcache_free(&t->fds);
    table_free(t);
    mounts_free(t->mounts);
    free(t);
}
