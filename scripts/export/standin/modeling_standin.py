"""A stand-in for Cosmos-Embed1: its published architecture in plain PyTorch, with random weights.

EVA-ViT-G/14 on every frame, a temporal encoding by neighbouring-token propagation, a Q-Former of BERT-base shape, two
projections. It answers the same calls with the same shapes and costs the same, so converting, checking and timing can
be tried without the real weights. Its vectors mean nothing. Where the description is silent, `Assumed` says what was chosen.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BertConfig, PreTrainedModel
from transformers.utils import ModelOutput

from .configuration_standin import StandinConfig


@dataclass
class VideoEmbeddings(ModelOutput):
    visual_proj: Tensor | None = None  # [B, D], unit length
    visual_features: Tensor | None = None  # [B, queries, text_width]


@dataclass
class TextEmbeddings(ModelOutput):
    text_proj: Tensor | None = None  # [B, D], unit length


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
    """Softmax attention of heads [B, heads, N or M, width], bias added to the scores; joins the heads: [B, N, heads·width]."""
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    weights = (scores if bias is None else scores + bias).softmax(dim=-1)
    return (weights @ value).transpose(1, 2).flatten(2)


class VisionBlock(nn.Module):
    """Pre-norm transformer block as in EVA: one qkv matrix; queries and values have a bias, keys have none."""

    def __init__(self, width: int, heads: int, hidden: int):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(width))
        self.v_bias = nn.Parameter(torch.zeros(width))
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        bias = torch.cat((self.q_bias, torch.zeros_like(self.q_bias), self.v_bias))
        heads = F.linear(self.norm1(x), self.qkv.weight, bias).reshape(*x.shape[:2], 3, self.heads, -1)
        x = x + self.proj(attend(*heads.permute(2, 0, 3, 1, 4).unbind(0)))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class FrameEncoder(nn.Module):
    """EVA-ViT: [frames, 3, R, R] → [frames, 1 + (R / patch)², width]."""

    def __init__(self, config: StandinConfig):
        super().__init__()
        width, patch = config.vision_width, config.patch_size
        self.patches = nn.Conv2d(3, width, patch, stride=patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, 1 + (config.resolution // patch) ** 2, width))
        self.blocks = nn.ModuleList(
            VisionBlock(width, config.vision_heads, config.vision_hidden) for _ in range(config.vision_depth)
        )

    def forward(self, frames: Tensor) -> Tensor:
        x = self.patches(frames).flatten(2).transpose(1, 2)
        x = torch.cat((self.cls_token.expand(x.shape[0], -1, -1), x), dim=1) + self.positions
        for block in self.blocks:
            x = block(x)
        return x


class NeighbouringTokens(nn.Module):
    """Temporal encoding: [B, T, tokens, width] → the same shape.

    Assumed (only the name is published): every frame gets a learned vector for its place in time, then an eighth of its
    channels comes from the frame before and an eighth from the frame after; the first and last frame repeat themselves.
    """

    def __init__(self, config: StandinConfig):
        super().__init__()
        self.places = nn.Parameter(torch.zeros(config.num_video_frames, 1, config.vision_width))
        self.share = config.vision_width // 8

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.places
        before, after = torch.cat((x[:, :1], x[:, :-1]), dim=1), torch.cat((x[:, 1:], x[:, -1:]), dim=1)
        return torch.cat(
            (before[..., : self.share], after[..., self.share : 2 * self.share], x[..., 2 * self.share :]),
            dim=-1,
        )


class QFormerAttention(nn.Module):
    """BERT's attention with its output layer; `source_width` differs from `width` when it looks at the frames."""

    def __init__(self, width: int, source_width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(source_width, width)
        self.value = nn.Linear(source_width, width)
        self.dense = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, eps=1e-12)

    def forward(self, x: Tensor, source: Tensor, bias: Tensor | None = None) -> Tensor:
        attended = attend(*map(self.split, (self.query(x), self.key(source), self.value(source))), bias)
        return self.norm(self.dense(attended) + x)

    def split(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)


class FeedForward(nn.Module):
    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)
        self.norm = nn.LayerNorm(width, eps=1e-12)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.fc2(F.gelu(self.fc1(x))) + x)


