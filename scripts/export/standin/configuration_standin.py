"""Sizes of the stand-in. The defaults are the published ones of Cosmos-Embed1-224p."""

from transformers import PretrainedConfig


class StandinConfig(PretrainedConfig):
    model_type = "cosmos-embed1-standin"

    def __init__(
        self,
        embed_dim=256,
        resolution=224,
        num_video_frames=8,
        patch_size=14,
        vision_width=1408,
        vision_depth=39,
        vision_heads=16,
        vision_hidden=6144,
        num_query_tokens=32,
        text_width=768,
        text_depth=12,
        text_heads=12,
        text_hidden=3072,
        cross_attention_every=2,
        vocab_size=30523,
        max_positions=512,
        max_txt_len=128,
        **rest,
    ):
        super().__init__(**rest)
        self.embed_dim = embed_dim
        self.resolution = resolution
        self.num_video_frames = num_video_frames
        self.patch_size = patch_size
        self.vision_width = vision_width
        self.vision_depth = vision_depth
        self.vision_heads = vision_heads
        self.vision_hidden = vision_hidden
        self.num_query_tokens = num_query_tokens
        self.text_width = text_width
        self.text_depth = text_depth
        self.text_heads = text_heads
        self.text_hidden = text_hidden
        self.cross_attention_every = cross_attention_every
        self.vocab_size = vocab_size
        self.max_positions = max_positions
        self.max_txt_len = max_txt_len
