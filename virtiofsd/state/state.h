// SPDX-License-Identifier: BSD-3-Clause
/*
 * state.h - the server's part of a migration (vu_ops.save(), load(), resumed())
 */
#ifndef VIOFS_STATE_H
#define VIOFS_STATE_H

struct stream_in;
struct stream_out;

/**
 * state_save() - write the session, its inodes, open files and locks; the locks are given up
 * Return: 0; -errno (the reason is logged): what cannot be found elsewhere, unless --migration-on-error lets it go.
 */
int state_save(void *srv, void *thread, struct stream_out *out);

/**
 * state_load() - take over what another daemon wrote
 * @kind: of the first record, read already
 * Return: 0; -errno (the reason is logged), and there is no session.
 */
int state_load(void *srv, void *thread, struct stream_in *in, int kind);

/** state_resumed() - the guest stays: take the locks back */
void state_resumed(void *srv);

#endif
