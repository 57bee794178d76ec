/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where TinyTrain keeps what it has learned, as the board has it:
 *   internal flash    Arduino's mbed cores: the last sectors, two slots of whole sectors; never over the sketch
 *   EEPROM            Arduino's Renesas cores: the data flash, all of it
 *   RAM               every other core: what is saved is forgotten when power goes
 */
#ifndef TINYTRAIN_STORAGE_H
#define TINYTRAIN_STORAGE_H

#include "tt_model.h"
#include "tt_storage.h"

#if defined(ARDUINO_ARCH_MBED) && defined(DEVICE_FLASH)
#define TINYTRAIN_STORAGE_FLASH
#include <FlashIAP.h>
#elif defined(ARDUINO_ARCH_RENESAS)
#define TINYTRAIN_STORAGE_EEPROM
#else
#define TINYTRAIN_STORAGE_RAM
#include "tt_storage_ram.h"
#endif

class TinyTrainStorage {
  public:
    constexpr TinyTrainStorage() = default;
    TinyTrainStorage(const TinyTrainStorage &) = delete;
    TinyTrainStorage &operator=(const TinyTrainStorage &) = delete;

    /*
     * Find the place for two slots, each of which holds the largest state of the model, so that they stay where they
     * are whatever is trained. TT_ERROR_STORAGE when the medium does not answer, TT_ERROR_STORAGE_TOO_SMALL when the
     * board has no room beside the sketch. A second call does nothing.
     */
    tt_status_t begin();

    /* For tt_save and tt_load, once begin has returned TT_OK. */
    const tt_storage_t *get() const {
        return &storage_;
    }

    /* What it is: "internal flash", "EEPROM" or "RAM". */
    static const char *name();

    /* Whether what is saved outlives a cut of power. */
    static bool isPermanent();

  private:
    static bool read(void *context, uint32_t offset, void *bytes, uint32_t count);
    static bool write(void *context, uint32_t offset, const void *bytes, uint32_t count);
    static bool erase(void *context, uint32_t offset, uint32_t count);
    static uint32_t size(void *context);
    static TinyTrainStorage &of(void *context) {
        return *static_cast<TinyTrainStorage *>(context);
    }

    tt_storage_t storage_ = {};
    uint32_t origin_ = 0;
    uint32_t bytes_ = 0;
#if defined(TINYTRAIN_STORAGE_FLASH)
    mbed::FlashIAP flash_;
#elif defined(TINYTRAIN_STORAGE_RAM)
    tt_storage_ram_t ram_ = {};
    alignas(8) uint8_t memory_[2u * ((TT_MODEL_STATE_BYTES + TT_STORAGE_RAM_PAGE_BYTES - 1u) /
                                     TT_STORAGE_RAM_PAGE_BYTES * TT_STORAGE_RAM_PAGE_BYTES)] = {};
#endif
};

#endif /* TINYTRAIN_STORAGE_H */
