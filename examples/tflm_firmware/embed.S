/* SPDX-License-Identifier: Apache-2.0 */
/* The model and the samples, as they are in their files. TFLM reads constants in place: 16 bytes alignment. */
    .section .rodata.tt_embedded, "a"
    .balign 16
    .global tt_model
tt_model:
    .incbin TT_MODEL
    .balign 16
    .global tt_samples
tt_samples:
    .incbin TT_SAMPLES
    .balign 16
