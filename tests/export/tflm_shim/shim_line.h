/* SPDX-License-Identifier: Apache-2.0 */
/* The line to the test, whose process runs the models. Where there are no sockets, as on a board, there is none. */
#ifndef TFLM_SHIM_LINE_H
#define TFLM_SHIM_LINE_H

#include <cstddef>

#if __has_include(<sys/un.h>)

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace shim {

inline int &Line() {
    static int line = -1;
    return line;
}

inline bool Connect() {
    if (Line() >= 0) {
        return true;
    }
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    const char *path = std::getenv("TT_SHIM_TFLM");
    if (path == nullptr || std::strlen(path) >= sizeof address.sun_path) {
        return false;
    }
    std::strcpy(address.sun_path, path);
    Line() = socket(AF_UNIX, SOCK_STREAM, 0);
    return connect(Line(), reinterpret_cast<const sockaddr *>(&address), sizeof address) == 0;
}

inline void Send(const void *bytes, size_t count) {
    for (const auto *next = static_cast<const char *>(bytes); count > 0;) {
        const ssize_t sent = write(Line(), next, count);
        if (sent <= 0) {
            std::abort();
        }
        next += sent;
        count -= static_cast<size_t>(sent);
    }
}

inline void Receive(void *bytes, size_t count) {
    for (auto *next = static_cast<char *>(bytes); count > 0;) {
        const ssize_t received = read(Line(), next, count);
        if (received <= 0) {
            std::abort();
        }
        next += received;
        count -= static_cast<size_t>(received);
    }
}

} // namespace shim

#else

namespace shim {

inline bool Connect() {
    return false;
}
inline void Send(const void *, size_t) {
}
inline void Receive(void *, size_t) {
}

} // namespace shim

#endif

#endif /* TFLM_SHIM_LINE_H */
