// The allocator of the FFmpeg and dav1d that the package brings: it counts what each job allocates and
// refuses what is beyond the job's limit. A library of its own there, which FFmpeg's libraries and the addon
// share; a build against another FFmpeg, which knows nothing of it, has it inside the addon.
#pragma once

#include <pthread.h>

#include <cstddef>

// NOLINTBEGIN(readability-identifier-naming): C, as FFmpeg's --malloc-prefix builds the names.
extern "C" {

// What one job may allocate and has allocated. A block remembers its meter, so it may be freed by any thread
// at any time.
struct cosmos_meter;

// Null where there is no memory for a meter.
cosmos_meter* cosmos_meter_open(std::size_t limit);
// The job is over. The meter goes when the last of its blocks does.
void cosmos_meter_close(cosmos_meter* meter);
// From here on `meter` counts what this thread allocates, and what the threads that it starts do: for them it
// stays the same for life. Null counts nothing. Returns the one before.
cosmos_meter* cosmos_meter_enter(cosmos_meter* meter);
// Held now, with what the blocks need themselves.
std::size_t cosmos_meter_bytes(const cosmos_meter* meter);
// More was asked for than the limit. Small blocks are given all the same, up to 64 MiB beyond it, so that who
// asks can be stopped in order: FFmpeg is well tested with large ones that it does not get, and badly with
// small ones.
bool cosmos_meter_exceeded(const cosmos_meter* meter);

// In the places of the functions of these names.
void* cosmos_malloc(std::size_t size);
void* cosmos_realloc(void* block, std::size_t size);
int cosmos_posix_memalign(void** block, std::size_t alignment, std::size_t size);
void cosmos_free(void* block);
int cosmos_pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*),
                          void* argument);

}  // extern "C"
// NOLINTEND(readability-identifier-naming)
