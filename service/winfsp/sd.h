// SPDX-License-Identifier: BSD-3-Clause
/*
 * sd.h - security descriptors from permission bits and back
 */
#ifndef VIOFS_SERVICE_SD_H
#define VIOFS_SERVICE_SD_H

#include <stdbool.h>
#include <stdint.h>

#define SVC_SD_SIZE     72 /* bytes of what svc_sd_make() makes */
#define SVC_SD_HOST_SID 16

uint32_t svc_sd_make(uint32_t mode, bool directory, uint8_t out[SVC_SD_SIZE]);

/* What a changed descriptor says; a uid or gid of UINT32_MAX: not one of the host. */
struct svc_sd_owner {
    uint32_t uid, gid;
};

int svc_sd_permissions(const uint8_t *sd, uint32_t len, uint32_t *bits);
int svc_sd_stored_permissions(const uint8_t *sd, uint32_t len, uint32_t *bits);
void svc_sd_host_owners(uint32_t uid, uint32_t gid, uint8_t owner[SVC_SD_HOST_SID],
                        uint8_t group[SVC_SD_HOST_SID]);
int svc_sd_owners(const uint8_t *sd, uint32_t len, struct svc_sd_owner *out);
uint32_t svc_sd_merge(uint32_t mode, uint32_t shown, uint32_t wanted);

#endif
