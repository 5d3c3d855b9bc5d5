"""Times an engine, and each of its layers, on a GPU. Needs TensorRT's Python package and PyTorch.

    python3 layers.py PLAN [BATCH] [--json]

Layers that differ only in numbers are one line. Each has its milliseconds for a batch, its share and how often it is there. Timed
by themselves layers take longer than together, so shares are of their sum, which is printed beside the time of the whole.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

WARM_UPS, ROUNDS, PROFILED = 3, 15, 5
ATTENTION = re.compile(r"mha|attention", re.IGNORECASE)  # how TensorRT names its fused kernels


@dataclass
class Layer:
    name: str  # of the first, when there are several
    milliseconds: float  # of all of them, for one batch
    count: int


def grouped(times: dict[str, float]) -> list[Layer]:
    """Layers whose names differ only in numbers, the slowest first. @param times: milliseconds for a batch by name."""
    found: dict[str, Layer] = {}
    for name, milliseconds in times.items():
        layer = found.setdefault(re.sub(r"\d+", "#", name), Layer(name, 0.0, 0))
        layer.milliseconds += milliseconds
        layer.count += 1
    return sorted(found.values(), key=lambda layer: -layer.milliseconds)


def attention_share(layers: list[Layer]) -> float:
    total = sum(layer.milliseconds for layer in layers)
    attention = sum(layer.milliseconds for layer in layers if ATTENTION.search(layer.name))
    return attention / total if total else 0.0


class Engine:
    def __init__(self, plan: Path, batch: int):
        import tensorrt as trt
        import torch

        self.trt, self.torch = trt, torch
        self.logger = trt.Logger(trt.Logger.ERROR)
        self.runtime = trt.Runtime(self.logger)
        self.engine = self.runtime.deserialize_cuda_engine(plan.read_bytes())
        if self.engine is None:
            raise SystemExit(f"{plan}: TensorRT {trt.__version__} cannot load it here")
        self.context = self.engine.create_execution_context()
        self.stream = torch.cuda.Stream()
        self.context.set_optimization_profile_async(0, self.stream.cuda_stream)
        self.held = [
            *self.tensors(trt.TensorIOMode.INPUT, batch),
            *self.tensors(trt.TensorIOMode.OUTPUT, batch),
        ]
        torch.cuda.synchronize()

    def tensors(self, mode: Any, batch: int) -> Any:
        """Makes and connects the tensors of a side. Outputs have shapes only after all inputs have theirs."""
        for name in map(self.engine.get_tensor_name, range(self.engine.num_io_tensors)):
            if self.engine.get_tensor_mode(name) != mode:
                continue
            if mode == self.trt.TensorIOMode.INPUT:
                shape = list(self.engine.get_tensor_shape(name))
                best = self.engine.get_tensor_profile_shape(name, 0)[1]
                shape = [best[axis] if size < 0 else size for axis, size in enumerate(shape)]
                shape[0] = batch
                if not self.context.set_input_shape(name, shape):
                    raise SystemExit(f"{name}: the engine does not take {shape}")
            else:
                shape = list(self.context.get_tensor_shape(name))
            tensor = self.filled(shape, self.engine.get_tensor_dtype(name).name)
            self.context.set_tensor_address(name, tensor.data_ptr())
            yield tensor

    def filled(self, shape: list[int], kind: str) -> Any:
        """Random pictures, since a card computes equal numbers faster. Ones are valid tokens and a valid mask."""
        if kind.startswith("INT"):
            return self.torch.ones(shape, device="cuda", dtype=getattr(self.torch, kind.lower()))
        names = {"FLOAT": "float32", "HALF": "float16", "BF16": "bfloat16", "UINT8": "uint8"}
        random = self.torch.rand(shape, device="cuda") * (255 if kind == "UINT8" else 1)
        return random.to(getattr(self.torch, names[kind]))

    def run(self) -> None:
        if not self.context.execute_async_v3(self.stream.cuda_stream):
            raise SystemExit("the engine does not run; TensorRT's lines above say why")

    def milliseconds(self) -> float:
        """The median of a batch."""
        times = []
        for _ in range(WARM_UPS + ROUNDS):
            begin, end = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record(self.stream)
            self.run()
            end.record(self.stream)
            end.synchronize()
            times.append(begin.elapsed_time(end))
        return statistics.median(times[WARM_UPS:])

    def profile(self) -> dict[str, float]:
        """Milliseconds for a batch, by layer."""
        times: dict[str, float] = {}

        class Profiler(self.trt.IProfiler):
            def __init__(self) -> None:
                super().__init__()

            def report_layer_time(self, name: str, milliseconds: float) -> None:
                times[name] = times.get(name, 0.0) + milliseconds / PROFILED

        profiler = self.context.profiler = Profiler()
        for _ in range(PROFILED):
            self.run()
            self.stream.synchronize()
        del profiler
        return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("plan", type=Path)
    parser.add_argument("batch", type=int, nargs="?", default=16, help="default: 16")
    parser.add_argument("--most", type=int, default=25, help="lines of layers (default: 25)")
    parser.add_argument("--json", action="store_true", help="print one object instead")
    args = parser.parse_args()
    engine = Engine(args.plan, args.batch)
    whole, layers = engine.milliseconds(), grouped(engine.profile())
    share = attention_share(layers)
    if args.json:
        found = {"batch": args.batch, "milliseconds": whole, "attentionShare": share}
        print(json.dumps(found | {"layers": [asdict(layer) for layer in layers]}))
        return
    total = sum(layer.milliseconds for layer in layers)
    print(f"whole: {whole:.2f} ms a batch of {args.batch}")
    print(f"by layer: {total:.2f} ms, of which {100 * share:.1f} % are in fused attention")
    for layer in layers[: args.most]:
        told = f"{layer.milliseconds:8.3f} ms {100 * layer.milliseconds / total:5.1f} % x{layer.count:4d}"
        print(f"{told}  {layer.name[:200]}")


if __name__ == "__main__":
    main()
