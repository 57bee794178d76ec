/* SPDX-License-Identifier: Apache-2.0 */
#include "tt_zephyr_learner.h"

#include <string.h>

#include "tt_zephyr.h"
#include "tt_zephyr_build.h"
#include "tt_zephyr_storage.h"

#ifdef CONFIG_TINYTRAIN_ARENA_PLACED
#define IN_ARENA_SECTION __attribute__((section(CONFIG_TINYTRAIN_ARENA_SECTION)))
#else
#define IN_ARENA_SECTION
#endif

#ifdef CONFIG_TINYTRAIN_ROW_POOL_PLACED
#define IN_ROW_POOL_SECTION __attribute__((section(CONFIG_TINYTRAIN_ROW_POOL_SECTION)))
#else
#define IN_ROW_POOL_SECTION
#endif

#ifdef CONFIG_TINYTRAIN_SUPPORT_PLACED
#define IN_SUPPORT_SECTION __attribute__((section(CONFIG_TINYTRAIN_SUPPORT_SECTION)))
#else
#define IN_SUPPORT_SECTION
#endif

_Static_assert(TT_ZEPHYR_SAMPLES >= 1, "CONFIG_TINYTRAIN_CONSOLE_SUPPORT_BYTES holds not one sample");

#define MOST_ITERATIONS 1000u

static tt_session_t session;
static tt_storage_t storage;
static bool has_storage;
static uint8_t arena[TT_MODEL_ARENA_BYTES] __aligned(16) IN_ARENA_SECTION;
static uint8_t row_pool[TT_MODEL_ROW_POOL_BYTES] __aligned(16) IN_ROW_POOL_SECTION;
static uint8_t kept[TT_ZEPHYR_SAMPLES][TT_MODEL_INPUT_ELEMENTS] IN_SUPPORT_SECTION;
static uint32_t labels[TT_ZEPHYR_SAMPLES];
static uint32_t samples;
static uint8_t current[TT_MODEL_INPUT_ELEMENTS];
static float x[TT_MODEL_INPUT_ELEMENTS] __aligned(8);

static const float *scaled(const uint8_t *pixels)
{
	for (uint32_t i = 0; i < TT_MODEL_INPUT_ELEMENTS; ++i) {
		x[i] = (float)pixels[i] * TT_ZEPHYR_SCALE + TT_ZEPHYR_SHIFT;
	}
	return x;
}

tt_status_t tt_zephyr_begin(bool *loaded)
{
	tt_status_t status = tt_init(&session, arena, sizeof(arena), row_pool, sizeof(row_pool));

	*loaded = false;
	if (status != TT_OK) {
		return status;
	}
	has_storage = tt_zephyr_storage_open(&storage) == 0;
	if (has_storage) {
		status = tt_load(&session, &storage);
		*loaded = status == TT_OK;
	}
	/* A board that has saved nothing yet begins with the base model; so does one whose state is another model's. */
	return status == TT_ERROR_NO_STATE || status == TT_ERROR_OTHER_STATE ? TT_OK : status;
}

uint8_t *tt_zephyr_sample(void)
{
	return current;
}

tt_status_t tt_zephyr_enroll(uint32_t label)
{
	if (label >= TT_MODEL_CLASSES) {
		return TT_ERROR_LABEL_OUT_OF_RANGE;
	}
	if (samples == TT_ZEPHYR_SAMPLES) {
		return TT_ERROR_ROW_POOL_TOO_SMALL;
	}
#if TT_MODEL_HAS_PROTOTYPES
	const tt_status_t status = tt_enroll(&session, scaled(current), label);

	if (status != TT_OK) {
		return status;
	}
#endif
	memcpy(kept[samples], current, sizeof(current));
	labels[samples] = label;
	++samples;
	return TT_OK;
}

#if TT_MODEL_HAS_PROTOTYPES
static tt_status_t enroll_all(void)
{
	tt_status_t status = tt_forget_prototypes(&session);

	for (uint32_t i = 0; i < samples && status == TT_OK; ++i) {
		status = tt_enroll(&session, scaled(kept[i]), labels[i]);
	}
	return status;
}
#endif

