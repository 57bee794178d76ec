/* SPDX-License-Identifier: Apache-2.0 */
/* Part of refused_calls.c, which has the walks: numbers of every size. */
#ifndef REFUSED_NUMBERS_H
#define REFUSED_NUMBERS_H

/* Save and load: the same scores, or refused and nothing written. */
static void save_and_load(void) {
    float scores[TT_MODEL_CLASSES];
    const tt_status_t status = CALL(tt_save(&session, &storage));
    if (status == TT_OK && CALL(tt_predict(&session, good[0], scores)) == TT_OK) {
        if (CALL(tt_load(&session, &storage)) != TT_OK || CALL(tt_predict(&session, good[0], output)) != TT_OK ||
            memcmp(scores, output, sizeof scores) != 0) {
            fail("tt_load", "other scores than those of the moment it was saved");
        }
    }
}

static void expect_told(tt_status_t status, const char *call) {
    if (status != TT_ERROR_NOT_FINITE) {
        fail(call, "rows are not finite, and nobody is told");
    }
}

static void recover(dice_t *dice) {
    expect_told(CALL(tt_predict(&session, good[0], output)), "tt_predict");
    expect_told(CALL(tt_train_step(&session, good[0], 0u, NULL)), "tt_train_step");
    expect_told(CALL(tt_save(&session, &storage)), "tt_save");
    if (draw(dice, 2u) == 0u || CALL(tt_load(&session, &storage)) != TT_OK) {
        (void)CALL(tt_reset(&session));
    }
    if (!rows_are_finite()) {
        fail("tt_reset or tt_load", "rows are not finite");
    }
    enroll_all();
}

const char *tt_walk_wild(uint32_t seed, uint32_t steps) {
    const float rates[] = {0.01f, 1.0f, 1e3f, 1e30f, 3e38f};
    dice_t dice = {seed * 69069u + 3u};
    tt_adaptation_t task;
    float losses[2];
    failure[0] = '\0';
    start(0x5a);
    for (uint32_t i = 0; i < steps && failure[0] == '\0'; ++i) {
        const float *x = draw(&dice, 2u) == 0u ? good[draw(&dice, SAMPLES)] : bad_sample(&dice, draw(&dice, 2u) == 0u);
        const uint32_t label = draw(&dice, TT_MODEL_CLASSES + 1u);
        float loss = 0.0f;
        tt_status_t status = TT_OK;
        switch (draw(&dice, 13u)) {
        case 0:
        case 1:
        case 2:
            status = CALL(tt_train_step(&session, x, label, &loss));
            if (status == TT_OK && !tt_all_finite(&loss, 1u)) {
                fail("tt_train_step", "the loss is not finite");
            }
            break;
        case 3:
            if (CALL(tt_predict(&session, x, output)) == TT_OK && !tt_all_finite(output, TT_MODEL_CLASSES)) {
                fail("tt_predict", "scores are not finite");
            }
            break;
        case 4:
            if (CALL(tt_embedding(&session, x, output)) == TT_OK && !tt_all_finite(output, TT_MODEL_OUTPUT_ELEMENTS)) {
                fail("tt_embedding", "it is not finite");
            }
            break;
        case 5:
            if (CALL(tt_enroll(&session, x, label)) == TT_OK &&
                CALL(tt_predict(&session, good[0], output)) == TT_ERROR_NOT_FINITE &&
                CALL(tt_embedding(&session, good[0], output)) == TT_OK) {
                fail("tt_enroll", "accepted what no sample can be compared with");
            }
            break;
        case 6:
            (void)CALL(tt_accumulate(&session, x, seed_gradient));
            (void)CALL(tt_update(&session));
            break;
        case 7:
            (void)CALL(tt_set_learning_rate(&session, rates[draw(&dice, 5u)]));
            break;
        case 8:
            /* Potentials that run over are forgotten. */
            status = LONG_CALL(tt_fisher_accumulate(&session, x, label));
            if (status != TT_OK && session.inspected == before.session.inspected) {
                expect_unchanged("tt_fisher_accumulate", true);
            }
            (void)CALL(tt_select(&session, &(tt_budget_t){TT_BUDGET_NONE, TT_BUDGET_NONE, TT_BUDGET_NONE}));
            break;
        case 9:
            task = task_of(&dice);
            (void)LONG_CALL(tt_adapt(&session, &task, workspace, sizeof workspace, losses));
            break;
        case 10:
            save_and_load();
            break;
        case 11:
            (void)CALL(tt_forget_prototypes(&session));
            enroll_all();
            break;
        default:
            refuse_one(&dice);
            break;
        }
        if (session.soundness == TT_ROWS_NOT_FINITE) {
            recover(&dice);
        } else if (draw(&dice, 40u) == 0u) {
            (void)CALL(tt_reset(&session));
            enroll_all();
        }
    }
    return failure[0] == '\0' ? NULL : failure;
}

const char *tt_rate_of_0(void) {
    float scores[TT_MODEL_CLASSES];
    failure[0] = '\0';
    start(0xff);
    draw_plan(&(dice_t){5u}, false);
    (void)tt_choose(&session, counts, channels);
    enroll_all();
    (void)CALL(tt_predict(&session, good[0], scores));
    memcpy(after.row_pool, row_pool, sizeof row_pool);
    (void)CALL(tt_set_learning_rate(&session, 0.0f));
    for (uint32_t i = 0; i < 7u; ++i) {
        if (CALL(tt_train_step(&session, good[i % SAMPLES], task_labels[i % SAMPLES], NULL)) != TT_OK) {
            fail("tt_train_step", "refused");
        }
        (void)CALL(tt_accumulate(&session, good[i % SAMPLES], seed_gradient));
        (void)CALL(tt_update(&session));
        if (CALL(tt_predict(&session, good[0], output)) != TT_OK || memcmp(output, scores, sizeof scores) != 0) {
            fail("tt_train_step", "a learning rate of 0 trains");
        }
    }
    return failure[0] == '\0' ? NULL : failure;
}

#endif /* REFUSED_NUMBERS_H */
