/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TT_CRC32_H
#define TT_CRC32_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * CRC-32 of IEEE 802.3 (polynomial 0x04c11db7, reflected, as zlib and Ethernet have it), continued over pieces:
 * tt_crc32(tt_crc32(0, a, n), b, m) is that of a followed by b. The checksum of "123456789" is 0xcbf43926.
 *
 * crc:   0 for the first piece, else what the piece before returned.
 * bytes: in, [count]; may be NULL when count is 0.
 */
uint32_t tt_crc32(uint32_t crc, const void *bytes, size_t count);

#ifdef __cplusplus
}
#endif

#endif /* TT_CRC32_H */
