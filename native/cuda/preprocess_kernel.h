// Launch parameters of the kernels in preprocess.cu. Compiled by NVRTC and by C++, so it includes no header.
#pragma once

namespace cosmos::cuda {

// An enum, because NVRTC emits a variable in device memory for every constant.
enum : int {
  kMaxPictures = 32,  // per launch: its parameters must fit into 4 KiB
  kBlockX = 32,
  kBlockY = 8,
};

// A DevicePicture and its target.
struct PictureParameters {
  unsigned long long luma;
  unsigned long long cb;
  unsigned long long cr;
  unsigned long long target;  // uint8 planar [3, height, width]
  int width;                  // as stored
  int height;
  unsigned luma_pitch;
  unsigned chroma_pitch;
  unsigned chroma_step;
  int bytes_per_sample;
  int chroma_420;  // otherwise 4:4:4
  int flip_x;
  int flip_y;
  // YuvMatrix
  int y_offset;
  int y_scale;
  int cr_to_r;
  int cr_to_g;
  int cb_to_g;
  int cb_to_b;
};

// A ResizeFilter in device memory.
struct FilterParameters {
  unsigned long long first;    // int32 [out]
  unsigned long long count;    // int32 [out]
  unsigned long long weights;  // int32 [out, taps]
  int taps;
};

// cosmos_resize_rows reads the pictures and writes `rows`, uint8 [picture, 3, source_height, width].
// cosmos_resize_columns reads `rows` and writes the targets.
// All pictures have the same display size, and either all are transposed or none.
struct ResizeParameters {
  unsigned long long rows;
  FilterParameters filter;  // of the axis that is resized
  int width;                // of the targets
  int height;
  int source_width;  // of the pictures, after orientation
  int source_height;
  int transpose;
  PictureParameters pictures[kMaxPictures];
};
static_assert(sizeof(ResizeParameters) <= 4096);

// cosmos_to_tao: uint8 [frames, 3, plane] to float32 [3, frames, plane].
struct TaoParameters {
  unsigned long long clip;
  unsigned long long out;
  int frames;
  int plane;  // samples of one channel of a frame
};

}  // namespace cosmos::cuda
