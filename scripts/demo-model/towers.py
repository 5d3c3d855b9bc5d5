"""The two towers. Both end in the 256-d space of `codes.py`."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from codes import B, C, M, S, basis

GRID = 14  # cells per side of the map on which the video tower finds its objects
SMALL = 56  # it looks at 56x56 frames; the 224x224 input is averaged down inside the graph
FRAMES = 8


def convolution(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class VideoTower(nn.Module):
    """Colours every cell of every frame, gathers the cells of one colour into one object, and follows it over time.

    One slot per colour makes any number of objects easy as long as their colours differ.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            convolution(3, 16, 2),
            convolution(16, 32, 1),
            convolution(32, 48, 2),
            convolution(48, 64, 1),
            convolution(64, 64, 1),
        )
        self.segment = nn.Conv2d(64, 1 + C, 1)  # background or one of the colours, per cell
        self.describe = nn.Sequential(nn.Linear(64 + 4, 96), nn.ReLU(), nn.Linear(96, 96), nn.ReLU())
        self.shape = nn.Linear(96, S)
        self.size_and_turn = nn.Linear(96, 3)  # log half-size, and two that turn with the object
        self.notes = nn.Linear(96, 16)  # whatever else helps to tell the motion
        track = FRAMES * (2 + 3 + 16)
        self.motion = nn.Sequential(
            nn.Linear(2 * track, 192), nn.ReLU(), nn.Linear(192, 96), nn.ReLU(), nn.Linear(96, M)
        )
        self.presence = nn.Linear(1, 1)
        self.background = nn.Linear(64, B)
        line = (torch.arange(GRID) + 0.5) * 2 / GRID - 1
        y, x = torch.meshgrid(line, line, indexing="ij")
        self.register_buffer(
            "cells", torch.stack([x, y, x * x, y * y, x * y]).flatten(1).T.contiguous(), persistent=False
        )
        self.register_buffer("basis", torch.from_numpy(basis()), persistent=False)

    def look(self, frames: torch.Tensor) -> dict[str, torch.Tensor]:
        """Per frame. frames: [N, 3, 56, 56] in 0..1. Everything per object has shape [N, C, ...]."""
        features = self.trunk(frames)
        segments = self.segment(features).float().flatten(2)  # [N, 1+C, cells]
        features = features.float().flatten(2).transpose(1, 2)  # [N, cells, 64]
        share = segments.softmax(1)
        mass = share.sum(2, keepdim=True)
        weights = share / (mass + 0.02)
        gathered = weights @ features
        moments = (weights @ self.cells)[:, 1:]
        position = moments[..., :2]
        spread = moments[..., 2:] - torch.cat([position * position, position[..., :1] * position[..., 1:]], 2)
        log_mass = (mass[:, 1:] + 0.05).log()
        description = self.describe(torch.cat([gathered[:, 1:], log_mass, spread * 10], 2))
        return {
            "segments": segments,
            "position": position,
            "log_mass": log_mass,
            "shape": self.shape(description),
            "size_and_turn": self.size_and_turn(description),
            "notes": self.notes(description),
            "background": self.background(gathered[:, 0]),
        }

    def watch(self, frames: torch.Tensor) -> dict[str, torch.Tensor]:
        """Per clip. frames: [N, 8, 3, 56, 56]."""
        seen = {
            name: value.unflatten(0, (-1, FRAMES)) for name, value in self.look(frames.flatten(0, 1)).items()
        }
        track = torch.cat([seen["position"], seen["size_and_turn"], seen["notes"]], 3)
        track = torch.cat([track, (track - track.mean(1, keepdim=True)) * 3], 3)
        return {
            "frames": seen,
            "shape": seen["shape"].mean(1),
            "background": seen["background"].mean(1),
            "presence": self.presence(seen["log_mass"].mean(1)).squeeze(2),
            "motion": self.motion(track.transpose(1, 2).flatten(2)),
        }

    def embed(self, clip: dict[str, torch.Tensor]) -> torch.Tensor:
        """The code of what was seen, each attribute weighted by its probability."""
        colour = clip["presence"].sigmoid()
        shape = clip["shape"].softmax(2) * colour[:, :, None]
        motion = clip["motion"].softmax(2) * colour[:, :, None]
        row = torch.cat(
            [
                colour,
                shape.sum(1),
                motion.sum(1),
                shape.flatten(1),
                motion.flatten(1),
                clip["background"].softmax(1),
            ],
            1,
        )
        return F.normalize(row @ self.basis[: row.shape[1]], dim=1)

    def forward(self, videos: torch.Tensor) -> torch.Tensor:
        """videos: uint8 [B, 8, 3, 224, 224], RGB. Floats first: TensorRT takes bytes into nothing but a cast."""
        frames = F.avg_pool2d(videos.float().flatten(0, 1), 224 // SMALL) * (1 / 255)
        return self.embed(self.watch(frames.unflatten(0, (-1, FRAMES))))


class Layer(nn.Module):
    """One pre-norm transformer layer. The attention is written out so that the exported graph stays plain."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        q, k, v = (
            self.qkv(self.before_attention(x))
            .unflatten(2, (3, self.heads, -1))
            .permute(2, 0, 3, 1, 4)
            .unbind(0)
        )
        attention = (q @ k.transpose(2, 3) * q.shape[-1] ** -0.5 + bias).softmax(3)
        x = x + self.out((attention @ v).transpose(1, 2).flatten(2))
        return x + self.mlp(self.before_mlp(x))


class TextTower(nn.Module):
    """A small transformer encoder that knows the order of the words: it decides who does what.

    A convolution over neighbouring words comes first; with attention alone, "red" took far longer to find its "circle".
    """

    def __init__(
        self, vocabulary: int, width: int = 128, depth: int = 2, heads: int = 4, longest: int = 128
    ) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(torch.randn(longest, width) * 0.02)
        self.neighbours = nn.Conv1d(width, width, 5, padding=2)
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(2 * width, 256)
        nn.init.normal_(self.words.weight, std=0.05)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        mask = attention_mask.float()
        bias = (1 - mask)[:, None, None, :] * -1e4
        x = (self.words(input_ids) + self.positions[: input_ids.shape[1]]) * mask[:, :, None]
        x = x + F.gelu(self.neighbours(x.transpose(1, 2)).transpose(1, 2))
        for layer in self.layers:
            x = layer(x, bias)
        x = self.norm(x) * mask[:, :, None]
        mean = x.sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
        return F.normalize(self.head(torch.cat([x[:, 0], mean], 1)), dim=1)
