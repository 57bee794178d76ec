/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of a layer as ops get them: the filter of a frozen layer, or base, pool and choice of a candidate (see
 * tt_op_params.h). What `choice` says is checked whenever it is read, since a user may write it between two runs.
 */
#ifndef TT_CANDIDATE_H
#define TT_CANDIDATE_H

#include "tt_call.h"
#include "tt_preparation.h"
#include "tt_rows.h"

namespace tinytrain {

/* What the parameters say of a layer. */
struct Layer {
    int32_t channels;
    int32_t row_length; /* weights of a row, the bias not counted */
    int32_t stride;
    int32_t candidate; /* or TT_OP_FROZEN */
    int32_t copies;
};

/* What `choice` says of a candidate. */
struct Candidate {
    const int32_t *channels; /* [trained], ascending */
    float *part;             /* of the pool: [copies][trained][stride] */
    uint32_t trained;
    int64_t begin; /* of the part, in floats from the start of the pool */
    int64_t end;

    /* The block of the part with that number. */
    float *Block(const Layer &layer, int32_t block) const {
        return part + static_cast<size_t>(block) * trained * static_cast<uint32_t>(layer.stride);
    }
};

struct Choice {
    const int32_t *words;
    int64_t words_count;
    float *pool; /* NULL where only the numbers are to be checked */
    int64_t pool_floats;
};

/* Reads and checks what is chosen of a candidate; name: of the op, for messages. */
TfLiteStatus ReadCandidate(TfLiteContext *context, const char *name, const Layer &layer, const Choice &choice,
                           Candidate *candidate);
/* The same in Invoke, with the inputs at those places. */
TfLiteStatus ReadCandidate(const Call &call, const char *name, const Layer &layer, int pool, int choice,
                           Candidate *candidate);

/* Whether stride, candidate and copies fit the layer; may_be_frozen: whether TT_OP_FROZEN is allowed. */
void CheckLayer(Preparation &preparation, const Layer &layer, bool may_be_frozen);
/* Checks the inputs pool and choice at those places; trained: the number of chosen channels if choice is a constant,
 * else -1. */
void CheckChoice(Preparation &preparation, const Layer &layer, int pool, int choice, int32_t *trained);
/* Checks the inputs that hold the rows, from that place on. */
void CheckRows(Preparation &preparation, const Layer &layer, int first);

/* How many inputs hold the rows. */
inline int RowInputs(const Layer &layer) {
    return layer.candidate == TT_OP_FROZEN ? 1 : 3;
}

/* Bytes of scratch that BuildRows wants; 0 for a frozen layer. */
inline size_t RowScratchBytes(const Layer &layer) {
    return layer.candidate == TT_OP_FROZEN ? 0u : 2u * sizeof(uint16_t) * static_cast<size_t>(layer.channels);
}

/* The rows for the kernels. scratch: RowScratchBytes, in use as long as rows is. */
TfLiteStatus BuildRows(const Call &call, const char *name, const Layer &layer, int first, void *scratch,
                       tt_rows_t *rows);

/* The chosen channels in the type of the kernels. list: out, [candidate.trained]. */
void CopyChannels(const Candidate &candidate, uint16_t *list);

} // namespace tinytrain

#endif /* TT_CANDIDATE_H */
