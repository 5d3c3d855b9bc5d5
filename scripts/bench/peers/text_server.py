"""A server for text embeddings as one writes it with FastAPI, tokenizers and ONNX Runtime, with batches that form by themselves.

python3 text_server.py MODEL_FOLDER          (the port is printed once it listens)

A request waits for the batch that runs; then all that wait, at most 32 texts, make the next one. Tokenising, the model, the mean and the unit
length run in a thread, so that the event loop stays free.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from tokenizers import Tokenizer

LARGEST_BATCH = 32


class Request(BaseModel):
    input: str | list[str]
    model: str = ""
    encoding_format: str = "float"


class Model:
    def __init__(self, folder: Path) -> None:
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(128)
        self.tokenizer.enable_padding()
        self.name = json.loads((folder / "config.json").read_text()).get("_name_or_path", "model")
        providers = ["CPUExecutionProvider"]
        self.session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=providers)

    def embed(self, texts: list[str]) -> np.ndarray:
        encoded = self.tokenizer.encode_batch(texts)
        mask = np.array([each.attention_mask for each in encoded], np.int64)
        inputs = {"input_ids": np.array([each.ids for each in encoded], np.int64), "attention_mask": mask}
        (states,) = self.session.run(None, inputs)
        weights = mask[:, :, None].astype(np.float32)
        mean = (states * weights).sum(1) / weights.sum(1)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)


class Batches:
    def __init__(self, model: Model) -> None:
        self.model, self.queue, self.thread = model, asyncio.Queue(), ThreadPoolExecutor(1)

    async def embed(self, text: str) -> np.ndarray:
        answer = asyncio.get_running_loop().create_future()
        await self.queue.put((text, answer))
        return await answer

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            waiting = [await self.queue.get()]
            while len(waiting) < LARGEST_BATCH and not self.queue.empty():
                waiting.append(self.queue.get_nowait())
            try:
                vectors = await loop.run_in_executor(
                    self.thread, self.model.embed, [text for text, _ in waiting]
                )
                for (_, answer), vector in zip(waiting, vectors):
                    if not answer.done():
                        answer.set_result(vector)
            except Exception as error:
                for _, answer in waiting:
                    if not answer.done():
                        answer.set_exception(error)


def make_app(folder: Path) -> FastAPI:
    model = Model(folder)
    batches: Batches

    @asynccontextmanager
    async def lifespan(_: FastAPI):
        nonlocal batches
        batches = Batches(model)
        task = asyncio.create_task(batches.run())
        yield
        task.cancel()

    app = FastAPI(lifespan=lifespan)

    @app.post("/v1/embeddings")
    async def embeddings(request: Request) -> dict:
        texts = [request.input] if isinstance(request.input, str) else request.input
        vectors = await asyncio.gather(*map(batches.embed, texts))
        if request.encoding_format == "base64":
            data = [base64.b64encode(vector.astype("<f4").tobytes()).decode() for vector in vectors]
        else:
            data = [vector.tolist() for vector in vectors]
        rows = [{"object": "embedding", "index": i, "embedding": each} for i, each in enumerate(data)]
        return {"object": "list", "model": model.name, "data": rows}

    return app


def main() -> None:
    # Named TCP, so that asyncio switches Nagle's algorithm off; else it would wait 40 ms for the ACK of the headers.
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    app = make_app(Path(sys.argv[1]))
    listener.listen(256)
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", file=sys.stderr, flush=True)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    asyncio.run(server.serve(sockets=[listener]))


if __name__ == "__main__":
    main()
