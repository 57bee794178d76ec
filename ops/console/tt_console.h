/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A console for a board that learns: bytes of a serial line in, answers out through a callback. It works on any session,
 * several of them on one board; what its model lacks is answered with TT_CONSOLE_UNSUPPORTED. Nothing is allocated, all
 * memory is the caller's, and nothing but the callbacks touches hardware.
 *
 * tt_console_feed takes what has come in and answers it. An `adapt` takes long: it is begun there and done by
 * tt_console_poll, at most one pass of one sample a call, so that the board answers, feeds its watchdog and does its other
 * work while it learns:
 *
 *     for (;;) {
 *         tt_console_feed(&console, bytes, uart_take(bytes, sizeof bytes));
 *         if (!tt_console_poll(&console)) { wait for bytes }
 *     }
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
 * Each request has one answer, a line that begins with '!'; its CRC covers everything before its '*'. That of `adapt`
 * comes when it is done, and those of requests meanwhile before it; an `adapt` that is sent again meanwhile has none of
 * its own.
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
 *     cancel                      end an adapt that is going on, which then answers TT_CONSOLE_STOPPED
 *     losses FIRST                of the last adapt, from iteration FIRST on; total, first, data: float32
 *     forget                      the kept samples and the prototypes, not what was trained
 *     save, load                  tt_save, tt_load; bytes: of the state
 *     dump OFFSET                 the newest saved state from OFFSET on; total, offset, data
 *     reset                       forget everything but what was saved
 *
 * Keys of status: protocol, fingerprint, shape (of the input), format (of kept samples), scale and shift (from uint8 to
 * the input), classes, loss (prototype, softmax, ...), mode (static or dynamic), adaptable, capacity and samples (kept),
 * iterations (the most of an adapt), losses (of the last adapt), chunk (most bytes of a data), state (bytes that a save
 * would write), storage (bytes, 0 without), stage (idle, inspecting, adapting or stopping), done and total (slices of the
 * stage).
 *
 * adapt: in adaptable builds tt_adapt, with pseudo-queries of the seed (default 0), mirrored or not with `flip`, and
 * prototypes held within an iteration with `constant`; a dynamic build inspects the samples and selects under the budget
 * of the conversion before. Other builds: ITERATIONS passes of tt_train_step over the samples.
 *
 * While an adapt is going on, help, status, begin, data (of the format that is kept), predict and cancel are answered at
 * once, other commands with TT_CONSOLE_BUSY. predict compares with the prototypes of before until the samples have been
 * enrolled anew. After a cancel, rows are those of the last update, the kept samples have been enrolled by them, and
 * nothing that was saved has changed.
 */
#ifndef TT_CONSOLE_H
#define TT_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tt_adapt.h"
#include "tt_inspection.h"
#include "tt_session.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TT_CONSOLE_PROTOCOL 1u

/* Bytes of the line buffer: the least, and what makes uploads quick. */
#define TT_CONSOLE_MIN_LINE_BYTES 96u
#define TT_CONSOLE_LINE_BYTES 256u

/* Bytes of one kept sample of that many elements, as TT_CONSOLE_UINT8 or as TT_CONSOLE_FLOAT32. */
#define TT_CONSOLE_UINT8_BYTES(elements) ((size_t)(elements))
#define TT_CONSOLE_FLOAT32_BYTES(elements) (((size_t)(elements)*4u + 7u) / 8u * 8u)

/*
 * Bytes of the workspace for that many kept samples, at least 1. The other arguments are the macros of the build's header:
 * INPUT_ELEMENTS, CLASSES, OUTPUT_ELEMENTS, HAS_PROTOTYPES and ADAPTABLE.
 */
#define TT_CONSOLE_WORKSPACE_BYTES(samples, input_elements, classes, output_elements, has_prototypes, adaptable)       \
    ((adaptable)        ? TT_ADAPT_WORKSPACE_BYTES(samples, input_elements, classes, output_elements)                  \
     : (has_prototypes) ? TT_ENROLMENT_BYTES(classes, output_elements)                                                 \
                        : (size_t)1u)

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
    TT_CONSOLE_STOPPED = 112,      /* it was cancelled */
    TT_CONSOLE_BUSY = 113          /* an adapt is going on */
} tt_console_error_t;

