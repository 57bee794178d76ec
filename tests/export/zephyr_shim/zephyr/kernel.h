/* SPDX-License-Identifier: Apache-2.0 */
/* The few calls of Zephyr's kernel that the exported module makes, on POSIX threads. */
#ifndef ZEPHYR_KERNEL_H
#define ZEPHYR_KERNEL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARG_UNUSED(x) (void)(x)
#define __aligned(x) __attribute__((aligned(x)))
#define __weak __attribute__((weak))

typedef struct {
    int64_t ticks;
} k_timeout_t;

#define K_NO_WAIT ((k_timeout_t){0})
#define K_FOREVER ((k_timeout_t){-1})

typedef void (*k_thread_entry_t)(void *, void *, void *);

/* Its stack is the host's: of the size that was asked for it would be too small for the frames of the sanitizers. */
#define K_THREAD_DEFINE(name, stack_bytes, entry, p1, p2, p3, priority, options, delay)                                \
    __attribute__((constructor)) static void start_##name(void) {                                                      \
        _Static_assert((stack_bytes) >= 1024 && (priority) >= 0 && (options) == 0 && (delay) == 0,                     \
                       "a thread as the module defines it");                                                           \
        tt_shim_start(entry, p1, p2, p3);                                                                              \
    }                                                                                                                  \
    extern const int name##_is_defined

void tt_shim_start(k_thread_entry_t entry, void *p1, void *p2, void *p3);

int32_t k_msleep(int32_t ms);
void k_yield(void);
int64_t k_uptime_get(void);

struct k_mutex {
    pthread_mutex_t lock;
    pthread_cond_t freed;
    unsigned int next;
    unsigned int served;
};

#define K_MUTEX_DEFINE(name) struct k_mutex name = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0}

int k_mutex_lock(struct k_mutex *mutex, k_timeout_t timeout);
int k_mutex_unlock(struct k_mutex *mutex);

struct k_msgq {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    char *buffer;
    size_t message_bytes;
    size_t capacity;
    size_t first;
    size_t used;
};

#define K_MSGQ_DEFINE(name, bytes, count, align)                                                                       \
    static char name##_buffer[(bytes) * (count)] __aligned(align);                                                     \
    struct k_msgq name = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, name##_buffer, bytes, count, 0, 0}

int k_msgq_put(struct k_msgq *queue, const void *message, k_timeout_t timeout);
int k_msgq_get(struct k_msgq *queue, void *message, k_timeout_t timeout);

#endif /* ZEPHYR_KERNEL_H */
