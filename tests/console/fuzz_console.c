/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of every kind against one console in one process: valid ones, mutated, truncated, oversized, with wrong
 * checksums, out of order, repeated, and noise; slices of what the board learns come between them. Every line has exactly
 * one answer with a right checksum, that of an adapt when it is done; an adapt that is sent again meanwhile has none; a
 * frame whose checksum is wrong changes nothing, and afterwards the session answers as a new one does.
 *
 *     fuzz_console FRAMES SEED
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tt_console_text.h"
#include "tt_crc32.h"
#include "tt_sim_console.h"

#define LINE_ROOM 1024u
#define TALK_ROOM 16384u
#define KINDS 8u

static const char *const KIND_NAMES[KINDS] = {"valid",          "mutated",      "truncated", "oversized",
                                              "wrong checksum", "out of order", "repeated",  "noise"};

static tt_console_t *console;
static uint64_t state;
static uint64_t answers;
static uint64_t lines_sent;
static uint64_t codes[256];
static char line_so_far[4u * LINE_ROOM]; /* of a line that has not ended */
static size_t pending;
static char adapt_line[LINE_ROOM]; /* what began the adapt that is going on */
static bool owed;                  /* its answer */
static char heard[LINE_ROOM];
static size_t heard_used;
static char last_answer[LINE_ROOM];
static char talk[TALK_ROOM];
static size_t talk_used;
static bool recording;

static void fail(const char *why, const char *line) {
    fprintf(stderr, "%s: %s\n", why, line);
    exit(1);
}

static uint32_t draw(uint32_t below) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 11) % below);
}

static void check_answer(void) {
    uint32_t crc;
    const char *star = strrchr(heard, '*');
    if (star == NULL || strlen(star) != 9u || !tt_console_hexadecimal(star + 1, &crc) ||
        crc != tt_crc32(0u, heard, (size_t)(star - heard))) {
        fail("an answer with a wrong checksum", heard);
    }
    ++answers;
    codes[strncmp(heard, "!ok", 3u) == 0 ? 0 : atoi(heard + 7) & 255]++;
    strcpy(last_answer, heard);
}

static void hear(void *context, const char *text, size_t count) {
    (void)context;
    for (size_t i = 0; i < count; ++i) {
        if (text[i] != '\n') {
            if (heard_used + 1u == LINE_ROOM) {
                fail("an answer without an end", heard);
            }
            if (text[i] != '\r') {
                heard[heard_used++] = text[i];
            }
            continue;
        }
        heard[heard_used] = '\0';
        if (heard[0] == '!') {
            check_answer();
            if (recording && talk_used + heard_used < TALK_ROOM) {
                memcpy(talk + talk_used, heard, heard_used);
                talk_used += heard_used;
            }
        }
        heard_used = 0u;
    }
}

static bool learns(void) {
    uint32_t done;
    uint32_t total;
    return strcmp(tt_console_progress(console, &done, &total), "idle") != 0;
}

static void check_answers(void) {
    if (answers + (owed ? 1u : 0u) != lines_sent) {
        fail("a line without exactly one answer; the last one", last_answer);
    }
}

static void end_of_line(bool learnt) {
    if (learnt && line_so_far[0] == '#' && strcmp(line_so_far, adapt_line) == 0) {
        return; /* sent again: its answer is owed already */
    }
    ++lines_sent;
    if (!learnt && learns()) {
        strcpy(adapt_line, line_so_far);
        owed = true;
    }
}

static void feed(const char *bytes, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        const bool ends = bytes[i] == '\n' || bytes[i] == '\r';
        const bool learnt = learns();
        tt_console_feed(console, bytes + i, 1u);
        if (!ends && pending + 1u < sizeof line_so_far) {
            line_so_far[pending++] = bytes[i];
        } else if (ends && pending > 0u) {
            line_so_far[pending] = '\0';
            pending = 0u;
            end_of_line(learnt);
        }
    }
    check_answers();
    if (tt_console_samples(console) > TT_SIM_CONSOLE_CAPACITY) {
        fail("more samples than there is room for", last_answer);
    }
}

static bool one_slice(void) {
    const bool more = tt_console_poll(console);
    owed = owed && more;
    check_answers();
    return more;
}

static void drain(void) {
    while (one_slice()) {
    }
}

/* "#SEQUENCE BODY*CRC", without its end. Returns its length. */
static size_t frame_of(char *out, uint32_t sequence, const char *body) {
    const int length = snprintf(out, LINE_ROOM - 16u, "#%u %s", (unsigned)sequence, body);
    return (size_t)length + (size_t)sprintf(out + length, "*%08x", (unsigned)tt_crc32(0u, out, (size_t)length));
}

static void put_base64(char *out, const uint8_t *bytes, uint32_t count) {
    for (uint32_t i = 0; i < count; i += 3u) {
        tt_console_to_base64(bytes + i, count - i < 3u ? count - i : 3u, out);
        out += 4;
    }
    *out = '\0';
}

