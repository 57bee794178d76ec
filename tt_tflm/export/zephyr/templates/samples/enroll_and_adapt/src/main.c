/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_zephyr.h"

K_THREAD_DEFINE(tinytrain, CONFIG_TINYTRAIN_CONSOLE_STACK_SIZE, tt_zephyr_console, NULL, NULL, NULL,
                CONFIG_TINYTRAIN_CONSOLE_PRIORITY, TT_ZEPHYR_THREAD_OPTIONS, 0);
