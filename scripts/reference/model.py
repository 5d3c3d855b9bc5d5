"""Runs the two graphs and the tokenizer of a bundle with ONNX Runtime and Hugging Face's tokenizers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer


class Model:
    def __init__(self, folder: Path, threads: int = 0):
        self.manifest = json.loads((folder / "model.json").read_text())
        self.frames, self.resolution = self.manifest["frames"], self.manifest["resolution"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.video, self.text = (
            onnxruntime.InferenceSession(
                str(folder / self.manifest["files"][name]["path"]),
                options,
                providers=["CPUExecutionProvider"],
            )
            for name in ("video", "text")
        )
        self.tokenizer = Tokenizer.from_file(str(folder / self.manifest["files"]["tokenizer"]["path"]))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(self.manifest["maxTextTokens"])

    def encode_clip(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [T, 3, R, R] → float32 [D]."""
        videos = pixels[None]
        if self.video.get_inputs()[0].type == "tensor(float)":  # TAO's form: channels first, 0 to 1
            videos = np.ascontiguousarray(videos.swapaxes(1, 2)).astype(np.float32) / 255
        return self.video.run(None, {self.video.get_inputs()[0].name: videos})[0][0]

    def encode_text(self, text: str) -> tuple[list[int], np.ndarray]:
        """The token ids, and float32 [D]."""
        ids = self.tokenizer.encode(text).ids
        return ids, self.text.run(
            None, {"input_ids": np.array([ids]), "attention_mask": np.ones((1, len(ids)), np.int64)}
        )[0][0]
