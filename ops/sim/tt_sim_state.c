/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_sim_state.h"

#include "tt_state.h"
#include "tt_storage_ram.h"

uint32_t tt_sim_storage_bytes(void) {
    return TT_SIM_STORAGE_BYTES;
}

tt_status_t tt_sim_save(tt_session_t *session, uint8_t *memory, uint32_t *offset, uint32_t *bytes) {
    tt_storage_ram_t ram;
    const tt_storage_t storage = tt_storage_ram(&ram, memory, TT_SIM_STORAGE_BYTES);
    tt_state_slot_t slot;
    tt_status_t status = tt_save(session, &storage);
    if (status == TT_OK) {
        status = tt_state_newest(&storage, &slot);
    }
    if (status == TT_OK) {
        *offset = slot.offset;
        *bytes = slot.header.bytes;
    }
    return status;
}

tt_status_t tt_sim_load(tt_session_t *session, uint8_t *memory) {
    tt_storage_ram_t ram;
    const tt_storage_t storage = tt_storage_ram(&ram, memory, TT_SIM_STORAGE_BYTES);
    return tt_load(session, &storage);
}
