/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_zephyr.h"

int main(void)
{
	return tt_zephyr_console_start();
}
