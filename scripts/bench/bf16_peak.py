"""Measures the dense bf16 throughput of a GPU with PyTorch's matrix products. Prints TFLOP/s.

python3 scripts/bench/bf16_peak.py DEVICE
"""

import sys

import torch

SIZE, PRODUCTS, ROUNDS, WARM_UPS = 8192, 8, 15, 3

device = torch.device("cuda", int(sys.argv[1]))
a, b = (torch.randn(SIZE, SIZE, device=device, dtype=torch.bfloat16) for _ in range(2))
milliseconds = []
for _ in range(WARM_UPS + ROUNDS):
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record(torch.cuda.current_stream(device))
    for _ in range(PRODUCTS):
        a @ b
    end.record(torch.cuda.current_stream(device))
    end.synchronize()
    milliseconds.append(begin.elapsed_time(end))
median = sorted(milliseconds[WARM_UPS:])[ROUNDS // 2]
print(2 * SIZE**3 * PRODUCTS / median / 1e9)
