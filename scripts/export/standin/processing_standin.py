"""The stand-in's processor: raw pictures and strings to what the towers take."""

import torch
from torch.nn import functional as F
from transformers import BatchFeature, ProcessorMixin


class StandinProcessor(ProcessorMixin):
    attributes = ["tokenizer"]
    tokenizer_class = "AutoTokenizer"

    def __init__(
        self,
        tokenizer=None,
        resolution=224,
        num_video_frames=8,
        max_txt_len=128,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        **rest,
    ):
        super().__init__(tokenizer, **rest)
        self.resolution = resolution
        self.num_video_frames = num_video_frames
        self.max_txt_len = max_txt_len
        self.mean = list(mean)
        self.std = list(std)

    def __call__(self, videos=None, text=None) -> BatchFeature:
        """videos: uint8 [B, T, 3, H, W] → `videos` float32 [B, T, 3, R, R]; text → `input_ids`, `attention_mask`."""
        features = {}
        if videos is not None:
            pictures = torch.as_tensor(videos)
            batch, frames = pictures.shape[:2]
            if frames != self.num_video_frames:
                raise ValueError(f"expected {self.num_video_frames} frames, got {frames}")
            resized = F.interpolate(
                pictures.flatten(0, 1).float(),
                (self.resolution, self.resolution),
                mode="bilinear",
                antialias=True,
                align_corners=False,
            )
            shape = (3, 1, 1)
            values = (resized / 255 - torch.tensor(self.mean).reshape(shape)) / torch.tensor(
                self.std
            ).reshape(shape)
            features["videos"] = values.unflatten(0, (batch, frames))
        if text is not None:
            features.update(
                self.tokenizer(
                    text,
                    padding="max_length",
                    truncation=True,
                    max_length=self.max_txt_len,
                    return_token_type_ids=False,
                    return_tensors="pt",
                )
            )
        return BatchFeature(features)