#if TT_MODEL_DYNAMIC
/* Inspect the samples, then choose what to train under the budget of the conversion. */
static tt_status_t choose(void)
{
	const tt_budget_t budget = TT_ZEPHYR_BUDGET;
	tt_status_t status = tt_fisher_clear(&session);

#if TT_MODEL_HAS_PROTOTYPES
	if (status == TT_OK) {
		status = enroll_all();
	}
#endif
	for (uint32_t i = 0; i < samples && status == TT_OK; ++i) {
		status = tt_fisher_accumulate(&session, scaled(kept[i]), labels[i]);
	}
	return status == TT_OK ? tt_select(&session, &budget) : status;
}
#endif

#if TT_MODEL_ADAPTABLE

/* As tt_adapt_workspace_bytes has it. */
#define WORKSPACE_FLOATS                                                                                               \
	(2u * TT_ZEPHYR_SAMPLES * TT_MODEL_EMBEDDING_ELEMENTS + TT_MODEL_CLASSES * (TT_MODEL_EMBEDDING_ELEMENTS + 2u) + \
	 TT_MODEL_EMBEDDING_ELEMENTS + TT_MODEL_INPUT_ELEMENTS)

struct shown {
	tt_zephyr_progress_t progress;
	uint32_t iterations;
	uint32_t done;
	uint32_t times;
};

/* tt_adapt asks for every sample once to begin with, and four times in each iteration. */
static const float *show(void *context, uint32_t index)
{
	struct shown *shown = context;

	++shown->times;
	if (shown->times == samples * (4u * (shown->done + 1u) + 1u) && shown->done < shown->iterations) {
		++shown->done;
		shown->progress(shown->done, shown->iterations);
	}
	return scaled(kept[index]);
}

static tt_status_t train(uint32_t iterations, tt_zephyr_progress_t progress, float *loss)
{
	static uint8_t workspace[4u * WORKSPACE_FLOATS + 8u * TT_ZEPHYR_SAMPLES] __aligned(16) IN_SUPPORT_SECTION;
	static float losses[MOST_ITERATIONS];
	struct shown shown = {progress, iterations, 0u, 0u};
	tt_augment_t augment = TT_AUGMENT_DEFAULTS;

	augment.low = TT_ZEPHYR_LOW;
	augment.high = TT_ZEPHYR_HIGH;
	const tt_adaptation_t task = {show, &shown, labels, samples, iterations, 0u, 1u, augment};
	const tt_status_t status = tt_adapt(&session, &task, workspace, sizeof(workspace), losses);

	*loss = losses[iterations - 1u];
	return status;
}

#else

static tt_status_t train(uint32_t iterations, tt_zephyr_progress_t progress, float *loss)
{
	tt_status_t status = TT_OK;

	for (uint32_t pass = 0; pass < iterations && status == TT_OK; ++pass) {
		float sum = 0.0f;

#if TT_MODEL_HAS_PROTOTYPES
		status = enroll_all();
#endif
		for (uint32_t i = 0; i < samples && status == TT_OK; ++i) {
			float one = 0.0f;

			status = tt_train_step(&session, scaled(kept[i]), labels[i], &one);
			sum += one;
		}
		*loss = sum / (float)samples;
		progress(pass + 1u, iterations);
	}
#if TT_MODEL_HAS_PROTOTYPES
	if (status == TT_OK) {
		status = enroll_all();
	}
#endif
	return status;
}

#endif /* TT_MODEL_ADAPTABLE */

tt_status_t tt_zephyr_adapt(uint32_t iterations, tt_zephyr_progress_t progress, float *loss)
{
	if (iterations == 0u || iterations > MOST_ITERATIONS) {
		return TT_ERROR_INVALID_ARGUMENT;
	}
	if (samples == 0u) {
		return TT_ERROR_NOT_ENROLLED;
	}
#if TT_MODEL_DYNAMIC
	const tt_status_t status = choose();

	if (status != TT_OK) {
		return status;
	}
#endif
	return train(iterations, progress, loss);
}

tt_status_t tt_zephyr_predict(float *scores)
{
	return tt_predict(&session, scaled(current), scores);
}

tt_status_t tt_zephyr_save(void)
{
	return has_storage ? tt_save(&session, &storage) : TT_ERROR_STORAGE;
}

tt_status_t tt_zephyr_load(void)
{
	return has_storage ? tt_load(&session, &storage) : TT_ERROR_STORAGE;
}

tt_status_t tt_zephyr_reset(void)
{
	samples = 0u;
	return tt_reset(&session);
}

uint32_t tt_zephyr_kept(void)
{
	return samples;
}

uint32_t tt_zephyr_state_bytes(void)
{
	return (uint32_t)tt_state_bytes(&session);
}
