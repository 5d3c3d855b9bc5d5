"""LoRA adapters are merged only on request."""

from __future__ import annotations

import json
import shutil
import unittest
from pathlib import Path

import numpy as np
import torch
from exporting import ExportTest, code_of, convert
from make import package
from safetensors.torch import load_file, save_file


class Adapter(ExportTest):
    def setUp(self) -> None:
        super().setUp()
        from peft import LoraConfig, get_peft_model

        configuration, modeling, _ = package()
        model = modeling.StandinModel(configuration.StandinConfig.from_pretrained(self.checkpoint)).eval()
        model.load_state_dict(load_file(self.checkpoint / "model.safetensors"))
        adapted = get_peft_model(model, LoraConfig(r=2, lora_alpha=8, target_modules=["qkv", "fc1", "query"]))
        torch.manual_seed(1)
        for name, value in adapted.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(value, std=0.2)
        self.adapter = self.folder / "adapter"
        adapted.save_pretrained(self.adapter)
        self.merged = self.copy()
        adapted.merge_and_unload().save_pretrained(self.merged)

    def beside(self) -> Path:
        """A folder with the base's complete weights and the adapter."""
        both = self.folder / "both"
        shutil.copytree(self.checkpoint, both)
        for file in self.adapter.glob("adapter_*"):
            shutil.copy(file, both)
        return both

    def vectors(self) -> list[str]:
        return [entry["vector"] for entry in json.loads((self.out / "golden.json").read_text())["clips"]]

    def test_a_merged_adapter_gives_the_vectors_of_the_merged_model(self) -> None:
        import base64

        self.assertConverted(convert(self.merged, self.out))
        wanted = self.vectors()
        self.out = self.folder / "second"
        self.assertConverted(
            convert(self.checkpoint, self.out, "fp32", "--adapter", str(self.adapter), "--adapter-name", "x")
        )
        found = self.vectors()
        for one, other in zip(wanted, found):
            np.testing.assert_allclose(
                *(np.frombuffer(base64.b64decode(text), "<f4") for text in (one, other)), atol=1e-5
            )
        self.out = self.folder / "third"
        self.assertConverted(convert(self.checkpoint, self.out))
        self.assertNotEqual(self.vectors()[0], found[0])

    def test_an_adapter_beside_whole_weights_needs_an_explicit_choice(self) -> None:
        both = str(self.beside())
        first = self.run_main(both)
        self.assertRefused(first, "an adapter beside whole weights", "--adapter merge", "--adapter ignore")
        done = self.run_main(
            both, "--adapter", "merge", "--yes-run-code", code_of(self.checkpoint), "--precision", "fp32"
        )
        self.assertConverted(done)
        self.assertIn("LORA, rank 2", done.stderr)
        self.assertIn(
            "merged into both", json.loads((self.out / "model.json").read_text())["source"]["adapter"]
        )

    def test_an_ignored_adapter_changes_nothing(self) -> None:
        both = str(self.beside())
        self.assertConverted(convert(self.checkpoint, self.out))
        wanted, self.out = self.vectors(), self.folder / "second"
        self.assertConverted(
            self.run_main(
                both,
                "--adapter",
                "ignore",
                "--yes-run-code",
                code_of(self.checkpoint),
                "--precision",
                "fp32",
                "--clips",
                "2",
            )
        )
        self.assertEqual(self.vectors(), wanted)

    def test_an_adapter_alone_names_its_base(self) -> None:
        self.assertRefused(self.run_main(str(self.adapter)), "only an adapter", "--base")
        base = ("--base", str(self.checkpoint))
        self.assertConverted(
            self.run_main(
                str(self.adapter), *base, "--yes-run-code", code_of(self.checkpoint), "--precision", "fp32"
            )
        )

    def test_an_adapter_of_another_model_is_refused(self) -> None:
        weights = load_file(self.adapter / "adapter_model.safetensors")
        other = {name.replace("blocks.1.", "blocks.7."): value for name, value in weights.items()}
        save_file(other, self.adapter / "adapter_model.safetensors")
        self.assertRefused(
            convert(self.checkpoint, self.out, "fp32", "--adapter", str(self.adapter), "--adapter-name", "x"),
            "blocks.7.",
        )

    def test_another_kind_of_adapter_is_refused(self) -> None:
        path = self.adapter / "adapter_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "peft_type": "IA3"}))
        self.assertRefused(
            convert(self.checkpoint, self.out, "fp32", "--adapter", str(self.adapter), "--adapter-name", "x"),
            '"IA3"',
            "LORA",
        )

    def test_merging_without_an_adapter_is_refused(self) -> None:
        self.assertRefused(
            self.run_main(str(self.checkpoint), "--adapter", "merge"), "has no adapter_config.json"
        )


if __name__ == "__main__":
    unittest.main()
