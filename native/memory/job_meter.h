// The allocator of the bundled FFmpeg and dav1d: counts what each job allocates and refuses allocations
// beyond the job's limit. In the package it is a shared library of its own, used by FFmpeg's libraries and
// the addon. A build against another FFmpeg, which does not know it, links it into the addon.
#pragma once

#include <pthread.h>

#include <cstddef>

// NOLINTBEGIN(readability-identifier-naming): FFmpeg's --malloc-prefix derives these C names.
extern "C" {

// Counts the allocations of one job. Each block remembers its meter, so any thread may free it at any time.
struct cosmos_meter;

// Returns null when there is no memory for a meter.
cosmos_meter* cosmos_meter_open(std::size_t limit);
// Ends the job. The meter is freed together with the last of its blocks.
void cosmos_meter_close(cosmos_meter* meter);
// Makes `meter` count the allocations of this thread and of the threads that it starts; those keep it for
// life. Null counts nothing. Returns the previous meter.
cosmos_meter* cosmos_meter_enter(cosmos_meter* meter);
// Bytes currently allocated, including the overhead of each block.
std::size_t cosmos_meter_bytes(const cosmos_meter* meter);
// Whether more was requested than the limit. Blocks of at most 4 MiB are still granted, up to 64 MiB beyond
// the limit, so that the job can stop cleanly: FFmpeg is well tested against failures of large allocations
// and badly against those of small ones.
bool cosmos_meter_exceeded(const cosmos_meter* meter);

// Replacements for the functions of the same names.
void* cosmos_malloc(std::size_t size);
void* cosmos_realloc(void* block, std::size_t size);
int cosmos_posix_memalign(void** block, std::size_t alignment, std::size_t size);
void cosmos_free(void* block);
int cosmos_pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*),
                          void* argument);

}  // extern "C"
// NOLINTEND(readability-identifier-naming)
