// cosmos-embed-decoder: decodes untrusted media for the addon, in a process without files, network and
// rights. Started by native/isolation/decoder_process.cc only; descriptor 3 is the channel.
#include <malloc.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "ffmpeg/ffmpeg.h"
#include "isolation/channel.h"
#include "isolation/decoder_server.h"
#include "isolation/messages.h"
#include "isolation/sandbox.h"

namespace {

constexpr int kChannel = 3;
constexpr int kMappedSize = 256 << 10;  // as in memory/job_meter.cc

#ifndef __NR_close_range
#define __NR_close_range 436
#endif

// What the parent had open without close-on-exec, such as the descriptors of another library.
void CloseInherited() {
  if (syscall(__NR_close_range, kChannel + 1, ~0U, 0) == 0) return;
  for (int descriptor = kChannel + 1; descriptor < 4096; ++descriptor) close(descriptor);
}

std::int64_t Number(const char* text) { return text ? std::strtoll(text, nullptr, 10) : 0; }

}  // namespace

int main(int count, char** arguments) {
  if (count != 3 || isatty(kChannel) || lseek(kChannel, 0, SEEK_CUR) >= 0) {
    (void)std::fputs("cosmos-embed-decoder is started by cosmos-embed; it cannot be used by itself.\n",
                     stderr);
    return 2;
  }
  CloseInherited();
  // Otherwise glibc raises this threshold when a large block is freed, and the process keeps the memory of
  // the pictures of every video that it has decoded.
  mallopt(M_MMAP_THRESHOLD, kMappedSize);
  cosmos::Channel channel{cosmos::Descriptor(kChannel)};
  cosmos::ff::SilenceLog();
  const cosmos::Walls walls =
      cosmos::EnterSandbox({.private_bytes = Number(arguments[1]), .shared_bytes = Number(arguments[2])});
  const cosmos::Hello hello{cosmos::kProtocolVersion, COSMOS_VERSION, walls};
  // Without destructors: a decode may still run, and nobody waits for it.
  _exit(cosmos::ServeDecoder(channel, hello));
}
