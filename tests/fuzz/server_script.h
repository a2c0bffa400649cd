// SPDX-License-Identifier: BSD-3-Clause
/*
 * server_script.h - what one input of fuzz_server says: a session and a list of steps
 */
#ifndef VIOFS_TESTS_SERVER_SCRIPT_H
#define VIOFS_TESTS_SERVER_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCRIPT_HEAD      4u  /* bytes before the first step */
#define SCRIPT_MAX_STEPS 12u /* more are not looked at */
#define STEP_HEAD        9u
#define STEP_BYTES       255u

/* Byte 0: which server and how it is used. */
enum {
    HEAD_SERVER = 0x07,  /* modulo their number */
    HEAD_NO_INIT = 0x08, /* the script does that itself, or not at all */
    HEAD_POLITE = 0x10,  /* close and forget everything before DESTROY */
};
/* Byte 1: groups of INIT flags that are not asked for. Byte 2: minor, counted down. Byte 3: chance. */

/* step.op */
enum {
    STEP_HOST = 0x80,    /* the host does something: enum host_op in the rest, modulo */
    STEP_UNKNOWN = 0xc0, /* the opcode is the first word of bytes */
};

/* step.shape */
enum {
    SHAPE_OUT = 0x03, /* how the readable part of the chain is cut: enum cut */
    SHAPE_IN = 0x0c,  /* the writable part, shifted by 2 */
    SHAPE_CROWDED = 0x10,
    SHAPE_USER = 0x20,    /* uid and gid 1000, not 0 */
    SHAPE_RAW_IDS = 0x40, /* node ids and handles in the arguments are what bytes say */
    SHAPE_HIPRIO = 0x80,
};

/* step.len */
enum {
    LEN_SIZE = 0x0f,  /* bytes of the value, data or extension: an index */
    LEN_RAW = 0x10,   /* the size that the arguments name is what bytes say */
    LEN_LONG = 0x20,  /* more is offered than the header says */
    LEN_SHORT = 0x40, /* less is offered */
    LEN_LIES = 0x80,  /* header.len is the last word of bytes */
};

/* step.node, step.fh: known ones in order of their arrival, then oddities. */
enum {
    NODE_OF_HANDLE = 0xc0, /* step.node: the node on which the step's handle was opened */
    ID_ODD = 0xe0,
};

/* step.room: an index of sizes, and the one that suffices for everything but READ and listings */
#define ROOM_AMPLE 12u

/* step.name: an index, or this and the number of bytes that are the name. */
#define NAME_RAW 0xc0u

struct step {
    uint8_t op, shape, node, fh;
    uint8_t name[2];
    uint8_t room; /* of the reply: an index */
    uint8_t len;
    uint8_t n;
    const uint8_t *bytes; /* arguments of the opcode (zeros where they are missing), then a tail */
};

struct script {
    const uint8_t *at, *end;
    unsigned left; /* steps */
};

/** script_begin() - @data holds at least SCRIPT_HEAD bytes */
void script_begin(struct script *s, const uint8_t *data, size_t size);
/** script_next() - the next step; a cut one has fewer bytes. Return: false at the end. */
bool script_next(struct script *s, struct step *step);

/** script_write_seeds() - one input for each opcode and a few scenes, into @dir. Return: 0 or -errno. */
int script_write_seeds(const char *dir);

#endif
