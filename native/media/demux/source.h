// Reads a file or memory through FFmpeg's IO interface. FFmpeg never opens anything itself.
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

// Opens a file for reading. Fails with kSource when the path is not a readable regular file, and with
// kOutOfMemory when this process or the system can open no more.
Result<MediaFile> OpenMediaFile(const MediaPath& path);

// A seekable source of known size. Reads fail once the guard says stop; the guard must outlive the source.
class Source {
 public:
  // Fails as OpenMediaFile does.
  static Result<std::unique_ptr<Source>> Open(const MediaSource& media, const JobGuard& guard);
  virtual ~Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  AVIOContext* io() { return io_.get(); }
  std::int64_t size() const { return size_; }
  virtual bool in_memory() const = 0;
  std::int64_t bytes_read() const { return bytes_read_; }
  // Makes reads of more than `bytes` from here on fail with kLimit. FFmpeg reads a packet as long as it
  // claims to be before it returns, and keeps all that it has read.
  void LimitReads(std::int64_t bytes) { read_limit_ = bytes_read_ + bytes; }
  // Why a read failed, if one did, to tell a bad disk from a bad video.
  const Status& error() const { return error_; }

  // Fills `buffer` from `position` without moving. Returns the number of bytes: fewer at the end, none when
  // they cannot be read or the guard says stop. They do not count as read.
  std::size_t Peek(std::int64_t position, std::span<std::uint8_t> buffer);

  // Makes reads within these sorted, disjoint ranges succeed at once without touching the buffer. This lists
  // the packets of an mp4, whose times are in its tables, without reading their data.
  void SkipRanges(std::vector<ByteRange> ranges);
  // How many bytes from `position` on are actually read before a skipped range or the end.
  std::int64_t ReadableBytesAt(std::int64_t position) const;

 protected:
  Source(std::int64_t size, const JobGuard& guard) : size_(size), guard_(guard) {}
  // Reads at most `buffer.size()` bytes at `position`, which is within the size. Returns their number or
  // -errno.
  virtual int ReadAt(std::int64_t position, std::span<std::uint8_t> buffer) = 0;

 private:
  Status AttachIo();
  int Read(std::span<std::uint8_t> buffer);
  std::int64_t Seek(std::int64_t offset, int whence);
  std::int64_t SkippedUntil(std::int64_t position) const;

  std::int64_t size_;
  const JobGuard& guard_;
  std::int64_t position_ = 0;
  std::int64_t bytes_read_ = 0;
  std::int64_t read_limit_ = std::numeric_limits<std::int64_t>::max();
  std::vector<ByteRange> skipped_ranges_;
  Status error_;
  ff::IoContext io_;
};

}  // namespace cosmos
