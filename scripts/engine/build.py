"""Builds one TensorRT engine. `cosmos-embed build-engine` runs it where there is no trtexec.

Its one argument is JSON, made by src/tensorrt/build-tool.ts. TensorRT 10 and 11; no other package is needed.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def build(request: dict[str, Any]) -> None:
    # Before CUDA starts: TensorRT builds for the first GPU that it sees.
    select_device(request["device"])
    import tensorrt as trt

    say(f"TensorRT {trt.__version__} builds {request['plan']}")
    logger = trt.Logger(trt.Logger.INFO)
    trt.init_libnvinfer_plugins(logger, "")
    builder = trt.Builder(logger)
    network = builder.create_network(network_flags(trt, request["lowerTo"]))
    parser = trt.OnnxParser(network, logger)
    # Parsed by path, because its weights may be in files beside it.
    if not parser.parse_from_file(request["onnx"]):
        errors = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise SystemExit(f"{request['onnx']} cannot be parsed: {errors}")
    config = builder.create_builder_config()
    config.builder_optimization_level = request["optimizationLevel"]
    if request["lowerTo"] is not None:
        config.set_flag({"fp16": trt.BuilderFlag.FP16, "bf16": trt.BuilderFlag.BF16}[request["lowerTo"]])
    for _ in range(request["profiles"]):
        profile = builder.create_optimization_profile()
        for name, shape in request["shapes"].items():
            profile.set_shape(name, tuple(shape["min"]), tuple(shape["opt"]), tuple(shape["max"]))
        config.add_optimization_profile(profile)
    # create_timing_cache returns None for damaged timings.
    cache = config.create_timing_cache(read(request["timingCache"])) or config.create_timing_cache(b"")
    config.set_timing_cache(cache, ignore_mismatch=False)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise SystemExit("TensorRT could not build the engine; its last lines say why")
    with open(request["plan"], "wb") as file:
        file.write(plan)
    with open(request["timingCache"], "wb") as file:
        file.write(cache.serialize())


def select_device(device: int) -> None:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [name.strip() for name in visible.split(",")] if visible else []
    os.environ["CUDA_VISIBLE_DEVICES"] = names[device] if device < len(names) else str(device)


def network_flags(trt: Any, lower_to: str | None) -> int:
    """Strongly typed, which TensorRT 11 is without asking, unless the graph is to be converted."""
    if lower_to is not None or int(trt.__version__.split(".")[0]) >= 11:
        return 0
    return 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)


def read(path: str) -> bytes:
    """Empty where there is no file yet."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    build(json.loads(sys.argv[1]))
