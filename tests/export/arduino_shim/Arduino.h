/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thin stand-in for the Arduino API on the host: what the exported library and its sketches use of it and nothing
 * else, with the signatures of the API, so that a sketch compiles against either. Serial is standard input and output, which may be a pseudo-terminal.
 */
#ifndef ARDUINO_SHIM_ARDUINO_H
#define ARDUINO_SHIM_ARDUINO_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus

namespace arduino {

enum {
    DEC = 10,
    HEX = 16
};

class Print {
  public:
    virtual ~Print() = default;
    virtual size_t write(uint8_t byte) = 0;
    virtual size_t write(const uint8_t *bytes, size_t count);
    size_t write(const char *text) {
        return write(reinterpret_cast<const uint8_t *>(text), strlen(text));
    }
    size_t write(const char *bytes, size_t count) {
        return write(reinterpret_cast<const uint8_t *>(bytes), count);
    }
    virtual void flush() {
    }

    size_t print(const char text[]) {
        return write(text);
    }
    size_t print(char character) {
        return write(static_cast<uint8_t>(character));
    }
    size_t print(int number, int base = DEC) {
        return print(static_cast<long>(number), base);
    }
    size_t print(unsigned int number, int base = DEC) {
        return print(static_cast<unsigned long>(number), base);
    }
    size_t print(long number, int base = DEC);
    size_t print(unsigned long number, int base = DEC);
    size_t print(double number, int digits = 2);
    size_t println() {
        return write("\r\n");
    }
    template <typename T> size_t println(T value) {
        const size_t count = print(value);
        return count + println();
    }
    template <typename T> size_t println(T value, int format) {
        const size_t count = print(value, format);
        return count + println();
    }
};

class Stream : public Print {
  public:
    virtual int available() = 0;
    virtual int read() = 0;
    virtual int peek() = 0;
};

class HardwareSerial : public Stream {
  public:
    virtual void begin(unsigned long baud_rate) = 0;
    virtual void end() = 0;
    virtual operator bool() = 0;
};

} // namespace arduino

using namespace arduino;

class HostSerial : public HardwareSerial {
  public:
    void begin(unsigned long) override {
    }
    void end() override {
    }
    int available() override;
    int read() override;
    int peek() override;
    size_t write(uint8_t byte) override {
        return write(&byte, 1);
    }
    size_t write(const uint8_t *bytes, size_t count) override;
    using Print::write;
    operator bool() override {
        return true;
    }

  private:
    uint8_t received_[256] = {};
    size_t next_ = 0;
    size_t count_ = 0;
};

extern HostSerial Serial;

void setup();
void loop();

extern "C" {
#endif

enum {
    A0 = 14,
    LED_BUILTIN = 13
};
enum {
    LOW = 0,
    HIGH = 1,
    INPUT = 0,
    OUTPUT = 1
};

/* The bytes of the file that TT_SHIM_SENSOR names, one a call, as readings of 0 to 1020; 0 after its end. */
int analogRead(uint8_t pin);
void digitalWrite(uint8_t pin, int level);
void pinMode(uint8_t pin, int mode);
void delay(unsigned long milliseconds);
/* Each look at the clock takes 10 ms. */
unsigned long millis(void);

#ifdef __cplusplus
}
#endif

#endif /* ARDUINO_SHIM_ARDUINO_H */
