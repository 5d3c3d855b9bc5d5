"""Conversion of LAVIS from PyPI, which NVIDIA's code is derived from. COSMOS_EMBED_LAVIS=1 downloads it (2 MB) temporarily."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import unittest
import zipfile
from pathlib import Path

import torch
from exporting import HERE, ExportTest, convert
from safetensors.torch import save_file

WHEEL = "salesforce-lavis==1.0.2"
PARTS = {"eva_vit.py": "lavis/models/eva_vit.py", "qformer.py": "lavis/models/blip2_models/Qformer.py"}


@unittest.skipUnless(
    os.environ.get("COSMOS_EMBED_LAVIS") == "1", "COSMOS_EMBED_LAVIS=1 fetches LAVIS from PyPI"
)
class Lavis(ExportTest):
    def setUp(self) -> None:
        super().setUp()
        subprocess.run(
            [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--dest",
                str(self.folder),
                WHEEL,
            ],
            check=True,
        )
        self.package = self.folder / "glue"
        self.package.mkdir()
        with zipfile.ZipFile(next(self.folder.glob("*.whl"))) as wheel:
            for name, path in PARTS.items():
                text = (
                    wheel.read(path)
                    .decode()
                    .replace("from lavis.common.dist_utils import", "from .dist_utils import")
                )
                (self.package / name).write_text(text)
        (self.package / "dist_utils.py").write_text(
            "def download_cached_file(*_, **__):\n    raise RuntimeError('not used')\n"
        )
        for file in (HERE / "lavis").glob("*.py"):
            shutil.copy(file, self.package)
        self.glue = self.checkpoint_of_it()

    def checkpoint_of_it(self) -> Path:
        folder = self.folder / "checkpoint"
        shutil.copytree(self.checkpoint, folder)
        for stale in folder.glob("*standin.py"):
            if not stale.name.startswith("processing"):
                stale.unlink()
        for file in self.package.glob("*.py"):
            shutil.copy(file, folder)
        (folder / "processing_standin.py").rename(folder / "processing_glue.py")
        processor = json.loads((folder / "processor_config.json").read_text())
        processor["auto_map"] = {"AutoProcessor": "processing_glue.StandinProcessor"}
        processor["max_txt_len"] = 32
        (folder / "processor_config.json").write_text(json.dumps(processor))
        sys.path.insert(0, str(self.folder))
        from glue.configuration_glue import GlueConfig
        from glue.modeling_glue import Glue

        config = GlueConfig(
            auto_map={"AutoConfig": "configuration_glue.GlueConfig", "AutoModel": "modeling_glue.Glue"}
        )
        torch.manual_seed(3)
        model = Glue(config).float().eval()
        with torch.no_grad():
            for name, value in model.named_parameters():
                if "norm" not in name.lower() and value.dim() > 0:
                    torch.nn.init.normal_(
                        value, std=1.5 * value[0].numel() ** -0.5 if value.dim() > 1 else 0.1
                    )
        config.save_pretrained(folder)
        # The published weights contain BERT's output matrix, although it is tied to the input matrix.
        save_file(
            {name: value.contiguous().clone() for name, value in model.state_dict().items()},
            folder / "model.safetensors",
            {"format": "pt"},
        )
        (folder / "__init__.py").unlink(missing_ok=True)
        return folder

    def test_its_vectors_are_kept(self) -> None:
        for precision in ("fp32", "fp16,mixed"):
            self.out = self.folder / precision
            done = convert(self.glue, self.out, precision)
            self.assertConverted(done)
            for name, cosines in json.loads((self.out / "proof.json").read_text())["cosines"].items():
                self.assertGreater(min(cosines.values()), 0.99999 if precision == "fp32" else 0.999, name)


if __name__ == "__main__":
    unittest.main()
