// Bytes of a file or of memory, read through FFmpeg's IO interface. FFmpeg never opens anything itself.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "ffmpeg/ffmpeg.h"
#include "media/clip_types.h"
#include "media/limits/job_guard.h"

namespace cosmos {

struct ByteRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

// Seekable, of known size. Reads stop when the guard says so; the guard must outlive the source.
class Source {
 public:
  // Fails with kSource when the path is not a regular file that can be read.
  static Result<std::unique_ptr<Source>> Open(const MediaSource& media, const JobGuard& guard);
  virtual ~Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  AVIOContext* io() { return io_.get(); }
  std::int64_t size() const { return size_; }
  virtual bool in_memory() const = 0;
  std::int64_t bytes_read() const { return bytes_read_; }
  // From here on, reads of more than this fail with kLimit. FFmpeg reads a packet that says that it is long
  // before anybody hears of it, and keeps what it has read.
  void LimitReads(std::int64_t bytes) { most_read_ = bytes_read_ + bytes; }
  // Why a read failed, if one did: a bad disk is not a bad video.
  const Status& error() const { return error_; }

  // Fills `buffer` with what stands at `position`, up to its end, without moving. Returns how many bytes that
  // are: none when it cannot be read, or the guard says stop. They do not count as read.
  std::size_t Peek(std::int64_t position, std::span<std::uint8_t> buffer);

  // Reads inside these sorted, disjoint ranges succeed at once and leave the buffer as it was. It is how the
  // packets of an mp4, whose times are in its tables, are listed without reading their data.
  void PretendToRead(std::vector<ByteRange> ranges);
  // How many bytes from `position` on are really read before a pretended range or the end comes.
  std::int64_t RealBytesAt(std::int64_t position) const;

 protected:
  Source(std::int64_t size, const JobGuard& guard) : size_(size), guard_(guard) {}
  // At most `buffer.size()` bytes at `position`, which is within the size. Returns how many, or -errno.
  virtual int ReadAt(std::int64_t position, std::span<std::uint8_t> buffer) = 0;

 private:
  Status AttachIo();
  int Read(std::span<std::uint8_t> buffer);
  std::int64_t Seek(std::int64_t offset, int whence);
  std::int64_t PretendedUntil(std::int64_t position) const;

  std::int64_t size_;
  const JobGuard& guard_;
  std::int64_t position_ = 0;
  std::int64_t bytes_read_ = 0;
  std::int64_t most_read_ = std::numeric_limits<std::int64_t>::max();
  std::vector<ByteRange> pretended_;
  Status error_;
  ff::IoContext io_;
};

}  // namespace cosmos