/* data OFFSET BASE64 of random bytes. */
static void data_body(char *out, uint32_t offset, uint32_t count) {
    uint8_t bytes[256];
    for (uint32_t i = 0; i < count; ++i) {
        bytes[i] = (uint8_t)draw(256u);
    }
    put_base64(out + sprintf(out, "data %u ", (unsigned)offset), bytes, count);
}

/* The next step of a sample that is sent as it should be, and of what is done with it. */
static void next_step(char *out) {
    static uint32_t expected;
    static uint32_t sent;
    if (expected == 0u) {
        const bool pixels = draw(4u) > 0u;
        strcpy(out, pixels ? "begin uint8" : "begin float32");
        expected = TT_MODEL_INPUT_ELEMENTS * (pixels ? 1u : 4u);
        sent = 0u;
    } else if (sent < expected) {
        const uint32_t count = expected - sent < 150u ? expected - sent : 150u;
        data_body(out, sent, count);
        sent += count;
    } else {
        static const char *const USES[] = {"enroll", "enroll", "enroll", "train"};
        expected = 0u;
        if (draw(4u) == 0u) {
            strcpy(out, "predict");
        } else {
            sprintf(out, "%s %u", USES[draw(4u)], (unsigned)draw(TT_MODEL_CLASSES));
        }
    }
}

/* What a host may well send; now and then what it should not. */
static void valid_body(char *out) {
    static uint32_t offset;
    if (learns() && draw(6u) == 0u) {
        strcpy(out, "cancel");
        return;
    }
    if (draw(4u) > 0u) {
        next_step(out);
        return;
    }
    switch (draw(16u)) {
    case 0:
        strcpy(out, draw(4u) == 0u ? "begin float32" : "begin uint8");
        offset = 0u;
        break;
    case 1:
    case 2:
    case 3:
    case 4: {
        const uint32_t count = 1u + draw(60u);
        data_body(out, offset, count);
        offset = (offset + count) % TT_MODEL_INPUT_ELEMENTS;
        break;
    }
    case 5:
    case 6:
        data_body(out, 0u, TT_MODEL_INPUT_ELEMENTS < 160u ? TT_MODEL_INPUT_ELEMENTS : 160u);
        break;
    case 7:
        sprintf(out, "enroll %u", (unsigned)draw(TT_MODEL_CLASSES + 1u));
        break;
    case 8:
        strcpy(out, "predict");
        break;
    case 9:
        sprintf(out, "train %u", (unsigned)draw(TT_MODEL_CLASSES + 1u));
        break;
    case 10:
        strcpy(out, draw(8u) == 0u ? "status" : "help");
        break;
    case 11:
        sprintf(out, "dump %u", (unsigned)draw(2000u));
        break;
    case 12:
        sprintf(out, "losses %u", (unsigned)draw(4u));
        break;
    case 13:
        strcpy(out, draw(2u) == 0u ? "save" : "load");
        break;
    case 14:
        strcpy(out, draw(8u) == 0u ? "forget" : draw(8u) == 0u ? "reset" : "status");
        break;
    default:
        if (draw(2u) == 0u) {
            sprintf(out, "adapt %u %u%s%s", (unsigned)draw(8u), (unsigned)draw(1000u), draw(4u) == 0u ? " flip" : "",
                    draw(4u) == 0u ? " constant" : "");
        } else {
            sprintf(out, "adapt %u", (unsigned)(257u + draw(100000u)));
        }
    }
}

static size_t mutate(char *line, size_t count) {
    for (uint32_t times = 1u + draw(4u); times > 0u && count > 1u; --times) {
        const uint32_t at = draw((uint32_t)count);
        switch (draw(3u)) {
        case 0:
            line[at] = (char)draw(256u);
            break;
        case 1:
            memmove(line + at, line + at + 1u, count - at - 1u);
            --count;
            break;
        default:
            memmove(line + at + 1u, line + at, count - at);
            line[at] = (char)draw(256u);
            ++count;
        }
    }
    return count;
}

