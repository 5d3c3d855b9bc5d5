// What this process or the system can have no more of is not the fault of the file that is being read.
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "base/thread_pool.h"
#include "failing_calls.h"
#include "isolation/channel.h"
#include "isolation/decoder_pool.h"
#include "media_support.h"
#include "nvdec_support.h"

namespace cosmos::test {
namespace {

const FailingCalls kNoDescriptor{{__NR_openat, __NR_eventfd2}, EMFILE};
// The C library falls back to clone, whose flags a filter can read. The filter of the decoder does the same.
const FailingCalls kNoThread{{__NR_clone}, EAGAIN, 0, CLONE_THREAD};

void RunWithoutThreads(const std::function<void()>& work) {
  RunWithout({{__NR_clone3}, ENOSYS}, [&] { RunWithout(kNoThread, work); });
}

constexpr int kIdle = 2;

std::shared_ptr<DecoderPool> OpenPool() {
  auto pool =
      DecoderPool::Open({.executable = COSMOS_DECODER, .max_bytes = std::int64_t{1} << 30, .idle = kIdle});
  EXPECT_TRUE(pool.ok()) << pool.status().message();
  return pool.ok() ? pool.value() : nullptr;
}

// The thread of a test must start no decoder, which would lack what the thread lacks.
void AwaitIdle(const DecoderPool& pool) {
  while (pool.stats().idle < kIdle) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

std::filesystem::path Video() {
  return MakeClip("shortage.mp4", "-f lavfi -i testsrc2=size=160x120:rate=25:duration=1 -c:v libx264");
}

Status Decode(DecoderPool& pool, const MediaSource& source, const ClipRequest& request = Frames(2)) {
  const auto cancel = std::make_shared<CancelToken>();
  auto reader = pool.OpenReader(source, request, {}, cancel);
  return reader.ok() ? reader.value()->Next(cancel).status() : reader.status();
}

void ExpectShortage(const Status& status) {
  EXPECT_EQ(status.code(), StatusCode::kOutOfMemory) << status.message();
  // By which callers would warn of the file.
  for (const auto& [key, value] : status.details()) EXPECT_NE(key, "decoderEnded");
}

struct Shortage {
  const char* name;
  FailingCalls calls;
};

class IsolationShortage : public testing::TestWithParam<Shortage> {};

TEST_P(IsolationShortage, IsNotTheFaultOfTheFile) {
  const auto pool = OpenPool();
  const std::vector<std::uint8_t> bytes = ReadFile(Video());
  int failed = 0;
  for (const MediaSource& source : {MediaSource(MediaPath{Video().string()}), MediaSource(Borrow(bytes))}) {
    AwaitIdle(*pool);
    RunWithout(GetParam().calls, [&] {
      const Status status = Decode(*pool, source);
      if (status.ok()) return;
      ++failed;
      ExpectShortage(status);
    });
    const Status after = Decode(*pool, source);
    EXPECT_TRUE(after.ok()) << after.message();
  }
  EXPECT_GT(failed, 0);
  EXPECT_EQ(pool->stats().crashed, 0);
  EXPECT_EQ(pool->stats().busy, 0);
}

const Shortage kShortages[] = {
    {"OfFiles", {{__NR_openat}, EMFILE}},
    {"OfFilesOfTheSystem", {{__NR_openat}, ENFILE}},
    {"OfEvents", {{__NR_eventfd2}, EMFILE}},
    {"OfSharedMemory", {{__NR_memfd_create}, ENFILE}},
    {"OfMappings", {{__NR_mmap}, ENOMEM, 3, MAP_POPULATE}},
    {"OfMemoryToReceive", {{__NR_recvmsg}, ENOMEM}},
    {"OfMemoryToWait",
     {{
#if defined(__NR_poll)
          __NR_poll,
#endif
          __NR_ppoll},
      ENOMEM}},
};

INSTANTIATE_TEST_SUITE_P(All, IsolationShortage, testing::ValuesIn(kShortages),
                         [](const auto& each) { return each.param.name; });

// A descriptor that comes with a message, and which this process cannot have.
TEST(Isolation, TellsTheWantOfADescriptorFromABrokenMessage) {
  std::array<int, 2> sockets{};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets.data()), 0);
  Channel from{Descriptor(sockets[0])};
  Channel to{Descriptor(sockets[1])};
  ASSERT_TRUE(from.Send(MessageType::kClip, {}, sockets[0]).ok());
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  const rlimit none{0, before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &none);
  const auto received = to.Receive();
  setrlimit(RLIMIT_NOFILE, &before);
  ExpectShortage(received.status());
}

TEST(Isolation, CannotStartADecoderForWantOfSomething) {
  const DecoderOptions options{.executable = COSMOS_DECODER, .max_bytes = std::int64_t{1} << 30};
  const auto open = [&] { ExpectShortage(DecoderPool::Open(options).status()); };
  RunWithout({{__NR_socketpair}, EMFILE}, open);
  // Otherwise the decoder would have the standard input and output of this process.
  RunWithout(kNoDescriptor, open);
  RunWithout({{__NR_clone, __NR_clone3}, EAGAIN}, open);
  // The process starts, but can start no thread.
  RunWithoutThreads(open);
}

// This process is not ended when it cannot start the next decoder ahead.
TEST(Isolation, GoesOnWithoutAThreadThatStartsDecoders) {
  const std::filesystem::path link = ScratchFolder() / "harmless";
  std::filesystem::create_symlink(COSMOS_HOSTILE_DECODER, link);  // it needs no thread
  const MediaPath video{Video().string()};
  RunWithoutThreads([&] {
    const auto pool =
        DecoderPool::Open({.executable = link.string(), .max_bytes = std::int64_t{1} << 30, .idle = 3});
    ASSERT_TRUE(pool.ok()) << pool.status().message();
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(Decode(*pool.value(), video).ok());
    EXPECT_EQ(pool.value()->stats().busy, 0);
  });
}

TEST(Isolation, SaysThatNoThreadCanBeStartedToDecode) {
  ClipRequest request = Frames(2);
  request.threads = 4;
  const MediaPath video{Video().string()};
  RunWithoutThreads([&] { ExpectShortage(ReadError(video, request)); });
}

TEST(ThreadPool, DropsAJobThatNoThreadCanRun) {
  int ran = 0;
  {
    ThreadPool pool(1);
    RunWithoutThreads([&] { EXPECT_THROW(pool.Submit([&] { ran += 100; }), std::system_error); });
    pool.Submit([&] { ++ran; });
  }
  EXPECT_EQ(ran, 1);
}

// Large packets for NVDEC come in shared memory.
TEST(NvdecShortage, OfMappingsIsNotTheFaultOfTheFile) {
  const FakeNvdec& fake = FakeNvdec::Get();
  fake.Reset();
  {
    const MediaPath noise{
        MakeClip("noise_of_shortage.mp4",
                 "-f lavfi -i 'nullsrc=s=640x480:d=0.2,geq=random(1)*255:128:128' -c:v libx264 -qp 4")
            .string()};
    ClipRequest request = Frames(2);
    request.gpu = fake.Open();
    const auto pool = OpenPool();
    AwaitIdle(*pool);
    RunWithout({{__NR_mmap}, ENOMEM, 3, MAP_POPULATE},
               [&] { ExpectShortage(Decode(*pool, noise, request)); });
    EXPECT_EQ(pool->stats().crashed, 0);
    EXPECT_TRUE(Decode(*pool, noise, request).ok());
  }
  fake.ExpectNothingLeft();
}

}  // namespace
}  // namespace cosmos::test
