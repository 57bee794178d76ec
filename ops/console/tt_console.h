/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A console for a board that learns: bytes of a serial line in, answers out through a callback. It is compiled with the
 * tt_model.h of a build; what the build lacks is answered with TT_CONSOLE_UNSUPPORTED. Nothing is allocated, all memory
 * is the caller's, and nothing but the callbacks touches hardware.
 *
 * A request is one line of printable ASCII, ended by \n or \r:
 *
 *     [#SEQUENCE ]COMMAND[ ARGUMENT]...[*CRC]
 *
 * SEQUENCE: decimal, below 2^32. A request with the SEQUENCE and CRC of the one before is not performed again: its answer
 *     was lost, and is repeated.
 * CRC: eight hexadecimal digits, the CRC-32 (tt_crc32.h) of everything before the '*'. Required with a SEQUENCE and
 *     for `data`; without it a line typed by hand is taken.
 *
 * Each request has one answer, a line that begins with '!'; its CRC covers everything before its '*':
 *
 *     !ok[ #SEQUENCE][ KEY=VALUE]...*CRC
 *     !error CODE[ #SEQUENCE] TEXT*CRC
 *
 * CODE is a tt_status_t or a tt_console_error_t. No SEQUENCE comes back where the request could not be read. Other lines
 * are for people. After an error the session goes on as if the request had not been made, but for `adapt`, which may
 * have trained for a while. Values: decimal numbers and names; loss, scale and shift: bits of a float32 in hexadecimal;
 * scores and data: base64 of little-endian float32 and of bytes.
 *
 *     help                        for people: the commands
 *     status                      what this board is and holds; keys below
 *     begin uint8|float32         a new sample; bytes: its size
 *     data OFFSET BASE64          bytes of the sample from OFFSET on, without gaps; bytes: received so far
 *     enroll LABEL                keep the sample for adaptation, and add it to its prototype; samples: kept by now
 *     predict                     class, scores: of the sample
 *     train LABEL                 one tt_train_step with the sample; loss
 *     adapt ITERATIONS [SEED] [flip] [constant]
 *                                 learn from the kept samples; iterations, loss of the last one; lines for people on
 *                                 the way: "inspecting N/TOTAL", "adapting N/TOTAL loss L"
 *     losses FIRST                of the last adapt, from iteration FIRST on; total, first, data: float32
 *     forget                      the kept samples and the prototypes, not what was trained
 *     save, load                  tt_save, tt_load; bytes: of the state
 *     dump OFFSET                 the newest saved state from OFFSET on; total, offset, data
 *     reset                       forget everything but what was saved
 *
 * Keys of status: protocol, fingerprint, shape (of the input), format (of kept samples), scale and shift (from uint8 to
 * the input), classes, loss (prototype or softmax), mode (static or dynamic), adaptable, capacity and samples (kept),
 * iterations (the most of an adapt), losses (of the last adapt), chunk (most bytes of a data), state (bytes that a save
 * would write), storage (bytes, 0 without).
 *
 * adapt: in adaptable builds tt_adapt, with pseudo-queries of the seed (default 0), mirrored or not with `flip`, and
 * prototypes held within an iteration with `constant`; a dynamic build inspects the samples and selects under
 * TT_MODEL_BUDGET before. Other builds: ITERATIONS passes of tt_train_step over the samples.
 */
#ifndef TT_CONSOLE_H
#define TT_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tt_model.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TT_CONSOLE_PROTOCOL 1u

/* Bytes of the line buffer: the least, and what makes uploads quick. */
#define TT_CONSOLE_MIN_LINE_BYTES 96u
#define TT_CONSOLE_LINE_BYTES 256u

/* Bytes of one kept sample, as TT_CONSOLE_UINT8 or as TT_CONSOLE_FLOAT32. */
#define TT_CONSOLE_UINT8_BYTES ((size_t)TT_MODEL_INPUT_ELEMENTS)
#define TT_CONSOLE_FLOAT32_BYTES (((size_t)TT_MODEL_INPUT_ELEMENTS * 4u + 7u) / 8u * 8u)

/* Codes of answers beside those of tt_status_t. The values never change, new ones are appended. */
typedef enum {
    TT_CONSOLE_TOO_LONG = 100,     /* the line is longer than the buffer */
    TT_CONSOLE_BAD_CHECKSUM = 101, /* the CRC is not that of the line */
    TT_CONSOLE_NO_CHECKSUM = 102,  /* a CRC is required */
    TT_CONSOLE_UNREADABLE = 103,   /* a character that is not printable, or a SEQUENCE that is no number */
    TT_CONSOLE_UNKNOWN = 104,      /* no such command */
    TT_CONSOLE_BAD_ARGUMENT = 105, /* too many, too few, or out of range */
    TT_CONSOLE_NO_SAMPLE = 106,    /* nothing, or not all of a sample, has been uploaded; or none is kept */
    TT_CONSOLE_OUT_OF_ORDER = 107, /* data beyond what came before */
    TT_CONSOLE_FULL = 108,         /* as many samples as there is room for are kept */
    TT_CONSOLE_OTHER_FORMAT = 109, /* this console keeps samples of the other format */
    TT_CONSOLE_UNSUPPORTED = 110,  /* the build lacks it */
    TT_CONSOLE_NO_STORAGE = 111,   /* the board has no storage */
    TT_CONSOLE_STOPPED = 112       /* progress has returned false */
} tt_console_error_t;

typedef enum {
    TT_CONSOLE_UINT8 = 0,
    TT_CONSOLE_FLOAT32 = 1
} tt_console_format_t;

/* Sends bytes of an answer; may block. text: in, [count], not NUL-terminated. */
typedef void (*tt_console_write_t)(void *context, const char *text, size_t count);

/*
 * Called before every sample of an adapt, to feed a watchdog or show what goes on: done of total samples are through.
 * stage: "inspecting" or "adapting". Returns false to end the adaptation.
 */
typedef bool (*tt_console_progress_t)(void *context, const char *stage, uint32_t done, uint32_t total);

/* What a console works with. All memory stays the caller's, must stay valid, and is not touched by others. */
typedef struct {
    tt_session_t *session;      /* through tt_init */
    char *line;                 /* [line_bytes]: a request as it comes in */
    size_t line_bytes;          /* at least TT_CONSOLE_MIN_LINE_BYTES */
    float *input;               /* [TT_MODEL_INPUT_ELEMENTS], 8-byte aligned; NULL where format is float32 */
    tt_console_format_t format; /* of kept samples */
    void *samples; /* [capacity + 1] samples of that format, 8-byte aligned: the kept ones, and the new one */
    size_t samples_bytes;
    uint32_t *labels;  /* [capacity] */
    uint32_t capacity; /* samples that can be kept, at least 1 */
    void *workspace;   /* 16-byte aligned, tt_adapt_workspace_bytes(capacity); NULL in builds not adaptable */
    size_t workspace_bytes;
    float *losses;               /* [iterations] */
    uint32_t iterations;         /* the most of one adapt, at least 1 */
    const tt_storage_t *storage; /* NULL where the board has none */
    tt_console_write_t write;
    void *write_context;
    tt_console_progress_t progress; /* NULL where it is not wanted */
    void *progress_context;
} tt_console_config_t;

#define TT_CONSOLE_FIELDS_BYTES 48u
#define TT_CONSOLE_OUT_BYTES 64u

/* Owned by the caller; its fields are private. */
typedef struct {
    tt_console_config_t config;
    size_t line_used;
    bool overflowed;
    bool has_sequence; /* of the request at hand */
    bool answered;     /* last_* hold an answer */
    uint32_t sequence;
    uint32_t last_sequence;
    uint32_t last_crc;
    uint32_t last_code;
    uint32_t code;                        /* of the answer at hand */
    char fields[TT_CONSOLE_FIELDS_BYTES]; /* of the request performed last */
    uint32_t kept;
    uint32_t losses;            /* of the last adapt */
    tt_console_format_t format; /* of the new sample */
    uint32_t expected;          /* bytes of the new sample, 0 without one */
    uint32_t received;
    uint32_t total; /* of what is being sent in pieces */
    uint32_t offset;
    uint32_t piece; /* bytes of it, in the line buffer */
    uint32_t out_crc;
    uint32_t out_used;
    char out[TT_CONSOLE_OUT_BYTES];
    float scores[TT_MODEL_CLASSES];
} tt_console_t;

/*
 * Prepare a console; nothing is sent.
 * console: out. config: in, copied.
 * Returns TT_ERROR_NULL_POINTER; TT_ERROR_MISALIGNED; TT_ERROR_INVALID_ARGUMENT: line_bytes, capacity, iterations,
 * format, or a buffer smaller than these ask for. The console is unusable then.
 */
tt_status_t tt_console_init(tt_console_t *console, const tt_console_config_t *config);

/*
 * Take bytes from the line, and perform every request that they complete: returns when all are answered, after minutes
 * where an adapt is among them. One thread per console. bytes: in, [count].
 */
void tt_console_feed(tt_console_t *console, const void *bytes, size_t count);

/* Samples that are kept. console: in, prepared. */
uint32_t tt_console_samples(const tt_console_t *console);

#ifdef __cplusplus
}
#endif

#endif /* TT_CONSOLE_H */
