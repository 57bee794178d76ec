/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions of the device runtime for whoever simulates an adaptation (tt_tflm/boards/simulated/tflm_runtime.py). A table, so
 * that no name of the runtime becomes visible to the builds of the C backend in the same process.
 */
#include "tt_augment.h"
#include "tt_episode.h"
#include "tt_prototype.h"
#include "tt_random.h"

extern "C" {

typedef struct {
    decltype(&tt_random_seed) random_seed;
    decltype(&tt_augment) augment;
    decltype(&tt_episode_scratch_floats) episode_scratch_floats;
    decltype(&tt_episode_gradient) episode_gradient;
    decltype(&tt_episode_tightness) episode_tightness;
    decltype(&tt_episode_rate) episode_rate;
    decltype(&tt_prototypes_loss) prototypes_loss;
} tt_wheel_runtime_t;

__attribute__((visibility("default"))) extern const tt_wheel_runtime_t tt_wheel_runtime;
const tt_wheel_runtime_t tt_wheel_runtime = {tt_random_seed,      tt_augment,           tt_episode_scratch_floats,
                                             tt_episode_gradient, tt_episode_tightness, tt_episode_rate,
                                             tt_prototypes_loss};
}
