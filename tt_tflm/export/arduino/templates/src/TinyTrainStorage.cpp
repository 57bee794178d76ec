/* SPDX-License-Identifier: Apache-2.0 */
#include "TinyTrainStorage.h"

#if defined(TINYTRAIN_STORAGE_EEPROM)
#include <EEPROM.h>
#endif

#if defined(TINYTRAIN_STORAGE_FLASH)

namespace {

/* A whole number of programmable pages on every mbed core (4 bytes on nRF52, 32 on STM32H7, 256 on RP2040 at most). */
constexpr uint32_t kPageBytes = TT_STORAGE_MAX_PAGE_BYTES;

constexpr uint32_t roundedUp(uint32_t bytes, uint32_t unit) {
    return (bytes + unit - 1u) / unit * unit;
}

} // namespace

tt_status_t TinyTrainStorage::begin() {
    if (bytes_ != 0u) {
        return TT_OK;
    }
    if (flash_.init() != 0) {
        return TT_ERROR_STORAGE;
    }
    const uint32_t flash_bytes = flash_.get_flash_size();
    const uint32_t end = flash_.get_flash_start() + flash_bytes;
    const uint32_t sector = flash_.get_sector_size(end - 1u);
    if (sector == 0u || sector > flash_bytes / 2u || sector % kPageBytes != 0u ||
        kPageBytes % flash_.get_page_size() != 0u) {
        return TT_ERROR_STORAGE;
    }
    const uint32_t both = 2u * roundedUp(TT_MODEL_STATE_BYTES, sector);
    if (both > flash_bytes || end - both < roundedUp(FLASHIAP_APP_ROM_END_ADDR, sector)) {
        return TT_ERROR_STORAGE_TOO_SMALL;
    }
    origin_ = end - both;
    bytes_ = both;
    storage_ = {read, write, erase, size, this, kPageBytes, sector};
    return TT_OK;
}

bool TinyTrainStorage::read(void *context, uint32_t offset, void *bytes, uint32_t count) {
    return of(context).flash_.read(bytes, of(context).origin_ + offset, count) == 0;
}

bool TinyTrainStorage::write(void *context, uint32_t offset, const void *bytes, uint32_t count) {
    return of(context).flash_.program(bytes, of(context).origin_ + offset, count) == 0;
}

bool TinyTrainStorage::erase(void *context, uint32_t offset, uint32_t count) {
    return of(context).flash_.erase(of(context).origin_ + offset, count) == 0;
}

const char *TinyTrainStorage::name() {
    return "internal flash";
}

bool TinyTrainStorage::isPermanent() {
    return true;
}

#elif defined(TINYTRAIN_STORAGE_EEPROM)

/* The data flash is erased in blocks of 64 bytes, even where one byte changes. */
static constexpr uint32_t kPageBytes = 64;

tt_status_t TinyTrainStorage::begin() {
    const uint32_t bytes = EEPROM.length();
    if (TT_MODEL_STATE_BYTES > bytes / 2u / kPageBytes * kPageBytes) {
        return TT_ERROR_STORAGE_TOO_SMALL;
    }
    bytes_ = bytes;
    storage_ = {read, write, erase, size, this, kPageBytes, kPageBytes};
    return TT_OK;
}

bool TinyTrainStorage::read(void *, uint32_t offset, void *bytes, uint32_t count) {
    uint8_t *to = static_cast<uint8_t *>(bytes);
    for (uint32_t i = 0; i < count; ++i) {
        to[i] = EEPROM.read(static_cast<int>(offset + i));
    }
    return true;
}

bool TinyTrainStorage::write(void *, uint32_t offset, const void *bytes, uint32_t count) {
    const uint8_t *from = static_cast<const uint8_t *>(bytes);
    for (uint32_t i = 0; i < count; ++i) {
        EEPROM.update(static_cast<int>(offset + i), from[i]);
    }
    return true;
}

bool TinyTrainStorage::erase(void *, uint32_t, uint32_t) {
    return true;
}

const char *TinyTrainStorage::name() {
    return "EEPROM";
}

bool TinyTrainStorage::isPermanent() {
    return true;
}

#else

tt_status_t TinyTrainStorage::begin() {
    bytes_ = sizeof memory_;
    storage_ = tt_storage_ram(&ram_, memory_, bytes_);
    return TT_OK;
}

const char *TinyTrainStorage::name() {
    return "RAM";
}

bool TinyTrainStorage::isPermanent() {
    return false;
}

#endif

#if !defined(TINYTRAIN_STORAGE_RAM)
uint32_t TinyTrainStorage::size(void *context) {
    return of(context).bytes_;
}
#endif
