/* SPDX-License-Identifier: Apache-2.0 */
/* A devicetree of one UART and one partition. */
#ifndef ZEPHYR_DEVICETREE_H
#define ZEPHYR_DEVICETREE_H

#include <zephyr/device.h>

extern const struct device tt_shim_uart;

#define DT_CHOSEN(name) DT_CHOSEN_##name
#define DT_CHOSEN_zephyr_console tt_shim_uart
#define DT_HAS_CHOSEN(name) DT_HAS_CHOSEN_##name
#define DT_HAS_CHOSEN_tinytrain_uart 0

#define DT_NODELABEL(label) label
#define DT_NODE_EXISTS(node) DT_NODE_EXISTS_OF(node)
#define DT_NODE_EXISTS_OF(node) DT_NODE_EXISTS_##node
#define DT_NODE_EXISTS_tinytrain_partition 0

#endif /* ZEPHYR_DEVICETREE_H */
