/* SPDX-License-Identifier: Apache-2.0 */
/* Trains on samples made up here, predicts, saves, forgets, loads, and predicts again: the scores have to be the same. */
#include <stdbool.h>
#include <string.h>

#include "tt_tflm_model.h"
#include "tt_zephyr_compat.h"
#include "tt_zephyr_storage.h"

#define PASSES 10u

static float x[TT_MODEL_INPUT_ELEMENTS];

/* The sample of a class: a wave of its own; put your sensor here. */
static const float *sample_of(uint32_t label)
{
	for (uint32_t i = 0; i < TT_MODEL_INPUT_ELEMENTS; ++i) {
		const uint32_t phase = (i * (label + 2u)) % 16u;

		x[i] = (float)(phase < 8u ? phase : 16u - phase) / 4.0f - 1.0f;
	}
	return x;
}

static bool failed(const char *what, tt_status_t status)
{
	if (status != TT_OK) {
		printk("FAIL: %s: %s\n", what, tt_status_text(status));
	}
	return status != TT_OK;
}

static tt_status_t train(void)
{
	tt_status_t status = TT_OK;

#if TT_MODEL_HAS_PROTOTYPES
	for (uint32_t label = 0; label < TT_MODEL_CLASSES && status == TT_OK; ++label) {
		status = tt_tflm_enroll(sample_of(label), label);
	}
#endif
	float first = 0.0f;
	float last = 0.0f;

	for (uint32_t pass = 0; pass < PASSES; ++pass) {
		float sum = 0.0f;

		for (uint32_t label = 0; label < TT_MODEL_CLASSES && status == TT_OK; ++label) {
			float loss = 0.0f;

			status = tt_tflm_train_step(sample_of(label), label, &loss);
			sum += loss;
		}
		first = pass == 0u ? sum : first;
		last = sum;
	}
	printk("loss %d to %d thousandths\n", (int)(1000.0f * first / TT_MODEL_CLASSES),
	       (int)(1000.0f * last / TT_MODEL_CLASSES));
	return status;
}

static tt_status_t predict(float scores[TT_MODEL_CLASSES][TT_MODEL_CLASSES])
{
	tt_status_t status = TT_OK;

	for (uint32_t label = 0; label < TT_MODEL_CLASSES && status == TT_OK; ++label) {
		status = tt_tflm_predict(sample_of(label), scores[label]);
	}
	return status;
}

int main(void)
{
	static float before[TT_MODEL_CLASSES][TT_MODEL_CLASSES];
	static float after[TT_MODEL_CLASSES][TT_MODEL_CLASSES];
	static tt_storage_t storage;

	if (failed("init", tt_tflm_init())) {
		return 0;
	}
	printk("arena %u of %u B, state %u B\n", (unsigned int)tt_tflm_arena_used(),
	       (unsigned int)CONFIG_TINYTRAIN_ARENA_BYTES, (unsigned int)tt_tflm_state_bytes());

	const bool kept = tt_zephyr_storage_open(&storage) == 0;

	if (kept && tt_tflm_load(&storage) == TT_OK) {
		printk("what was saved is loaded\n");
	}
	if (failed("train", train()) || failed("predict", predict(before))) {
		return 0;
	}
	if (!kept) {
		printk("PASS: trained, and there is no storage\n");
		return 0;
	}
	if (failed("save", tt_tflm_save(&storage)) || failed("reset", tt_tflm_reset()) ||
	    failed("load", tt_tflm_load(&storage)) || failed("predict", predict(after))) {
		return 0;
	}
	printk(memcmp(before, after, sizeof(before)) == 0 ? "PASS: the same scores after loading\n"
							  : "FAIL: other scores after loading\n");
	return 0;
}
