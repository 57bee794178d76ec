/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_zephyr.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tt_zephyr_build.h"
#include "tt_zephyr_learner.h"
#include "tt_zephyr_uart.h"

#define LINE_BYTES 256u
#define DEFAULT_ITERATIONS 40u
#define OFFSET_DIGITS 10u

static void say(const char *text)
{
	tt_zephyr_uart_write(text, strlen(text));
}

/* The answer to a command: one line that begins with an exclamation mark; other lines are for people. */
static void answer(tt_status_t status, const char *text)
{
	char line[LINE_BYTES];

	if (status == TT_OK) {
		(void)snprintf(line, sizeof(line), "!ok%s%s\r\n", text[0] != '\0' ? " " : "", text);
	} else {
		(void)snprintf(line, sizeof(line), "!error %d %s\r\n", (int)status, tt_status_text(status));
	}
	say(line);
}

static void show_progress(uint32_t done, uint32_t total)
{
	char line[LINE_BYTES];

	(void)snprintf(line, sizeof(line), "adapting: %u of %u\r\n", (unsigned int)done, (unsigned int)total);
	say(line);
}

/* A whole number up to the end of the text. */
static bool number(const char *text, uint32_t *value)
{
	char *end;

	if (text[0] < '0' || text[0] > '9' || strlen(text) > OFFSET_DIGITS) {
		return false;
	}
	const unsigned long found = strtoul(text, &end, 10);

	*value = (uint32_t)found;
	return *end == '\0' && found <= UINT32_MAX;
}

static int digit(char character)
{
	if (character >= '0' && character <= '9') {
		return character - '0';
	}
	return character >= 'a' && character <= 'f' ? character - 'a' + 10 : -1;
}

/* data OFFSET HEX: pixels of the sample from OFFSET on. */
static tt_status_t take_data(char *arguments)
{
	char *hex = strchr(arguments, ' ');
	uint32_t offset;

	if (hex == NULL) {
		return TT_ERROR_INVALID_ARGUMENT;
	}
	*hex++ = '\0';
	const size_t digits = strlen(hex);

	if (!number(arguments, &offset) || digits % 2u != 0u || offset > TT_MODEL_INPUT_ELEMENTS ||
	    digits / 2u > TT_MODEL_INPUT_ELEMENTS - offset) {
		return TT_ERROR_INVALID_ARGUMENT;
	}
	for (size_t i = 0; i < digits; ++i) {
		if (digit(hex[i]) < 0) {
			return TT_ERROR_INVALID_ARGUMENT;
		}
	}
	for (size_t i = 0; i < digits / 2u; ++i) {
		tt_zephyr_sample()[offset + i] = (uint8_t)(digit(hex[2u * i]) * 16 + digit(hex[2u * i + 1u]));
	}
	return TT_OK;
}

/* Bits of the scores in hexadecimal digits, so that none is lost. */
static void predict(void)
{
	float scores[TT_MODEL_CLASSES];
	const tt_status_t status = tt_zephyr_predict(scores);
	uint32_t best = 0;
	char text[32];

	if (status != TT_OK) {
		answer(status, "");
		return;
	}
	for (uint32_t i = 1; i < TT_MODEL_CLASSES; ++i) {
		best = scores[i] > scores[best] ? i : best;
	}
	(void)snprintf(text, sizeof(text), "!ok %u", (unsigned int)best);
	say(text);
	for (uint32_t i = 0; i < TT_MODEL_CLASSES; ++i) {
		uint32_t bits;

		memcpy(&bits, &scores[i], sizeof(bits));
		(void)snprintf(text, sizeof(text), " %08lx", (unsigned long)bits);
		say(text);
	}
	say("\r\n");
}

static void adapt(const char *arguments)
{
	uint32_t iterations = DEFAULT_ITERATIONS;
	float loss = 0.0f;
	uint32_t bits;
	char text[32];

	if (arguments[0] != '\0' && !number(arguments, &iterations)) {
		answer(TT_ERROR_INVALID_ARGUMENT, "");
		return;
	}
	const tt_status_t status = tt_zephyr_adapt(iterations, show_progress, &loss);

	memcpy(&bits, &loss, sizeof(bits));
	(void)snprintf(text, sizeof(text), "%08lx", (unsigned long)bits);
	answer(status, text);
}

static void show_status(void)
{
	char text[LINE_BYTES - 16u];

	(void)snprintf(text, sizeof(text), "%s input=%u classes=%u samples=%u room=%u state=%u", TT_MODEL_FINGERPRINT,
		       (unsigned int)TT_MODEL_INPUT_ELEMENTS, (unsigned int)TT_MODEL_CLASSES,
		       (unsigned int)tt_zephyr_kept(), (unsigned int)TT_ZEPHYR_SAMPLES,
		       (unsigned int)tt_zephyr_state_bytes());
	answer(TT_OK, text);
}

static void perform(char *line)
{
	char *arguments = strchr(line, ' ');
	uint32_t label;

	if (arguments == NULL) {
		arguments = line + strlen(line);
	} else {
		*arguments++ = '\0';
	}
	if (strcmp(line, "data") == 0) {
		answer(take_data(arguments), "");
	} else if (strcmp(line, "enroll") == 0) {
		answer(number(arguments, &label) ? tt_zephyr_enroll(label) : TT_ERROR_INVALID_ARGUMENT, "");
	} else if (strcmp(line, "adapt") == 0) {
		adapt(arguments);
	} else if (strcmp(line, "predict") == 0) {
		predict();
	} else if (strcmp(line, "save") == 0) {
		answer(tt_zephyr_save(), "");
	} else if (strcmp(line, "load") == 0) {
		answer(tt_zephyr_load(), "");
	} else if (strcmp(line, "reset") == 0) {
		answer(tt_zephyr_reset(), "");
	} else if (strcmp(line, "status") == 0) {
		show_status();
	} else {
		say("commands: data OFFSET HEX, enroll LABEL, adapt [ITERATIONS], predict, save, load, reset, status\r\n");
		answer(TT_ERROR_INVALID_ARGUMENT, "");
	}
}

void tt_zephyr_console(void *unused_1, void *unused_2, void *unused_3)
{
	static char line[LINE_BYTES];
	uint32_t used = 0;
	bool loaded;

	ARG_UNUSED(unused_1);
	ARG_UNUSED(unused_2);
	ARG_UNUSED(unused_3);
	tt_zephyr_begin_thread();
	if (tt_zephyr_uart_open() != 0) {
		printk("tt-tflm: the UART of the console is not ready\n");
		return;
	}
	const tt_status_t status = tt_zephyr_begin(&loaded);

	say("tt-tflm: " TT_ZEPHYR_MODEL ", ");
	say(status != TT_OK ? tt_status_text(status) : loaded ? "what was saved is loaded" : "nothing was saved");
	say("\r\n");
	for (;;) {
		const char received = (char)tt_zephyr_uart_read();

		if (received != '\n' && received != '\r') {
			/* One beyond the end tells that the line is too long. */
			if (used < LINE_BYTES) {
				line[used++] = received;
			}
			continue;
		}
		if (used == LINE_BYTES) {
			answer(TT_ERROR_INVALID_ARGUMENT, "");
		} else if (used > 0u) {
			line[used] = '\0';
			perform(line);
		}
		used = 0;
	}
}
