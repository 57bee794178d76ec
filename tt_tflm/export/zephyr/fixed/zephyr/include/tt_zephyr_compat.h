/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one place that knows how Zephyr has changed: from version 3.1 on headers lie below zephyr/, and from 3.2 on
 * partitions are named by their node label, no longer by their label property.
 */
#ifndef TT_ZEPHYR_COMPAT_H
#define TT_ZEPHYR_COMPAT_H

#if __has_include(<zephyr/kernel.h>)
#include <zephyr/device.h>
#include <zephyr/devicetree.h>
#include <zephyr/kernel.h>
#include <zephyr/sys/printk.h>
#else
#include <device.h>
#include <devicetree.h>
#include <kernel.h>
#include <sys/printk.h>
#endif

#ifdef CONFIG_TINYTRAIN_CONSOLE
#if __has_include(<zephyr/drivers/uart.h>)
#include <zephyr/drivers/uart.h>
#else
#include <drivers/uart.h>
#endif
#endif

#ifdef CONFIG_TINYTRAIN_STORAGE_FLASH
#if __has_include(<zephyr/storage/flash_map.h>)
#include <zephyr/drivers/flash.h>
#include <zephyr/storage/flash_map.h>
#else
#include <drivers/flash.h>
#include <storage/flash_map.h>
#endif

#if DT_NODE_EXISTS(DT_NODELABEL(tinytrain_partition))
#define TT_ZEPHYR_PARTITION tinytrain_partition
#else
#define TT_ZEPHYR_PARTITION storage_partition
#endif

#if defined(PARTITION_ID)
#define TT_ZEPHYR_PARTITION_ID PARTITION_ID(TT_ZEPHYR_PARTITION)
#elif defined(FIXED_PARTITION_ID)
#define TT_ZEPHYR_PARTITION_ID FIXED_PARTITION_ID(TT_ZEPHYR_PARTITION)
#else
#define TT_ZEPHYR_PARTITION_ID DT_FIXED_PARTITION_ID(DT_NODELABEL(TT_ZEPHYR_PARTITION))
#endif
#endif /* CONFIG_TINYTRAIN_STORAGE_FLASH */

#endif /* TT_ZEPHYR_COMPAT_H */
