/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TT_SIM_DESCRIPTION_H
#define TT_SIM_DESCRIPTION_H

#include "tt_sim_model.h"
#include "tt_sim_protocol.h"

#if TT_MODEL_HAS_PROTOTYPES
#define TT_SIM_EMBEDDING_ELEMENTS TT_MODEL_EMBEDDING_ELEMENTS
#else
#define TT_SIM_EMBEDDING_ELEMENTS 0
#endif

#if TT_MODEL_LABEL_VECTOR
#define TT_SIM_LABEL_ELEMENTS TT_MODEL_LABEL_ELEMENTS
#else
#define TT_SIM_LABEL_ELEMENTS 0
#endif

/* The build as its header has it, so that Python notices a simulation.json of another build. */
#define TT_SIM_DESCRIPTION                                                                                             \
    {                                                                                                                  \
        TT_SIM_PROTOCOL_VERSION, TT_MODEL_INPUT_ELEMENTS, TT_MODEL_CLASSES, TT_SIM_EMBEDDING_ELEMENTS,                 \
            TT_SIM_LABEL_ELEMENTS, TT_MODEL_ARENA_BYTES, TT_MODEL_REGIONS_BYTES, (uint32_t)TT_MODEL_ROW_POOL_BYTES,    \
            (uint32_t)sizeof(tt_session_t)                                                                             \
    }

#endif /* TT_SIM_DESCRIPTION_H */
