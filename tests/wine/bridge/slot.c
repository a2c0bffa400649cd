// SPDX-License-Identifier: BSD-3-Clause
/*
 * slot.c - whether there is a device: the connection of a bench is the card in the slot
 *
 * Locks: slot.lock, inside; not held while the interface is switched.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/wine/bridge/bridge.h"

static void set_plug(struct slot *s, int fd, const struct serve_plug *p)
{
    pthread_mutex_lock(&s->lock);
    s->plug = fd;
    if (p) {
        memcpy(s->device, p->device, sizeof(s->device));
        s->plugged++;
        s->closed = 0;
    }
    pthread_mutex_unlock(&s->lock);
}

/* A bench has connected: there is a device until it leaves. */
static void serve_card(struct slot *s, int fd)
{
    struct serve_plug p;
    char byte = 1;

    if (wire_receive(fd, &p, sizeof(p)) < 0 || p.magic != SERVE_MAGIC ||
        p.device[sizeof(p.device) - 1] != '\0')
        return;
    set_plug(s, fd, &p);
    IoSetDeviceInterfaceState(&s->interface, TRUE);
    wire_send(fd, &byte, 1, NULL, 0, NULL, 0);
    while (wire_receive(fd, &byte, 1) == 0)
        ;
    set_plug(s, -1, NULL);
    IoSetDeviceInterfaceState(&s->interface, FALSE);
}

static void WINAPI slot_main(void *context)
{
    struct slot *s = context;
    int fd;

    while ((fd = accept(s->listener, NULL, NULL)) >= 0) {
        serve_card(s, fd);
        close(fd);
    }
    PsTerminateSystemThread(STATUS_SUCCESS);
}

NTSTATUS slot_start(struct slot *s)
{
    const char *dir = getenv("VIOFS_BRIDGE_DIR");
    char path[256];

    if (!dir)
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    s->plug = -1;
    pthread_mutex_init(&s->lock, NULL);
    snprintf(path, sizeof(path), "%s/slot%u", dir, s->number);
    s->listener = wire_listen(path);
    if (s->listener < 0)
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    return bridge_thread(slot_main, s) ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

void slot_stop(struct slot *s)
{
    pthread_mutex_lock(&s->lock);
    s->removed = true;
    if (s->plug >= 0)
        shutdown(s->plug, SHUT_RDWR);
    pthread_mutex_unlock(&s->lock);
    shutdown(s->listener, SHUT_RDWR);
}

bool slot_device(struct slot *s, char *path, uint32_t *plugged, uint32_t *closed)
{
    bool there;

    pthread_mutex_lock(&s->lock);
    there = s->plug >= 0 && !s->removed;
    memcpy(path, s->device, sizeof(s->device));
    *plugged = s->plugged;
    *closed = s->closed;
    pthread_mutex_unlock(&s->lock);
    return there;
}

void slot_closed(struct slot *s, uint32_t plugged)
{
    pthread_mutex_lock(&s->lock);
    s->closed += plugged == s->plugged;
    pthread_mutex_unlock(&s->lock);
}
