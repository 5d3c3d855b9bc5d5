"""Sizes of a tiny model out of LAVIS' parts."""

from transformers import PretrainedConfig


class GlueConfig(PretrainedConfig):
    model_type = "cosmos-embed1-glue"

    def __init__(
        self,
        embed_dim=16,
        resolution=28,
        num_video_frames=8,
        max_txt_len=32,
        vocab_size=200,
        vision_width=32,
        text_width=24,
        **rest,
    ):
        super().__init__(**rest)
        self.embed_dim = embed_dim
        self.resolution = resolution
        self.num_video_frames = num_video_frames
        self.max_txt_len = max_txt_len
        self.vocab_size = vocab_size
        self.vision_width = vision_width
        self.text_width = text_width
