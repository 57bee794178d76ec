/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saved personalisations: what a board has learned, in two slots of a storage. Applications call tt_save and tt_load of
 * tt_model.h, which fill in a tt_state_t; the format is here because tools read it.
 *
 * A slot, little-endian, without gaps:
 *
 *     tt_state_header_t
 *     for each trainable layer of the build: uint16 number of the layer in the model, uint16 channels chosen, uint32
 *         floats of a row
 *     the chosen channels of all layers, ascending in each: uint16, padded with one 0xffff to a multiple of 4 bytes
 *     the rows of the chosen channels, layer by layer: float32 [channels chosen][floats of a row]
 *     with prototypes: float32 sums [classes][elements], uint32 counts [classes]
 *     uint32 CRC-32 of everything before
 *
 * The moments of the optimiser are not saved: bias correction would be wrong for moments that start at zero, so the
 * optimiser begins anew after tt_load. `steps` tells how many updates the rows have seen.
 *
 * A save writes the slot that does not hold the newest state of this build, its checksum last, and finds it again as a
 * load does: at whatever byte the power is cut, the other slot still holds the state before, and the new one counts only
 * when whole.
 *
 * Reads may fail, and may give wrong bits without failing. Whatever does not read as a state of this build is read again
 * until two readings are alike, at most four times, so that single bad reads cost nothing. Nothing that has been checked
 * is read again without being checked again: numbers that steer accesses to memory on that very reading, all of it by
 * the checksum over what has been taken over.
 *
 * A load is, in this order:
 *
 *     tt_state_find(&state, storage, &slot)             changes nothing but slot
 *     tt_state_read_plan(&state, &slot, counts, ...)    where the board chooses its plan: changes the plan's memory
 *     (lay the rows out by that plan: state.rows are those of the slot)
 *     tt_state_read_rows(&state, &slot)                 changes rows and prototypes
 *
 * After an error of the second or the last, what has been read is of no use: reset the session.
 */
#ifndef TT_STATE_H
#define TT_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "tt_rows.h"
#include "tt_status.h"
#include "tt_storage.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TT_STATE_MAGIC 0x53505454u /* "TTPS" */
#define TT_STATE_VERSION 1u
#define TT_STATE_MODEL_BYTES 8u

typedef struct {
    uint32_t magic;
    uint16_t version;
    uint16_t layers;                     /* trainable layers of the build: entries of the plan */
    uint32_t sequence;                   /* one more than that of the state before; compared modulo 2^32 */
    uint32_t bytes;                      /* of the whole state, CRC-32 included */
    uint8_t model[TT_STATE_MODEL_BYTES]; /* fingerprint of architecture, names and base weights */
    uint32_t plan;     /* CRC-32 of the plan: the entries of the layers and the channels, padding included */
    uint32_t steps;    /* updates that the rows have seen */
    uint32_t classes;  /* 0 without prototypes */
    uint32_t elements; /* floats of an embedding; 0 without prototypes */
} tt_state_header_t;

/* What is saved, where it lies in the session. Filled in by tt_model.c; pointers stay the session's. */
typedef struct {
    uint8_t model[TT_STATE_MODEL_BYTES];
    const uint16_t *numbers;        /* [layers]: number of each trainable layer in the model */
    const uint16_t *channels_total; /* [layers] */
    const tt_rows_t *rows;          /* [layers]: with trained 0, a layer that was not chosen */
    uint32_t layers;
    bool fixed_plan;           /* the plan is that of the build; else the board chooses */
    const uint32_t *row_bytes; /* [layers]: of a trained row and all that is kept beside it; not read with fixed_plan */
    uint64_t rows_limit;       /* bytes of those that fit; any plan within it can be loaded */
    float *sums;               /* [classes][elements]; NULL without prototypes */
    uint32_t *counts;          /* [classes]; NULL without prototypes */
    uint32_t classes;
    uint32_t elements;
    uint32_t steps;
} tt_state_t;

/* A complete state that may be loaded: where it begins, its header, and its last four bytes. */
typedef struct {
    const tt_storage_t *storage;
    uint32_t offset;
    tt_state_header_t header;
    uint32_t crc;
} tt_state_slot_t;

/* Bytes of a state of the plan that state holds now. state: in, not NULL. */
TT_COLD uint32_t tt_state_size(const tt_state_t *state);

/*
 * Save. storage: in.
 * TT_OK: tt_state_find has found it, and finds nothing newer when the storage becomes more readable than it was.
 * TT_ERROR_NULL_POINTER (storage, or one of its functions); TT_ERROR_INVALID_ARGUMENT (sizes of page or block);
 * TT_ERROR_STORAGE_TOO_SMALL; TT_ERROR_NOT_FINITE (a row or prototype); TT_ERROR_STORAGE: it failed, or did not keep
 * what was written. On an error the newest state that was there can still be loaded, or the new one can.
 */
TT_COLD tt_status_t tt_state_save(const tt_state_t *state, const tt_storage_t *storage);

/*
 * Find the newest complete state of this model with a plan that this build can train and finite numbers. Everything is
 * checked here, so that what follows can only fail together with the storage. A slot that cannot be read, or is damaged
 * or not finite, is passed over for the other one.
 *
 * state: in, not NULL. slot: out, the header that the checksum covers.
 * TT_ERROR_NULL_POINTER and TT_ERROR_INVALID_ARGUMENT as for tt_state_save. Where no slot can be loaded, the first that
 * holds for one of them: TT_ERROR_STORAGE (it cannot be read), TT_ERROR_NOT_FINITE (complete and ours, but NaN or
 * infinite), TT_ERROR_OTHER_STATE (complete, of another model or plan), TT_ERROR_NO_STATE.
 */
TT_COLD tt_status_t tt_state_find(const tt_state_t *state, const tt_storage_t *storage, tt_state_slot_t *slot);

/*
 * Find the newest complete state, of whatever model: to send it elsewhere, slot->header.bytes from slot->offset on.
 *
 * slot: out.
 * The errors of tt_state_find but for TT_ERROR_OTHER_STATE and TT_ERROR_NOT_FINITE.
 */
TT_COLD tt_status_t tt_state_newest(const tt_storage_t *storage, tt_state_slot_t *slot);

/*
 * Read the plan of a slot that tt_state_find has found, for a build without fixed_plan.
 *
 * counts:   out, [layers]: at most channels_total of the layer.
 * channels: out, room for all channels of each layer one after the other, the chosen ones first in each room: ascending,
 *           below channels_total, and all together within rows_limit.
 * TT_ERROR_STORAGE: what was read is not the plan that was found; counts and channels hold anything.
 */
TT_COLD tt_status_t tt_state_read_plan(const tt_state_t *state, const tt_state_slot_t *slot, uint16_t *counts,
                                       uint16_t *channels);

/*
 * Read rows and prototypes of a slot into place. The rows of state are those of the slot's plan by now. The checksum of
 * the state is formed over the slot's header, the plan that state has in memory, and the rows and prototypes in place.
 *
 * TT_ERROR_STORAGE: that is not the state that was found; rows and prototypes hold anything.
 * TT_ERROR_OTHER_STATE: the rows of state are not of the slot's plan; nothing was read.
 */
TT_COLD tt_status_t tt_state_read_rows(const tt_state_t *state, const tt_state_slot_t *slot);

#ifdef __cplusplus
}
#endif

#endif /* TT_STATE_H */
