"""Loading a checkpoint with its own code: its network requests, its weights, and its types."""

from __future__ import annotations

import base64
import json
import unittest
from pathlib import Path

import numpy as np
import torch
from exporting import ExportTest, convert, edit
from safetensors.torch import load_file, save_file


def unpack(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4")


METADATA = {"format": "pt"}
FORWARD = "        batch, frames = videos.shape[:2]\n        tokens = "


class Network(ExportTest):
    """Requests of the checkpoint's code. The stand-in requests BERT's configuration as the published code does, in every test."""

    def asking(self, line: str) -> Path:
        return self.copy(
            modeling_standin__py=("        bert = BertConfig", f"        {line}\n        bert = BertConfig")
        )

    def test_every_name_of_berts_configuration_is_known(self) -> None:
        changed = self.asking(
            'BertConfig.from_pretrained("google-bert/bert-base-uncased"); assert bert_is_base()'
        )
        edit(
            changed / "modeling_standin.py",
            "\n\n@dataclass\nclass VideoEmbeddings",
            """

def bert_is_base():
    from transformers import AutoConfig, BertConfig
    found = AutoConfig.from_pretrained("bert-base-uncased").to_dict()
    return {key: found[key] for key in BertConfig().to_dict() if key in found and key not in ("architectures", "_name_or_path", "transformers_version")} \\
        == {key: value for key, value in BertConfig().to_dict().items() if key not in ("architectures", "_name_or_path", "transformers_version")}


@dataclass
class VideoEmbeddings""",
        )
        self.assertConverted(convert(changed, self.out))

    def test_other_requests_to_the_hub_are_named(self) -> None:
        for line, name in (
            (
                'import transformers; transformers.BertTokenizer.from_pretrained("bert-base-uncased")',
                "bert-base-uncased: vocab.txt",
            ),
            (
                'import transformers; transformers.AutoConfig.from_pretrained("someone/else")',
                "someone/else: config.json",
            ),
            (
                'import transformers; transformers.BertModel.from_pretrained("bert-base-uncased")',
                "bert-base-uncased: model.safetensors",
            ),
            (
                'import huggingface_hub; huggingface_hub.hf_hub_download("timm/eva", "eva.bin")',
                "timm/eva: eva.bin",
            ),
        ):
            with self.subTest(line):
                self.assertRefused(convert(self.asking(line), self.out), name, "--allow", "@COMMIT")

    def test_web_addresses_are_named(self) -> None:
        for line, name in (
            (
                'torch.hub.load_state_dict_from_url("https://weights.example/eva.pth")',
                "https://weights.example/eva.pth",
            ),
            ('import requests; requests.get("https://files.example/x")', "files.example"),
            ('import socket; socket.create_connection(("192.0.2.1", 80), 1)', "192.0.2.1"),
        ):
            with self.subTest(line):
                self.assertRefused(
                    convert(self.asking(line), self.out), name, "keeps the checkpoint's code off the network"
                )

    def test_code_that_tolerates_a_refusal_continues_with_a_warning(self) -> None:
        changed = self.asking(
            'exec("try:\\n import transformers; transformers.AutoConfig.from_pretrained(\\"someone/else\\")\\nexcept OSError: pass")'
        )
        done = convert(changed, self.out)
        self.assertConverted(done)
        self.assertIn(
            "note: it loaded, but the checkpoint's code asked the network for someone/else: config.json",
            done.stderr,
        )

    def test_allowed_requests_are_answered(self) -> None:
        other = self.folder / "other"
        other.mkdir()
        (other / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": 77}))
        changed = self.asking('assert BertConfig.from_pretrained("someone/else").hidden_size == 77')
        self.assertConverted(convert(changed, self.out, "fp32", "--allow", f"someone/else={other}"))


class Modules(ExportTest):
    def test_modules_that_modules_import_are_found(self) -> None:
        changed = self.copy(
            modeling_standin__py=(
                "from .configuration_standin",
                "from .nested import FOUND\nfrom .configuration_standin",
            )
        )
        (changed / "nested.py").write_text("from .deeper import FOUND\n")
        (changed / "deeper.py").write_text("FOUND = True\n")
        (changed / "__init__.py").write_text("raise SystemExit('nobody imports the folder as a package')\n")
        self.assertConverted(convert(changed, self.out))


class Weights(ExportTest):
    def changed_weights(self, change) -> Path:
        changed = self.copy()
        weights = load_file(changed / "model.safetensors")
        save_file(change(weights), changed / "model.safetensors", METADATA)
        return changed

    def test_weights_stored_in_16_bits_are_read_as_what_they_are(self) -> None:
        """The published ones are stored so."""
        for dtype in (torch.bfloat16, torch.float16):
            with self.subTest(dtype):
                # 16 bits on the way would be 1e-3 off.
                narrow, wide = (self.vectors_of(dtype, stored) for stored in (dtype, torch.float32))
                np.testing.assert_allclose(narrow, wide, rtol=0, atol=1e-6)

    def vectors_of(self, dtype: torch.dtype, stored: torch.dtype) -> list[np.ndarray]:
        """The checkpoint's own, with its weights rounded to `dtype`."""
        self.out = self.folder / f"{dtype}-{stored}"
        changed = self.changed_weights(
            lambda weights: {name: value.to(dtype).to(stored) for name, value in weights.items()}
        )
        self.assertConverted(convert(changed, self.out))
        golden = json.loads((self.out / "golden.json").read_text())
        return [unpack(entry["vector"]) for entry in golden["clips"] + golden["texts"]]

    def test_a_missing_weight_is_refused_by_name(self) -> None:
        changed = self.changed_weights(
            lambda weights: {name: value for name, value in weights.items() if "blocks.1.fc1" not in name}
        )
        self.assertRefused(
            convert(changed, self.out),
            "visual_encoder.blocks.1.fc1.bias",
            "visual_encoder.blocks.1.fc1.weight",
            "random",
        )

    def test_a_missing_weight_is_refused_though_the_code_says_to_ignore_it(self) -> None:
        changed = self.changed_weights(
            lambda weights: {name: value for name, value in weights.items() if "fc1" not in name}
        )
        edit(
            changed / "modeling_standin.py",
            "    config_class = ",
            '    _keys_to_ignore_on_load_missing = [r"fc1"]\n    config_class = ',
        )
        self.assertRefused(convert(changed, self.out), "fc1.weight", "random")

    def test_an_unexpected_weight_is_refused_by_name(self) -> None:
        changed = self.changed_weights(
            lambda weights: weights | {"visual_encoder.blocks.2.fc1.weight": torch.zeros(2)}
        )
        self.assertRefused(convert(changed, self.out), "visual_encoder.blocks.2.fc1.weight", "no place")

    def test_weights_of_an_unmerged_adapter_are_refused_as_such(self) -> None:
        def unmerged(weights: dict) -> dict:
            taken = weights.pop("visual_encoder.blocks.0.proj.weight")
            return weights | {
                "visual_encoder.blocks.0.proj.base_layer.weight": taken,
                "visual_encoder.blocks.0.proj.lora_A.default.weight": torch.zeros(2, 24),
                "visual_encoder.blocks.0.proj.lora_B.default.weight": torch.zeros(24, 2),
            }

        self.assertRefused(
            convert(self.changed_weights(unmerged), self.out),
            "adapter that was not merged",
            "lora_A",
            "merge_and_unload",
        )

    def test_weights_that_no_vector_depends_on_may_differ(self) -> None:
        changed = self.changed_weights(
            lambda weights: (
                {name: value for name, value in weights.items() if name != "logit_scale"}
                | {"qformer.embeddings.position_ids": torch.arange(512)[None]}
            )
        )
        done = convert(changed, self.out)
        self.assertConverted(done)
        self.assertIn(
            "differs without effect on the vectors: logit_scale, qformer.embeddings.position_ids", done.stderr
        )

    def test_another_shape_is_refused(self) -> None:
        changed = self.changed_weights(lambda weights: weights | {"text_proj.weight": torch.zeros(17, 24)})
        self.assertRefused(convert(changed, self.out), "text_proj.weight ([16, 24] by config.json)")

    def test_weights_that_are_not_finite_are_refused(self) -> None:
        changed = self.changed_weights(
            lambda weights: weights | {"text_proj.bias": weights["text_proj.bias"] * float("nan")}
        )
        self.assertRefused(convert(changed, self.out), "text_proj.bias holds infinities or NaN")


class Types(ExportTest):
    """The published code chooses types for a GPU. The vectors must equal those of plain float32 to the last digits."""

    def setUp(self) -> None:
        super().setUp()
        self.assertConverted(convert(self.checkpoint, self.out))
        self.wanted = json.loads((self.out / "golden.json").read_text())["clips"]
        self.out = self.folder / "second"

    def assertSameVectors(self, changed: Path) -> None:
        self.assertConverted(convert(changed, self.out))
        self.assertEqual(json.loads((self.out / "golden.json").read_text())["clips"], self.wanted)

    def test_autocast_recomputing_and_halving_change_nothing(self) -> None:
        changed = self.copy(
            modeling_standin__py=(
                "            x = block(x)",
                """            with torch.autocast("cpu", dtype=torch.bfloat16), torch.cuda.amp.autocast(enabled=True):
                x = checkpoint(block, x.half().to(torch.bfloat16), use_reentrant=True).type(torch.float16)""",
            )
        )
        edit(
            changed / "modeling_standin.py",
            "import torch\n",
            "import torch\nfrom torch.utils.checkpoint import checkpoint\n",
        )
        edit(
            changed / "modeling_standin.py",
            "        self.post_init()",
            """        for module in self.visual_encoder.modules():  # as convert_weights_to_fp16 does it
            if isinstance(module, (nn.Linear, nn.Conv2d)):
                module.weight.data = module.weight.data.half()
        self.qformer.to(torch.bfloat16)
        self.post_init()""",
        )
        self.assertSameVectors(changed)

    def test_a_processor_that_halves_changes_nothing(self) -> None:
        changed = self.copy(
            processing_standin__py=(
                "values.unflatten(0, (batch, frames))",
                "values.unflatten(0, (batch, frames)).to(torch.bfloat16)",
            )
        )
        self.assertSameVectors(changed)

    def test_slices_assigned_in_place_are_traced(self) -> None:
        changed = self.copy(
            modeling_standin__py=(
                """        return torch.cat(
            (before[..., : self.share], after[..., self.share : 2 * self.share], x[..., 2 * self.share :]),
            dim=-1,
        )""",
                """        y = x.clone()
        y[..., :self.share] = before[..., :self.share]
        y[:, :-1, :, self.share:2 * self.share] = x[:, 1:, :, self.share:2 * self.share]
        return y""",
            )
        )
        self.assertSameVectors(changed)


if __name__ == "__main__":
    unittest.main()
