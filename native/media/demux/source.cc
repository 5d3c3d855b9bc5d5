#include "media/demux/source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <system_error>
#include <utility>

#include "base/shortage.h"

namespace cosmos {
namespace {

constexpr int kIoBufferBytes = 64 * 1024;

Status PathError(const std::string& path, const std::string& reason, StatusCode code = StatusCode::kSource) {
  return Status(code, "cannot read " + path + ": " + reason).With("path", path);
}

Status PathError(const std::string& path, int error) {
  return PathError(path, std::generic_category().message(error),
                   IsShortage(error) ? StatusCode::kOutOfMemory : StatusCode::kSource);
}

class FileSource final : public Source {
 public:
  FileSource(MediaFile file, std::int64_t size, const JobGuard& guard)
      : Source(size, guard), file_(std::move(file)) {}
  bool in_memory() const override { return false; }

 protected:
  int ReadAt(std::int64_t position, std::span<std::uint8_t> buffer) override {
    ssize_t count = 0;
    do {
      count = pread(file_.descriptor->get(), buffer.data(), buffer.size(), position);
    } while (count < 0 && errno == EINTR);
    return count < 0 ? -errno : static_cast<int>(count);
  }

 private:
  MediaFile file_;
};

class MemorySource final : public Source {
 public:
  MemorySource(MediaBytes bytes, const JobGuard& guard)
      : Source(static_cast<std::int64_t>(bytes.data.size()), guard), bytes_(std::move(bytes)) {}
  bool in_memory() const override { return true; }

 protected:
  int ReadAt(std::int64_t position, std::span<std::uint8_t> buffer) override {
    const auto rest = bytes_.data.subspan(static_cast<std::size_t>(position));
    const std::size_t count = std::min(rest.size(), buffer.size());
    std::memcpy(buffer.data(), rest.data(), count);
    return static_cast<int>(count);
  }

 private:
  MediaBytes bytes_;
};

}  // namespace

Result<MediaFile> OpenMediaFile(const MediaPath& path) {
  // O_NONBLOCK: opening a FIFO without a writer must fail below rather than wait here.
  Descriptor descriptor(open(path.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!descriptor.valid()) return PathError(path.path, errno);
  struct stat info {};
  if (fstat(descriptor.get(), &info) != 0) return PathError(path.path, errno);
  if (!S_ISREG(info.st_mode)) return PathError(path.path, "not a regular file");
  return MediaFile{std::make_shared<const Descriptor>(std::move(descriptor))};
}

Result<std::unique_ptr<Source>> Source::Open(const MediaSource& media, const JobGuard& guard) {
  std::unique_ptr<Source> source;
  if (const auto* bytes = std::get_if<MediaBytes>(&media)) {
    source = std::make_unique<MemorySource>(*bytes, guard);
  } else {
    MediaFile file;
    if (const auto* path = std::get_if<MediaPath>(&media)) {
      COSMOS_ASSIGN_OR_RETURN(file, OpenMediaFile(*path));
    } else {
      file = std::get<MediaFile>(media);
    }
    // Reads give their own position, so that several sources may share the descriptor. The sandbox of a
    // decoder process has no fstat.
    const std::int64_t size = lseek(file.descriptor->get(), 0, SEEK_END);
    source = std::make_unique<FileSource>(std::move(file), size, guard);
  }
  COSMOS_RETURN_IF_ERROR(source->AttachIo());
  return source;
}

Status Source::AttachIo() {
  auto* buffer = static_cast<unsigned char*>(av_malloc(kIoBufferBytes));
  if (!buffer) return {StatusCode::kOutOfMemory, "no memory for a read buffer"};
  io_.reset(avio_alloc_context(
      buffer, kIoBufferBytes, /*write_flag=*/0, this,
      [](void* self, std::uint8_t* data, int size) {
        return static_cast<Source*>(self)->Read({data, static_cast<std::size_t>(size)});
      },
      nullptr,
      [](void* self, std::int64_t offset, int whence) {
        return static_cast<Source*>(self)->Seek(offset, whence);
      }));
  if (!io_) {
    av_free(buffer);
    return {StatusCode::kOutOfMemory, "no memory for a reader"};
  }
  return {};
}

void Source::SkipRanges(std::vector<ByteRange> ranges) {
  skipped_ranges_ = std::move(ranges);
  // FFmpeg's buffer may hold skipped bytes, or lack bytes that are now skipped.
  io_->buf_ptr = io_->buf_end = io_->buffer;
  io_->pos = position_;
}

std::size_t Source::Peek(std::int64_t position, std::span<std::uint8_t> buffer) {
  if (guard_.stopped() || position < 0 || position >= size_) return 0;
  return static_cast<std::size_t>(std::max(ReadAt(position, buffer), 0));
}

int Source::Read(std::span<std::uint8_t> buffer) {
  if (guard_.stopped()) return AVERROR_EXIT;
  if (position_ >= size_) return AVERROR_EOF;
  const std::int64_t skipped = std::min(SkippedUntil(position_), size_) - position_;
  if (skipped > 0) {
    const auto count = std::min<std::int64_t>(skipped, static_cast<std::int64_t>(buffer.size()));
    position_ += count;
    return static_cast<int>(count);
  }
  if (bytes_read_ >= read_limit_) {
    error_ = Status(StatusCode::kLimit, "a packet is larger than the limit maxBytes allows")
                 .With("position", static_cast<double>(position_));
    return AVERROR(ENOMEM);
  }
  // Stops at the next skipped range: most of what is listed is skipped, and reading ahead would read it all.
  const auto real = static_cast<std::size_t>(std::min(ReadableBytesAt(position_), read_limit_ - bytes_read_));
  const int count = ReadAt(position_, buffer.first(std::min(buffer.size(), real)));
  if (count < 0) {
    error_ = SystemStatus(-count, "reading at byte " + std::to_string(position_), StatusCode::kSource)
                 .With("position", static_cast<double>(position_));
    return AVERROR(-count);
  }
  if (count == 0) return AVERROR_EOF;  // the file shrank since it was opened
  position_ += count;
  bytes_read_ += count;
  return count;
}

std::int64_t Source::Seek(std::int64_t offset, int whence) {
  if (whence == AVSEEK_SIZE) return size_;
  switch (whence & ~AVSEEK_FORCE) {
    case SEEK_SET: break;
    case SEEK_CUR: offset += position_; break;
    case SEEK_END: offset += size_; break;
    default: return AVERROR(EINVAL);
  }
  if (offset < 0) return AVERROR(EINVAL);
  position_ = offset;
  return offset;
}

std::int64_t Source::ReadableBytesAt(std::int64_t position) const {
  if (position < 0 || position >= size_ || SkippedUntil(position) > 0) return 0;
  const auto next = std::ranges::upper_bound(skipped_ranges_, position, {}, &ByteRange::begin);
  return (next == skipped_ranges_.end() ? size_ : std::min(next->begin, size_)) - position;
}

// The end of the skipped range that `position` lies in, or 0.
std::int64_t Source::SkippedUntil(std::int64_t position) const {
  const auto after = std::ranges::upper_bound(skipped_ranges_, position, {}, &ByteRange::begin);
  if (after == skipped_ranges_.begin()) return 0;
  return std::prev(after)->end > position ? std::prev(after)->end : 0;
}

}  // namespace cosmos
