// The kernels between NVDEC and the engine. scripts/cuda/ptx.py compiles them to preprocess.ptx; the fake
// libcuda (test/fakes/cuda) compiles them for the host.
//
// They are bit-exact with the CPU path: the two steps of swscale that image/to_rgb.cc reproduces (chroma
// interpolated in 16 bits, then the matrix), and the two passes of Pillow's resize in image/resize.cc, each
// rounded to 8 bits.

#include "cuda/preprocess_kernel.h"

namespace {

using cosmos::cuda::FilterParameters;
using cosmos::cuda::PictureParameters;
using cosmos::cuda::ResizeParameters;
using cosmos::cuda::TaoParameters;

struct Rgb {
  int r;
  int g;
  int b;
};

// A position between two samples along one axis.
struct Between {
  int first;
  int second;
  int weight;  // of the second
};

__device__ __forceinline__ int Clamp(int value, int low, int high) {
  return value < low ? low : value > high ? high : value;
}

// A sample, widened to 16 bits.
__device__ __forceinline__ int Sample(unsigned long long plane, unsigned long long offset, int bytes) {
  if (bytes == 1) return *reinterpret_cast<const unsigned char*>(plane + offset) << 8;
  return *reinterpret_cast<const unsigned short*>(plane + offset);
}

// The two chroma samples, of `size`, between which luma sample `position` lies; each covers two luma samples.
// Weights have `bits` bits. swscale does not interpolate fewer than four samples.
__device__ __forceinline__ Between ChromaAt(int position, int size, int bits) {
  if (size <= 3) return {position >> 1, position >> 1, 0};
  const int first = (position - 1) >> 1;
  const int quarter = 1 << (bits - 2);
  return {Clamp(first, 0, size - 1), Clamp(first + 1, 0, size - 1), position & 1 ? quarter : 3 * quarter};
}

__device__ __forceinline__ int Chroma(unsigned long long plane, const PictureParameters& picture,
                                      const Between& x, const Between& y) {
  unsigned sum = 1 << 14;
  for (int i = 0; i < 2; ++i) {
    const unsigned long long line =
        static_cast<unsigned long long>(picture.chroma_pitch) * (i ? y.second : y.first);
    const int left = Sample(plane, line + picture.chroma_step * x.first, picture.bytes_per_sample);
    const int right = Sample(plane, line + picture.chroma_step * x.second, picture.bytes_per_sample);
    const int row = (left * ((1 << 14) - x.weight) + right * x.weight) >> 11;  // 19 bits
    sum += static_cast<unsigned>(row) * (i ? y.weight : (1 << 12) - y.weight);
  }
  const unsigned value = sum >> 15;
  return value > 65535 ? 65535 : value;
}

// Wraps around on overflow like swscale.
__device__ __forceinline__ int ToByte(unsigned sum) {
  return Clamp(static_cast<int>(sum), 0, (1 << 30) - 1) >> 22;
}

// The pixel (x, y) of the stored picture.
__device__ __forceinline__ Rgb Pixel(const PictureParameters& picture, int x, int y) {
  const int bytes = picture.bytes_per_sample;
  const int luma =
      Sample(picture.luma, static_cast<unsigned long long>(picture.luma_pitch) * y + x * bytes, bytes);
  int cb;
  int cr;
  if (picture.chroma_420) {
    const Between at_x = ChromaAt(x, (picture.width + 1) / 2, 14);
    const Between at_y = ChromaAt(y, (picture.height + 1) / 2, 12);
    cb = Chroma(picture.cb, picture, at_x, at_y);
    cr = Chroma(picture.cr, picture, at_x, at_y);
  } else {
    const unsigned long long offset =
        static_cast<unsigned long long>(picture.chroma_pitch) * y + picture.chroma_step * x;
    cb = Sample(picture.cb, offset, bytes);
    cr = Sample(picture.cr, offset, bytes);
  }
  // 15 bits, then two more.
  const unsigned u = ((cb >> 1) - (128 << 7)) * 4;
  const unsigned v = ((cr >> 1) - (128 << 7)) * 4;
  const unsigned sum =
      static_cast<unsigned>((luma >> 1) * 4 - picture.y_offset) * picture.y_scale + (1 << 21);
  return {ToByte(sum + v * picture.cr_to_r), ToByte(sum + v * picture.cr_to_g + u * picture.cb_to_g),
          ToByte(sum + u * picture.cb_to_b)};
}

// Pillow's weights have 22 bits.
__device__ __forceinline__ unsigned char Rounded(int sum) {
  const int value = (sum + (1 << 21)) >> 22;
  return static_cast<unsigned char>(value > 255 ? 255 : value);
}

__device__ __forceinline__ const int* Ints(unsigned long long address) {
  return reinterpret_cast<const int*>(address);
}

}  // namespace