class QFormerLayer(nn.Module):
    """Queries and text share the self-attention; each has a feed-forward of its own, as in BLIP-2."""

    def __init__(self, config: StandinConfig, looks_at_frames: bool):
        super().__init__()
        width, heads = config.text_width, config.text_heads
        self.attention = QFormerAttention(width, width, heads)
        self.crossattention = QFormerAttention(width, config.vision_width, heads) if looks_at_frames else None
        self.text_feed_forward = FeedForward(width, config.text_hidden)
        self.query_feed_forward = FeedForward(width, config.text_hidden)


class QFormer(nn.Module):
    def __init__(self, config: StandinConfig):
        super().__init__()
        bert = BertConfig.from_pretrained(
            "bert-base-uncased"
        )  # the published code asks the hub for it while it loads
        self.words = nn.Embedding(config.vocab_size, config.text_width)
        self.positions = nn.Embedding(config.max_positions, config.text_width)
        self.norm = nn.LayerNorm(config.text_width, eps=bert.layer_norm_eps)
        self.queries = nn.Parameter(torch.zeros(1, config.num_query_tokens, config.text_width))
        self.layers = nn.ModuleList(
            QFormerLayer(config, index % config.cross_attention_every == 0)
            for index in range(config.text_depth)
        )

    def look(self, tokens: Tensor) -> Tensor:
        """Frame tokens [B, N, vision_width] → [B, queries, text_width]."""
        x = self.norm(self.queries).expand(tokens.shape[0], -1, -1)
        for layer in self.layers:
            x = layer.attention(x, x)
            if layer.crossattention is not None:
                x = layer.crossattention(x, tokens)
            x = layer.query_feed_forward(x)
        return x

    def read(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Token ids [B, S] → [B, S, text_width]. Assumed: text attends both ways, as in BERT."""
        places = torch.arange(input_ids.shape[1], device=input_ids.device)
        x = self.norm(self.words(input_ids) + self.positions(places))
        bias = (1.0 - attention_mask[:, None, None, :].to(x.dtype)) * -10000.0
        for layer in self.layers:
            x = layer.text_feed_forward(layer.attention(x, x, bias))
        return x


class StandinModel(PreTrainedModel):
    config_class = StandinConfig

    def __init__(self, config: StandinConfig):
        super().__init__(config)
        self.visual_encoder = FrameEncoder(config)
        self.ln_vision = nn.LayerNorm(config.vision_width)
        self.temporal_encoding = NeighbouringTokens(config)
        self.qformer = QFormer(config)
        self.vision_proj = nn.Linear(config.text_width, config.embed_dim)
        self.text_proj = nn.Linear(config.text_width, config.embed_dim)
        self.logit_scale = nn.Parameter(torch.tensor(100.0).log())
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Wide enough that random towers still tell inputs apart; the usual 0.02 maps everything to one vector."""
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            gain = 6.0 if isinstance(module, nn.Conv2d) else 1.2
            nn.init.normal_(module.weight, std=gain * module.weight[0].numel() ** -0.5)
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.02)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight)
        for parameter in module.parameters(recurse=False):
            if isinstance(module, (FrameEncoder, NeighbouringTokens, QFormer, VisionBlock)):
                nn.init.normal_(parameter, std=0.3)

    def get_video_embeddings(self, videos: Tensor) -> VideoEmbeddings:
        """[B, T, 3, R, R], the processor's output. Assumed: the queries are pooled first and projected after."""
        batch, frames = videos.shape[:2]
        tokens = self.ln_vision(self.visual_encoder(videos.flatten(0, 1)))
        tokens = self.temporal_encoding(tokens.reshape(batch, frames, -1, tokens.shape[-1]))
        features = self.qformer.look(tokens.flatten(1, 2))
        return VideoEmbeddings(F.normalize(self.vision_proj(features.mean(dim=1)), dim=-1), features)

    def get_text_embeddings(self, input_ids: Tensor, attention_mask: Tensor) -> TextEmbeddings:
        """[B, S] each. Assumed: the first token stands for the text, as in BLIP-2."""
        features = self.qformer.read(input_ids, attention_mask)
        return TextEmbeddings(F.normalize(self.text_proj(features[:, 0]), dim=-1))
