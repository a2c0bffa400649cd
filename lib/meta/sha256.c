// SPDX-License-Identifier: BSD-3-Clause
/*
 * sha256.c - the hash SHA-256
 *
 * Theory of operation
 *
 *   As FIPS 180-4 writes it down, for messages that lie in memory as a whole. Stored ACLs carry such hashes (ntacl.c);
 *   a library for so little would be one more thing to install on both sides. Not made for speed.
 *
 * Ownership: borrows everything.   Locks: none. Portable.
 */
#include <string.h>

#include "lib/meta/sha256.h"

enum { BLOCK = 64, LENGTH_AT = 56, ROUNDS = 64 };

/* FIPS 180-4, 4.2.2: the cube roots of the first 64 primes */
static const uint32_t round_constant[ROUNDS] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t turn(uint32_t x, unsigned by)
{
    return x >> by | x << (32 - by);
}

/* 6.2.2, step 1: the schedule of a block */
static void schedule(const uint8_t block[BLOCK], uint32_t w[ROUNDS])
{
    for (unsigned t = 0; t < 16; t++)
        w[t] = (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16 |
               (uint32_t)block[4 * t + 2] << 8 | block[4 * t + 3];
    for (unsigned t = 16; t < ROUNDS; t++) {
        uint32_t early = turn(w[t - 15], 7) ^ turn(w[t - 15], 18) ^ w[t - 15] >> 3;
        uint32_t late = turn(w[t - 2], 17) ^ turn(w[t - 2], 19) ^ w[t - 2] >> 10;

        w[t] = late + w[t - 7] + early + w[t - 16];
    }
}

/* steps 2 to 4; v: a to h */
static void add_block(uint32_t state[8], const uint8_t block[BLOCK])
{
    uint32_t w[ROUNDS], v[8];

    schedule(block, w);
    memcpy(v, state, sizeof(v));
    for (unsigned t = 0; t < ROUNDS; t++) {
        uint32_t choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
        uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
        uint32_t one = v[7] + (turn(v[4], 6) ^ turn(v[4], 11) ^ turn(v[4], 25)) + choice +
                       round_constant[t] + w[t];
        uint32_t two = (turn(v[0], 2) ^ turn(v[0], 13) ^ turn(v[0], 22)) + majority;

        memmove(v + 1, v, 7 * sizeof(v[0]));
        v[4] += one;
        v[0] = one + two;
    }
    for (unsigned i = 0; i < 8; i++)
        state[i] += v[i];
}

/** sha256() - @len: 0..SIZE_MAX bytes */
void sha256(const void *bytes, size_t len, uint8_t out[SHA256_SIZE])
{
    /* 5.3.3: the square roots of the first 8 primes */
    uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    const uint8_t *p = bytes;
    size_t left = len;
    uint8_t last[2 * BLOCK] = {0};

    for (; left >= BLOCK; left -= BLOCK, p += BLOCK)
        add_block(state, p);
    if (left)
        memcpy(last, p, left);
    last[left] = 0x80;
    uint8_t *end = last + (left < LENGTH_AT ? BLOCK : 2 * BLOCK);
    for (unsigned i = 0; i < 8; i++)
        end[-1 - (int)i] = (uint8_t)((uint64_t)len * 8 >> 8 * i);
    for (const uint8_t *block = last; block < end; block += BLOCK)
        add_block(state, block);
    for (unsigned i = 0; i < SHA256_SIZE; i++)
        out[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
}
