/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ZEPHYR_DEVICE_H
#define ZEPHYR_DEVICE_H

#include <stdbool.h>

struct device {
    const char *name;
};

bool device_is_ready(const struct device *device);

#define DEVICE_DT_GET(node) (&node)

#endif /* ZEPHYR_DEVICE_H */
