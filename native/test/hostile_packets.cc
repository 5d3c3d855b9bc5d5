#include "hostile_packets.h"

#include <algorithm>

#include "bit_writer.h"

namespace cosmos::test {
namespace {

using namespace std::literals;

constexpr int kPictures = 20;

Bytes Nal(BitWriter& bits, std::uint8_t header) {
  constexpr int kStartCode = 4;
  const std::vector<std::uint8_t> unit = bits.Unit(header);
  return Bytes(unit.begin() + kStartCode, unit.end());
}

unsigned Unsigned(int value) { return static_cast<unsigned>(value); }

Bytes Number(std::size_t value, int bytes) { return Big(value, bytes); }

std::uint32_t OggCrc(const Bytes& page) {
  std::uint32_t crc = 0;
  for (const char byte : page) {
    crc ^= static_cast<std::uint32_t>(static_cast<std::uint8_t>(byte)) << 24;
    for (int bit = 0; bit < 8; ++bit) crc = crc << 1 ^ (crc >> 31 ? 0x04c11db7 : 0);
  }
  return crc;
}

}  // namespace

Bytes H264Configuration(const Bytes& sps) {
  const Bytes pps = H264Pps();
  return "\1"s + sps.substr(1, 3) + "\xff\xe1"s + Number(sps.size(), 2) + sps + "\1"s +
         Number(pps.size(), 2) + pps;
}

Bytes H264DamagedIntra() {
  BitWriter bits;
  bits.Golomb({0, 7, 0}).Put(0, 4).Golomb({0}).Put(0, 2).Golomb({0});
  return Nal(bits, 0x65) + Bytes(32, '\x80');
}

Bytes H264Sps(int width, int height) {
  BitWriter bits;
  bits.Put(77 << 16 | 62, 24).Golomb({0, 0, 2, 1}).Put(0, 1);
  bits.Golomb({Unsigned(width - 1), Unsigned(height - 1)}).Put(0b1100, 4);
  return Nal(bits, 0x67);
}

Bytes H264Pps() {
  BitWriter bits;
  bits.Golomb({0, 0}).Put(0, 2).Golomb({0, 0, 0}).Put(0, 3).Golomb({0, 0, 0}).Put(0, 3);
  return Nal(bits, 0x68);
}

Bytes H264Intra(int width, int height) {
  BitWriter bits;
  bits.Golomb({0, 7, 0}).Put(0, 4).Golomb({0}).Put(0, 2).Golomb({0});
  // Intra prediction from the neighbours without a residual.
  for (int block = 0; block < width * height; ++block) bits.Golomb({3, 0, 0}).Put(1, 1);
  return Nal(bits, 0x65);
}

Bytes H264Skip(int width, int height, int first, bool reference) {
  BitWriter bits;
  bits.Golomb({Unsigned(first), 5, 0}).Put(1, 4).Put(0, reference ? 3 : 2);
  bits.Golomb({0, Unsigned(width * height - first)});
  return Nal(bits, reference ? 0x41 : 0x01);
}

std::vector<Bytes> H264Skips(int width, int height, int count, bool reference) {
  std::vector<Bytes> slices;
  for (int i = 0; i < count; ++i) {
    // The units are ordered so that a parser cuts them into packets of one picture.
    slices.push_back(H264Skip(width, height, std::min(i, width * height - 1), reference));
  }
  return slices;
}

Bytes WithStartCodes(const std::vector<Bytes>& units) {
  Bytes packet;
  for (const Bytes& unit : units) packet += "\0\0\0\1"s + unit;
  return packet;
}

Bytes WithLengths(const std::vector<Bytes>& units) {
  Bytes packet;
  for (const Bytes& unit : units) packet += Number(unit.size(), 4) + unit;
  return packet;
}

Bytes H264Matroska(const Bytes& sps, const std::vector<Bytes>& packets) {
  const Bytes head = Ebml(0x1a45dfa3, Ebml(0x4282, "matroska") + Ebml(0x4287, "\4") + Ebml(0x4285, "\2"));
  const Bytes info = Ebml(0x1549a966, Ebml(0x2ad7b1, "\x0f\x42\x40"));
  const Bytes video = Ebml(0xe0, Ebml(0xb0, "\x40") + Ebml(0xba, "\x40"));
  const Bytes track =
      Ebml(0xae, Ebml(0xd7, "\1") + Ebml(0x73c5, "\1") + Ebml(0x83, "\1") + Ebml(0x86, "V_MPEG4/ISO/AVC") +
                     Ebml(0x63a2, H264Configuration(sps)) + video);
  Bytes blocks;
  for (std::size_t i = 0; i < packets.size(); ++i) {
    blocks += Ebml(0xa3, "\x81"s + Number(40 * i, 2) + (i == 0 ? "\x80"s : "\0"s) + packets[i]);
  }
  const Bytes cluster = Ebml(0x1f43b675, Ebml(0xe7, "\0"s) + blocks);
  return head + Ebml(0x18538067, info + Ebml(0x1654ae6b, track) + cluster);
}

Bytes H264ProgramStream(const std::vector<Bytes>& units) {
  constexpr std::size_t kLongest = 60'000;
  Bytes stream;
  const Bytes picture = WithStartCodes({"\x09\xf0"s}) + WithStartCodes(units);
  for (int i = 0; i < kPictures; ++i) {
    stream += "\0\0\1\xba\x44\0\4\0\4\1\0\3\xff\xf8"s;
    for (std::size_t at = 0; at < picture.size(); at += kLongest) {
      const Bytes part = picture.substr(at, kLongest);
      // The time, 3600 units per picture, with a marker bit after every 15 bits.
      const auto time = static_cast<std::uint64_t>(3600) * static_cast<std::uint64_t>(i + 1);
      const Bytes head = at > 0
                             ? "\x80\0\0"s
                             : "\x80\x80\5"s + Big(0x21 | (time >> 30 << 1), 1) +
                                   Big((time >> 15 & 0x7fff) << 1 | 1, 2) + Big((time & 0x7fff) << 1 | 1, 2);
      stream += "\0\0\1\xe0"s + Number(head.size() + part.size(), 2) + head + part;
    }
  }
  return stream;
}

Bytes H264Flv(const Bytes& sps, const std::vector<Bytes>& units) {
  Bytes file = "FLV\1\0\0\0\0\x09\0\0\0\0"s;  // declares no streams
  const auto tag = [&](int time, const Bytes& data) {
    file += "\x09"s + Number(data.size(), 3) + Number(static_cast<std::size_t>(time), 3) + Bytes(4, '\0') +
            data + Number(data.size() + 11, 4);
  };
  tag(0, "\x17\0\0\0\0"s + H264Configuration(sps));
  for (int i = 0; i < kPictures; ++i) tag(40 * i, "\x17\1\0\0\0"s + WithLengths(units));
  return file;
}

Bytes OggFile(const std::vector<Bytes>& packets) {
  Bytes file;
  int number = 0;
  for (const Bytes& packet : packets) {
    Bytes laces(packet.size() / 255, '\xff');
    laces += static_cast<char>(packet.size() % 255);
    for (std::size_t at = 0; at < laces.size(); at += 255) {
      const Bytes part = laces.substr(at, 255);
      const int flags = (number == 0 ? 2 : 0) | (at > 0 ? 1 : 0);
      Bytes page = "OggS\0"s + static_cast<char>(flags) + Bytes(8, '\0') + Little(7, 4) +
                   Little(static_cast<std::uint64_t>(number++), 4) + Bytes(4, '\0') + Big(part.size(), 1) +
                   part + packet.substr(at * 255, part.size() * 255);
      file += page.replace(22, 4, Little(OggCrc(page), 4));
    }
  }
  return file;
}

}  // namespace cosmos::test
