"""EVA-ViT and the Q-Former as LAVIS publishes them, under glue of our own: the habits of code that was written for GPUs.

Halved weights, autocast, recomputation, BERT's configuration from the hub, a temporal encoding in place.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.models.bert.configuration_bert import BertConfig
from transformers.utils import ModelOutput

from .configuration_glue import GlueConfig
from .eva_vit import VisionTransformer, convert_weights_to_fp16
from .qformer import BertLMHeadModel


@dataclass
class Video(ModelOutput):
    visual_proj: torch.Tensor = None


@dataclass
class Text(ModelOutput):
    text_proj: torch.Tensor = None


class LayerNorm(nn.LayerNorm):
    def forward(self, x):
        return super().forward(x.type(torch.float32)).type(x.dtype)


class Glue(PreTrainedModel):
    config_class = GlueConfig
    main_input_name = "videos"

    def __init__(self, config: GlueConfig):
        super().__init__(config)
        self.visual_encoder = VisionTransformer(
            img_size=config.resolution,
            patch_size=14,
            use_mean_pooling=False,
            embed_dim=config.vision_width,
            depth=2,
            num_heads=2,
            mlp_ratio=2.0,
            qkv_bias=True,
            drop_path_rate=0.0,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_checkpoint=True,
        )
        convert_weights_to_fp16(self.visual_encoder)
        self.ln_vision = LayerNorm(config.vision_width)
        bert = BertConfig.from_pretrained("bert-base-uncased")
        bert.hidden_size, bert.intermediate_size, bert.num_hidden_layers, bert.num_attention_heads = (
            config.text_width,
            48,
            2,
            2,
        )
        bert.encoder_width, bert.add_cross_attention, bert.cross_attention_freq, bert.query_length = (
            config.vision_width,
            True,
            2,
            4,
        )
        bert.vocab_size = config.vocab_size
        self.qformer = BertLMHeadModel(config=bert)
        self.query_tokens = nn.Parameter(torch.zeros(1, 4, config.text_width))
        self.vision_proj = nn.Linear(config.text_width, config.embed_dim)
        self.text_proj = nn.Linear(config.text_width, config.embed_dim)
        self.logit_scale = nn.Parameter(torch.tensor(1.0))

    def _init_weights(self, module):
        pass

    def get_video_embeddings(self, videos):
        batch, frames = videos.shape[:2]
        with torch.cuda.amp.autocast(dtype=torch.float16), torch.autocast("cpu", dtype=torch.bfloat16):
            tokens = self.ln_vision(self.visual_encoder(videos.flatten(0, 1).to(self.dtype)))
        tokens = tokens.reshape(batch, frames, -1, tokens.shape[-1])
        share = tokens.shape[-1] // 4
        mixed = tokens.clone()
        mixed[:, 1:, :, :share] = tokens[:, :-1, :, :share]
        mixed[:, :-1, :, share : 2 * share] = tokens[:, 1:, :, share : 2 * share]
        tokens = mixed.flatten(1, 2)
        seen = torch.ones(tokens.shape[:-1], dtype=torch.long, device=tokens.device)
        queries = self.query_tokens.expand(batch, -1, -1)
        output = self.qformer.bert(
            query_embeds=queries,
            encoder_hidden_states=tokens,
            encoder_attention_mask=seen,
            use_cache=False,
            return_dict=True,
        )
        return Video(F.normalize(self.vision_proj(output.last_hidden_state.mean(dim=1)), dim=-1))

    def get_text_embeddings(self, input_ids, attention_mask):
        output = self.qformer.bert(input_ids, attention_mask=attention_mask, return_dict=True)
        return Text(F.normalize(self.text_proj(output.last_hidden_state[:, 0]), dim=-1))
