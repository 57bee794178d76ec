/* SPDX-License-Identifier: Apache-2.0 */
/* Writes states page by page. */
#include <string.h>

#include "tt_crc32.h"
#include "tt_state_parts.h"

/* Collects bytes into pages. */
typedef struct {
    union {
        uint64_t alignment;
        uint8_t bytes[TT_STORAGE_MAX_PAGE_BYTES];
    } page;
    const tt_storage_t *storage;
    uint32_t offset; /* of the page */
    uint32_t filled;
    uint32_t crc;
    bool failed;
} writer_t;

static void open_writer(writer_t *writer, const tt_storage_t *storage, uint32_t offset) {
    writer->storage = storage;
    writer->offset = offset;
    writer->filled = 0u;
    writer->crc = 0u;
    writer->failed = false;
}

static void flush(writer_t *writer) {
    const tt_storage_t *storage = writer->storage;
    memset(writer->page.bytes + writer->filled, 0xff, storage->page_bytes - writer->filled);
    writer->failed = !storage->write(storage->context, writer->offset, writer->page.bytes, storage->page_bytes);
    writer->offset += storage->page_bytes;
    writer->filled = 0u;
}

static void put(void *context, const void *bytes, uint32_t count) {
    writer_t *writer = context;
    const uint8_t *from = bytes;
    writer->crc = tt_crc32(writer->crc, bytes, count);
    while (count > 0u && !writer->failed) {
        const uint32_t room = writer->storage->page_bytes - writer->filled;
        const uint32_t part = count < room ? count : room;
        memcpy(writer->page.bytes + writer->filled, from, part);
        writer->filled += part;
        from += part;
        count -= part;
        if (writer->filled == writer->storage->page_bytes) {
            flush(writer);
        }
    }
}

static bool erase(const tt_storage_t *storage, uint32_t offset, uint32_t bytes) {
    uint32_t done;
    for (done = 0u; done < bytes; done += storage->block_bytes) {
        if (!storage->erase(storage->context, offset + done, storage->block_bytes)) {
            return false;
        }
    }
    return true;
}

bool tt_state_write(const tt_state_t *state, const tt_storage_t *storage, const tt_state_header_t *header,
                    uint32_t offset, uint32_t *crc) {
    writer_t writer;
    tt_state_part_t part;
    uint32_t i;
    if (!erase(storage, offset, header->bytes)) {
        return false;
    }
    open_writer(&writer, storage, offset);
    put(&writer, header, sizeof *header);
    tt_state_plan(state, put, &writer);
    for (i = 0; tt_state_part(state, i, &part); ++i) {
        put(&writer, part.bytes, part.count);
    }
    *crc = writer.crc;
    put(&writer, crc, TT_STATE_CRC_BYTES);
    if (writer.filled > 0u && !writer.failed) {
        flush(&writer);
    }
    return !writer.failed;
}

bool tt_state_blank(const tt_storage_t *storage, uint32_t offset) {
    writer_t writer;
    if (!erase(storage, offset, storage->block_bytes)) {
        return false;
    }
    open_writer(&writer, storage, offset);
    flush(&writer); /* a medium that does not erase keeps what is not overwritten */
    return !writer.failed;
}
