"""The requests of `cosmos-embed serve` for videos, answered by FastAPI as one writes it by hand.

    python path_server.py '{"model", "reader", "processes", "port"}'

The event loop reads requests, and a process per core embeds: threads would wait for the interpreter's lock.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import signal
import sys
import urllib.request
from concurrent.futures import ProcessPoolExecutor

import clips
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Request(BaseModel):
    input: str | list[str]
    model: str
    request_type: str
    encoding_format: str = "float"


def embed(text: str, model: str, reader: str) -> bytes:
    header, data = text.split(",", 1)
    if header.endswith("presigned_url"):
        with urllib.request.urlopen(data) as answer:
            video = answer.read()
    else:
        video = base64.b64decode(data)
    _, vector = clips.embed(io.BytesIO(video), model, reader)
    return vector.astype("<f4").tobytes()


def application(job: dict, pool: ProcessPoolExecutor) -> FastAPI:
    app = FastAPI()

    @app.get("/v1/health/ready")
    def ready() -> dict:
        return {"status": "ready"}

    @app.post("/v1/embeddings")
    async def embeddings(request: Request) -> dict:
        loop = asyncio.get_running_loop()
        inputs = [request.input] if isinstance(request.input, str) else request.input
        vectors = await asyncio.gather(
            *(loop.run_in_executor(pool, embed, text, job["model"], job["reader"]) for text in inputs)
        )
        data = [
            {"object": "embedding", "index": index, "embedding": base64.b64encode(vector).decode()}
            for index, vector in enumerate(vectors)
        ]
        return {"object": "list", "model": request.model, "data": data}

    return app


def main() -> None:
    job = json.loads(sys.argv[1])
    clips.load(job["reader"])
    # uvicorn raises the signal again when it has stopped; unhandled, it would leave the pool's processes behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with ProcessPoolExecutor(job["processes"]) as pool:
        uvicorn.run(application(job, pool), host="127.0.0.1", port=job["port"], log_level="warning")


if __name__ == "__main__":
    main()
