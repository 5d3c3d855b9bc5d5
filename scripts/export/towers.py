"""The two graphs: the checkpoint's towers between a bundle's inputs and outputs, traced to ONNX."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from checkpoint import Checkpoint, vectors
from preprocessing import Preprocessing
from shapes import specialise


@dataclass(frozen=True)
class Form:
    """The conventions of the graphs. The forms of other builders are for tests that their graphs load too."""

    opset: int
    video_output: str
    text_output: str
    float_channels_first: bool  # videos as float [B, 3, T, R, R] in 0..1 instead of uint8 [B, T, 3, R, R]
    as_traced: bool  # leaves the shape computations in, as those builders do


FORMS = {
    "canonical": Form(18, "video_embeddings", "text_embeddings", False, False),
    "vss": Form(18, "video_embeddings", "text_embeddings", False, True),
    "tao": Form(17, "video_embedding", "text_embedding", True, True),
}


class VideoTower(nn.Module):
    def __init__(self, checkpoint: Checkpoint, preprocessing: Preprocessing, form: Form):
        super().__init__()
        self.model = checkpoint.model
        self.key, self.channels_first, self.form = preprocessing.key, preprocessing.channels_first, form
        shape = (3, 1, 1)
        per_level = 255.0 if form.float_channels_first else 1.0
        self.register_buffer(
            "scale", torch.tensor(preprocessing.scale * per_level, dtype=torch.float32).reshape(shape)
        )
        self.register_buffer("offset", torch.tensor(preprocessing.offset, dtype=torch.float32).reshape(shape))
        self.is_plain = bool(abs(preprocessing.offset).max() < 1e-7)

    def forward(self, videos: Tensor) -> Tensor:
        pictures = videos.transpose(1, 2) if self.form.float_channels_first else videos
        pictures = pictures.float() * self.scale
        if not self.is_plain:
            pictures = pictures + self.offset
        if self.channels_first:
            pictures = pictures.transpose(1, 2)
        output = self.model.get_video_embeddings(**{self.key: pictures})
        return F.normalize(vectors(output, "visual_proj"), dim=-1)


class TextTower(nn.Module):
    def __init__(self, checkpoint: Checkpoint):
        super().__init__()
        self.model = checkpoint.model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        output = self.model.get_text_embeddings(input_ids=input_ids, attention_mask=attention_mask)
        return F.normalize(vectors(output, "text_proj"), dim=-1)


def trace(
    tower: nn.Module,
    inputs: dict[str, Tensor],
    axes: list[str],
    output: str,
    form: Form,
    sizes: list[dict[str, int]],
    path: Path,
) -> onnx.ModelProto:
    """Writes the traced graph to `path`, weights beside it where they do not fit, and returns it with shapes made plain.

    Traced, not compiled: tracing follows whatever Python the checkpoint's code does.
    """
    dynamic = {name: dict(enumerate(axes)) for name in inputs} | {output: {0: "batch"}}
    with torch.no_grad():
        torch.onnx.export(
            tower,
            tuple(inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=[output],
            dynamic_axes=dynamic,
            opset_version=form.opset,
            dynamo=False,
        )
    model = onnx.load(path, load_external_data=False)
    if not form.as_traced:
        specialise(model, sizes)
    return model


def trace_video(
    checkpoint: Checkpoint, preprocessing: Preprocessing, form: Form, path: Path
) -> onnx.ModelProto:
    shape = (2, checkpoint.frames, 3, checkpoint.resolution, checkpoint.resolution)
    videos = torch.zeros(shape, dtype=torch.uint8)
    if form.float_channels_first:
        videos = videos.float().transpose(1, 2).contiguous()
    tower = VideoTower(checkpoint, preprocessing, form).eval()
    sizes = [{"batch": batch} for batch in (1, 3, 7)]
    return trace(tower, {"videos": videos}, ["batch"], form.video_output, form, sizes, path)


def trace_text(checkpoint: Checkpoint, form: Form, path: Path) -> onnx.ModelProto:
    tokens = torch.ones(2, 9, dtype=torch.int64)
    sizes = [{"batch": batch, "sequence": length} for batch, length in ((1, 5), (3, 5), (7, 23))]
    return trace(
        TextTower(checkpoint).eval(),
        {"input_ids": tokens, "attention_mask": tokens},
        ["batch", "sequence"],
        form.text_output,
        form,
        sizes,
        path,
    )
