// The classes that the double derives from: every method that it does not implement ends the process. Against
// NVIDIA's headers scripts/check-tensorrt-abi generates this file.
#pragma once

#include "NvInferRuntime.h"

using RuntimeStub = nvinfer1::apiv::VRuntime;
using CudaEngineStub = nvinfer1::apiv::VCudaEngine;
using ExecutionContextStub = nvinfer1::apiv::VExecutionContext;
