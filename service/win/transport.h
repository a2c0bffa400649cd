// SPDX-License-Identifier: BSD-3-Clause
/*
 * transport.h - the client's requests through the Windows driver
 */
#ifndef VIOFS_SERVICE_TRANSPORT_H
#define VIOFS_SERVICE_TRANSPORT_H

#include <stdbool.h>

#include "service/client/transport.h"
#include "service/win/device_io.h"

/* What can be asked of a device without owning its session. */
struct svc_device_facts {
    wchar_t tag[40];  /* fit for messages; "" if the driver could not say */
    bool ours;        /* viofs.sys; else virtio-win's driver */
    bool owned;       /* another handle has the session (known of viofs.sys only) */
    bool stalled;     /* the driver waits for the host (likewise) */
    uint32_t version; /* of viofs.sys' control codes */
    uint64_t epoch;   /* likewise */
};

/** svc_device_ask() - what kind of driver, which tag. Return: an NTSTATUS. */
uint32_t svc_device_ask(struct dev_io *d, struct svc_device_facts *out);

/**
 * svc_transport_open() - messages over a device
 * @d: borrowed until svc_transport_free()
 * @ours: which driver it is, as svc_device_ask() found
 *
 * Return: NULL when memory is short. The device is to be closed after the transport was freed.
 */
struct cli_transport *svc_transport_open(struct dev_io *d, bool ours);
void svc_transport_free(struct cli_transport *t);

#endif
