/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L

#include <zephyr/device.h>
#include <zephyr/kernel.h>
#include <zephyr/sys/printk.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The kernel's own, where the application has none; the threads go on without it. */
__attribute__((weak)) int main(void) {
    for (;;) {
        (void)pause();
    }
}

struct start {
    k_thread_entry_t entry;
    void *arguments[3];
};

static void *enter(void *context) {
    const struct start *start = context;

    start->entry(start->arguments[0], start->arguments[1], start->arguments[2]);
    return NULL;
}

void tt_shim_start(k_thread_entry_t entry, void *p1, void *p2, void *p3) {
    static struct start starts[4];
    static size_t used;
    pthread_t thread;

    if (used == sizeof(starts) / sizeof(starts[0])) {
        abort();
    }
    starts[used] = (struct start){entry, {p1, p2, p3}};
    if (pthread_create(&thread, NULL, enter, &starts[used++]) != 0) {
        abort();
    }
}

int32_t k_msleep(int32_t ms) {
    const struct timespec duration = {ms / 1000, (ms % 1000) * 1000000L};

    return nanosleep(&duration, NULL);
}

int k_msgq_put(struct k_msgq *queue, const void *message, k_timeout_t timeout) {
    int result = -ENOMSG;

    ARG_UNUSED(timeout);
    pthread_mutex_lock(&queue->lock);
    if (queue->used < queue->capacity) {
        const size_t last = (queue->first + queue->used) % queue->capacity;

        memcpy(queue->buffer + last * queue->message_bytes, message, queue->message_bytes);
        ++queue->used;
        pthread_cond_signal(&queue->filled);
        result = 0;
    }
    pthread_mutex_unlock(&queue->lock);
    return result;
}

int k_msgq_get(struct k_msgq *queue, void *message, k_timeout_t timeout) {
    pthread_mutex_lock(&queue->lock);
    if (queue->used == 0 && timeout.ticks == 0) {
        pthread_mutex_unlock(&queue->lock);
        return -ENOMSG;
    }
    while (queue->used == 0) {
        pthread_cond_wait(&queue->filled, &queue->lock);
    }
    memcpy(message, queue->buffer + queue->first * queue->message_bytes, queue->message_bytes);
    queue->first = (queue->first + 1) % queue->capacity;
    --queue->used;
    pthread_mutex_unlock(&queue->lock);
    return 0;
}

/* First come, first served, as the kernel hands a mutex over. Timeouts other than none and for ever are for ever. */
int k_mutex_lock(struct k_mutex *mutex, k_timeout_t timeout) {
    int result = 0;

    pthread_mutex_lock(&mutex->lock);
    if (timeout.ticks == 0 && mutex->next != mutex->served) {
        result = -EBUSY;
    } else {
        const unsigned int ticket = mutex->next++;

        while (ticket != mutex->served) {
            pthread_cond_wait(&mutex->freed, &mutex->lock);
        }
    }
    pthread_mutex_unlock(&mutex->lock);
    return result;
}

int k_mutex_unlock(struct k_mutex *mutex) {
    pthread_mutex_lock(&mutex->lock);
    ++mutex->served;
    pthread_cond_broadcast(&mutex->freed);
    pthread_mutex_unlock(&mutex->lock);
    return 0;
}

void k_yield(void) {
}

int64_t k_uptime_get(void) {
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool device_is_ready(const struct device *device) {
    return device != NULL;
}

void printk(const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    fflush(stdout);
}
