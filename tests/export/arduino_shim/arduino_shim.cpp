/* SPDX-License-Identifier: Apache-2.0 */
/* The core: main, Serial over standard input and output, a clock, and pins that are not there. */
#include "Arduino.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

HostSerial Serial;

namespace arduino {

size_t Print::write(const uint8_t *bytes, size_t count) {
    size_t written = 0;
    while (written < count && write(bytes[written]) == 1) {
        ++written;
    }
    return written;
}

size_t Print::print(long number, int base) {
    if (base == DEC && number < 0) {
        return print('-') + print(0ul - static_cast<unsigned long>(number), base);
    }
    return print(static_cast<unsigned long>(number), base);
}

size_t Print::print(unsigned long number, int base) {
    char text[24];
    snprintf(text, sizeof text, base == HEX ? "%lX" : "%lu", number);
    return write(text);
}

size_t Print::print(double number, int digits) {
    char text[64];
    snprintf(text, sizeof text, "%.*f", digits, number);
    return write(text);
}

} // namespace arduino

/* The board is unplugged when its input ends: the sketch's loop would go on for ever. */
static void unplug() {
    fflush(nullptr);
    exit(0);
}

int HostSerial::available() {
    if (next_ == count_) {
        struct pollfd input = {STDIN_FILENO, POLLIN, 0};
        if (poll(&input, 1, 1) <= 0) {
            return 0;
        }
        const ssize_t got = ::read(STDIN_FILENO, received_, sizeof received_);
        if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN)) {
            unplug();
        }
        next_ = 0;
        count_ = got > 0 ? static_cast<size_t>(got) : 0;
    }
    return static_cast<int>(count_ - next_);
}

int HostSerial::peek() {
    return available() > 0 ? received_[next_] : -1;
}

int HostSerial::read() {
    return available() > 0 ? received_[next_++] : -1;
}

size_t HostSerial::write(const uint8_t *bytes, size_t count) {
    size_t written = 0;
    while (written < count) {
        const ssize_t sent = ::write(STDOUT_FILENO, bytes + written, count - written);
        if (sent < 0 && errno != EINTR && errno != EAGAIN) {
            unplug();
        }
        written += sent > 0 ? static_cast<size_t>(sent) : 0;
    }
    return written;
}

int analogRead(uint8_t) {
    static FILE *sensor = nullptr;
    const char *path = getenv("TT_SHIM_SENSOR");
    if (sensor == nullptr && path != nullptr) {
        sensor = fopen(path, "rb");
    }
    const int byte = sensor == nullptr ? EOF : fgetc(sensor);
    return byte == EOF ? 0 : 4 * byte;
}

void digitalWrite(uint8_t, int) {
}
void pinMode(uint8_t, int) {
}
void delay(unsigned long) {
}

unsigned long millis(void) {
    static unsigned long now = 0;
    now += 10;
    return now;
}

int main() {
    setup();
    for (;;) {
        loop();
        Serial.available();
    }
}