typedef enum {
    TT_CONSOLE_UINT8 = 0,
    TT_CONSOLE_FLOAT32 = 1
} tt_console_format_t;

/* Sends bytes of an answer; may block. text: in, [count], not NUL-terminated. */
typedef void (*tt_console_write_t)(void *context, const char *text, size_t count);

/* What a console works with. All memory stays the caller's, must stay valid, and is not touched by others. */
typedef struct {
    tt_session_t *session;      /* through tt_init; while an adapt is going on others call what tt_adapt.h allows */
    char *line;                 /* [line_bytes]: a request as it comes in */
    size_t line_bytes;          /* at least TT_CONSOLE_MIN_LINE_BYTES */
    float *input;               /* [input_elements], 8-byte aligned; NULL where format is float32 */
    float *scores;              /* [classes] */
    tt_console_format_t format; /* of kept samples */
    void *samples; /* [capacity + 1] samples of that format, 8-byte aligned: the kept ones, and the new one */
    size_t samples_bytes;
    uint32_t *labels;  /* [capacity] */
    uint32_t capacity; /* samples that can be kept, at least 1 */
    void *workspace;   /* 16-byte aligned, tt_console_workspace_bytes(session, capacity); NULL where that is 0 */
    size_t workspace_bytes;
    float *losses;               /* [iterations] */
    uint32_t iterations;         /* the most of one adapt, at least 1 */
    const tt_storage_t *storage; /* NULL where the board has none */
    tt_console_write_t write;
    void *write_context;
} tt_console_config_t;

#define TT_CONSOLE_FIELDS_BYTES 48u
#define TT_CONSOLE_OUT_BYTES 64u

/* An adapt; private. */
typedef struct {
    uint32_t stage;    /* 0: none */
    bool has_sequence; /* of its request */
    bool stopping;
    bool flip;
    bool constant;
    uint32_t sequence;
    uint32_t crc;
    uint32_t iterations;
    uint32_t seed;
    uint32_t told; /* iterations, or samples inspected, that a line has told of */
    uint32_t pass; /* over the samples; where steps are taken one by one */
    uint32_t index;
    float sum; /* of losses */
    union {
        tt_inspector_t inspector;
        tt_adapter_t adapter;
        tt_enrolment_t enrolment;
    } of;
} tt_console_job_t;

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
    tt_console_job_t job;
} tt_console_t;

/*
 * Prepare a console; nothing is sent.
 * console: out. config: in, copied.
 * Returns TT_ERROR_NULL_POINTER; TT_ERROR_NOT_INITIALISED; TT_ERROR_MISALIGNED; TT_ERROR_INVALID_ARGUMENT: line_bytes, capacity, iterations,
 * format, or a buffer smaller than these ask for. The console is unusable then.
 */
tt_status_t tt_console_init(tt_console_t *console, const tt_console_config_t *config);

/* Bytes of the workspace for that many kept samples; 0 where the session's model needs none. */
size_t tt_console_workspace_bytes(const tt_session_t *session, uint32_t capacity);

/*
 * Take bytes from the line, and answer every request that they complete; an adapt among them is begun. One thread per
 * console. bytes: in, [count].
 */
void tt_console_feed(tt_console_t *console, const void *bytes, size_t count);

/*
 * At most one pass of one sample of an adapt that is going on; its progress and its end are told to the line. Returns
 * whether there is more to do.
 */
bool tt_console_poll(tt_console_t *console);

/* The command cancel, given by the board itself. tt_console_poll has still to be called until it returns false. */
void tt_console_cancel(tt_console_t *console);

/* What is going on, as the keys of status have it: the name of the stage, "idle" where nothing is. done, total: out. */
const char *tt_console_progress(const tt_console_t *console, uint32_t *done, uint32_t *total);

/*
 * Tell the line the progress again: "inspecting N/TOTAL" or "adapting N/TOTAL". To be called every few seconds where one
 * iteration takes minutes, so that whoever waits knows that it goes on.
 */
void tt_console_tell(tt_console_t *console);

/* Samples that are kept. console: in, prepared. */
uint32_t tt_console_samples(const tt_console_t *console);

#ifdef __cplusplus
}
#endif

#endif /* TT_CONSOLE_H */