// One thread per pixel of `rows`: x of the target, y of the oriented picture. Neighbouring threads read along
// stored lines.
extern "C" __global__ void cosmos_resize_rows(const ResizeParameters parameters) {
  const int along = blockIdx.x * blockDim.x + threadIdx.x;
  const int across = blockIdx.y * blockDim.y + threadIdx.y;
  const int x = parameters.transpose ? across : along;
  const int y = parameters.transpose ? along : across;
  if (x >= parameters.width || y >= parameters.source_height) return;
  const PictureParameters picture = parameters.pictures[blockIdx.z];
  const int first = Ints(parameters.filter.first)[x];
  const int count = Ints(parameters.filter.count)[x];
  const int* weights = Ints(parameters.filter.weights) + parameters.filter.taps * x;

  const int turned_y = picture.flip_y ? parameters.source_height - 1 - y : y;
  Rgb sum = {0, 0, 0};
  for (int i = 0; i < count; ++i) {
    const int turned_x = picture.flip_x ? parameters.source_width - 1 - (first + i) : first + i;
    const Rgb pixel =
        parameters.transpose ? Pixel(picture, turned_y, turned_x) : Pixel(picture, turned_x, turned_y);
    sum.r += weights[i] * pixel.r;
    sum.g += weights[i] * pixel.g;
    sum.b += weights[i] * pixel.b;
  }
  const unsigned long long plane =
      static_cast<unsigned long long>(parameters.width) * parameters.source_height;
  unsigned char* out = reinterpret_cast<unsigned char*>(parameters.rows) + plane * 3 * blockIdx.z +
                       static_cast<unsigned long long>(parameters.width) * y + x;
  out[0] = Rounded(sum.r);
  out[plane] = Rounded(sum.g);
  out[plane * 2] = Rounded(sum.b);
}

// One thread per sample of the target; z is 3 * picture + channel.
extern "C" __global__ void cosmos_resize_columns(const ResizeParameters parameters) {
  const int x = blockIdx.x * blockDim.x + threadIdx.x;
  const int y = blockIdx.y * blockDim.y + threadIdx.y;
  if (x >= parameters.width || y >= parameters.height) return;
  const int first = Ints(parameters.filter.first)[y];
  const int count = Ints(parameters.filter.count)[y];
  const int* weights = Ints(parameters.filter.weights) + parameters.filter.taps * y;

  const unsigned long long width = parameters.width;
  const unsigned char* in =
      reinterpret_cast<const unsigned char*>(parameters.rows) +
      width * (parameters.source_height * static_cast<unsigned long long>(blockIdx.z) + first) + x;
  int sum = 0;
  for (int i = 0; i < count; ++i) sum += weights[i] * in[width * i];
  unsigned char* out = reinterpret_cast<unsigned char*>(parameters.pictures[blockIdx.z / 3].target);
  out[width * (parameters.height * static_cast<unsigned long long>(blockIdx.z % 3) + y) + x] = Rounded(sum);
}

// One thread per sample; y is the frame, z the channel.
extern "C" __global__ void cosmos_to_tao(const TaoParameters parameters) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= parameters.plane) return;
  const unsigned long long plane = parameters.plane;
  const unsigned char* in = reinterpret_cast<const unsigned char*>(parameters.clip);
  float* out = reinterpret_cast<float*>(parameters.out);
  out[plane * (blockIdx.z * gridDim.y + blockIdx.y) + i] =
      static_cast<float>(in[plane * (blockIdx.y * 3 + blockIdx.z) + i]) / 255.0F;
}
