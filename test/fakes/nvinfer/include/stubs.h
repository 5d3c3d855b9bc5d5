// Base classes of the fake, in which every method that it does not implement aborts the process. When
// building against NVIDIA's headers, scripts/check-tensorrt-abi.mjs generates this file.
#pragma once

#include "NvInferRuntime.h"

using RuntimeStub = nvinfer1::apiv::VRuntime;
using CudaEngineStub = nvinfer1::apiv::VCudaEngine;
using ExecutionContextStub = nvinfer1::apiv::VExecutionContext;