static void one_frame(uint32_t kind, uint32_t sequence) {
    static char previous[LINE_ROOM];
    static size_t previous_count;
    static char body[LINE_ROOM] = "status";
    char line[2u * LINE_ROOM];
    /* The other kinds spoil the frame of before, so that a sample can be sent to its end. */
    if (kind == 0u) {
        valid_body(body);
    }
    size_t count = frame_of(line, sequence, body);
    for (uint32_t slices = draw(3u) == 0u ? draw(200u) : draw(4u); slices > 0u && one_slice(); --slices) {
    }
    const uint32_t samples = tt_console_samples(console);
    switch (kind) {
    case 0:
        memcpy(previous, line, count);
        previous_count = count;
        break;
    case 1:
        count = mutate(line, count);
        break;
    case 2:
        count = draw((uint32_t)count);
        break;
    case 3:
        while (count < TT_CONSOLE_LINE_BYTES) {
            line[count++] = (char)(33u + draw(90u));
        }
        count += draw(LINE_ROOM);
        memset(line + TT_CONSOLE_LINE_BYTES, 'x', count - TT_CONSOLE_LINE_BYTES);
        break;
    case 4: {
        static const char OTHER[] = "0123456789abcdef";
        char *digit = &line[count - 1u - draw(8u)];
        *digit = OTHER[((uint32_t)(strchr(OTHER, *digit) - OTHER) + 1u + draw(15u)) % 16u];
        break;
    }
    case 5: {
        char other[LINE_ROOM];
        data_body(other, draw(2u) == 0u ? draw(400u) : UINT32_MAX - draw(200u), 1u + draw(100u));
        count = frame_of(line, sequence - draw(3u), other);
        break;
    }
    case 6:
        if (previous_count > 0u) {
            memcpy(line, previous, previous_count);
            count = previous_count;
        }
        break;
    default:
        count = draw(300u);
        for (size_t i = 0; i < count; ++i) {
            line[i] = (char)(draw(3u) == 0u ? draw(256u) : 32u + draw(95u));
        }
    }
    line[count++] = draw(4u) == 0u ? '\r' : '\n';
    /* In pieces, as a driver hands them over. */
    for (size_t at = 0; at < count;) {
        const size_t piece = 1u + draw((uint32_t)(count - at));
        feed(line + at, piece);
        at += piece;
    }
    if (kind == 4u && (strncmp(last_answer, "!error 101 ", 11u) != 0 || tt_console_samples(console) != samples)) {
        fail("a frame with a wrong checksum was not refused", last_answer);
    }
    if (kind == 3u && strncmp(last_answer, "!error 100 ", 11u) != 0) {
        fail("an oversized frame was not refused", last_answer);
    }
}

static void say(uint32_t sequence, const char *body) {
    char line[LINE_ROOM];
    const size_t count = frame_of(line, sequence, body);
    line[count] = '\n';
    feed(line, count + 1u);
    drain();
    if (strncmp(last_answer, "!ok", 3u) != 0) {
        fail("refused", last_answer);
    }
}

/* A session whose answers are known, from a reset on. Its answers are put one after the other. */
static void whole_session(void) {
    char body[LINE_ROOM];
    uint32_t sequence = 1000000000u;
    const uint64_t kept_state = state;
    state = 77u;
    talk_used = 0u;
    recording = true;
    say(++sequence, "reset");
    for (uint32_t i = 0; i < 2u * TT_MODEL_CLASSES; ++i) {
        say(++sequence, "begin uint8");
        for (uint32_t at = 0; at < TT_MODEL_INPUT_ELEMENTS; at += 60u) {
            const uint32_t rest = TT_MODEL_INPUT_ELEMENTS - at;
            data_body(body, at, rest < 60u ? rest : 60u);
            say(++sequence, body);
        }
        sprintf(body, "enroll %u", (unsigned)(i % TT_MODEL_CLASSES));
        say(++sequence, body);
    }
    say(++sequence, "adapt 3 5");
    say(++sequence, "losses 0");
    say(++sequence, "begin uint8");
    for (uint32_t at = 0; at < TT_MODEL_INPUT_ELEMENTS; at += 60u) {
        const uint32_t rest = TT_MODEL_INPUT_ELEMENTS - at;
        data_body(body, at, rest < 60u ? rest : 60u);
        say(++sequence, body);
    }
    say(++sequence, "predict");
    recording = false;
    talk[talk_used] = '\0';
    state = kept_state;
}

int main(int argc, char **argv) {
    static char known[TALK_ROOM];
    uint64_t counts[KINDS] = {0};
    if (argc != 3) {
        return 2;
    }
    const uint32_t frames = (uint32_t)strtoul(argv[1], NULL, 10);
    state = strtoul(argv[2], NULL, 10) * 2654435761u + 1u;
    console = tt_sim_console_start(hear, NULL, NULL);
    if (console == NULL) {
        return 1;
    }
    whole_session();
    strcpy(known, talk);
    for (uint32_t i = 0; i < frames; ++i) {
        const uint32_t kind = draw(3u) == 0u ? 0u : draw(KINDS);
        one_frame(kind, i + 1u);
        ++counts[kind];
    }
    /* What noise has left of a line ends here. */
    feed("\n", 1u);
    drain();
    whole_session();
    if (strcmp(known, talk) != 0) {
        fail("the session answers otherwise than a new one", talk);
    }
    for (uint32_t kind = 0; kind < KINDS; ++kind) {
        printf("%s %llu\n", KIND_NAMES[kind], (unsigned long long)counts[kind]);
    }
    for (uint32_t code = 0; code < 256u; ++code) {
        if (codes[code] > 0u) {
            printf("code %u %llu\n", (unsigned)code, (unsigned long long)codes[code]);
        }
    }
    printf("frames %u lines %llu answers %llu\n", (unsigned)frames, (unsigned long long)lines_sent,
           (unsigned long long)answers);
    return 0;
}
