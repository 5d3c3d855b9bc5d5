"""Serves the part of Qdrant's REST API that the tests use, on a port of its own, which it prints.

There is no package of the server itself. The engine is the local mode of Qdrant's own Python client, and a request is read
with the client's models, which are generated from the server's OpenAPI description and refuse what is not in it.
Arguments: the API key that requests must have, or nothing; and "old" for a server that keeps no metadata.
"""

import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from pydantic import TypeAdapter, ValidationError
from qdrant_client import QdrantClient
from qdrant_client.http import models

MAX_BODY = 32 * 2**20
API_KEY, OLD = sys.argv[1], sys.argv[2] == "old"
client = QdrantClient(":memory:")
one_at_a_time = threading.Lock()


class Refused(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def read(model, body):
    return TypeAdapter(model).validate_json(body)


def existing(name):
    if not client.collection_exists(name):
        raise Refused(404, f"Not found: Collection `{name}` doesn't exist!")


def create(name, body):
    request = read(models.CreateCollection, body)
    if client.collection_exists(name):
        raise Refused(409, f"Wrong input: Collection `{name}` already exists!")
    metadata = None if OLD else request.metadata
    client.create_collection(name, vectors_config=request.vectors, metadata=metadata)
    return True


def update(name, operation):
    if isinstance(operation, models.UpsertOperation):
        client.upsert(name, operation.upsert.points)
    elif isinstance(operation, models.DeleteOperation):
        client.delete(name, points_selector=operation.delete)
    else:
        raise Refused(501, f"not of this server: {operation}")


def upsert(name, body):
    existing(name)
    client.upsert(name, read(models.PointsList, body).points)
    return {"operation_id": 0, "status": "completed"}


def batch(name, body):
    existing(name)
    for operation in read(models.UpdateOperations, body).operations:
        update(name, operation)
    return [{"operation_id": 0, "status": "completed"}]


def scroll(name, body):
    existing(name)
    request = read(models.ScrollRequest, body)
    points, offset = client.scroll(
        name,
        scroll_filter=request.filter,
        limit=request.limit or 10,
        offset=request.offset,
        with_payload=True if request.with_payload is None else request.with_payload,
        with_vectors=request.with_vector or False,
    )
    return {"points": [point.model_dump(mode="json") for point in points], "next_page_offset": offset}


def query(name, body):
    existing(name)
    request = read(models.QueryRequest, body)
    found = client.query_points(
        name,
        query=request.query,
        query_filter=request.filter,
        limit=request.limit or 10,
        with_payload=request.with_payload or False,
    )
    return found.model_dump(mode="json")


def info(name, _):
    existing(name)
    return client.get_collection(name).model_dump(mode="json")


def index(name, body):
    existing(name)
    request = read(models.CreateFieldIndex, body)
    client.create_payload_index(name, request.field_name, request.field_schema)
    return {"operation_id": 0, "status": "completed"}


def count(name, body):
    existing(name)
    request = read(models.CountRequest, body)
    return {"count": client.count(name, count_filter=request.filter, exact=request.exact is not False).count}


ROUTES = {
    ("GET", ""): info,
    ("PUT", ""): create,
    ("DELETE", ""): lambda name, _: client.delete_collection(name),
    ("GET", "/exists"): lambda name, _: {"exists": client.collection_exists(name)},
    ("PUT", "/index"): index,
    ("PUT", "/points"): upsert,
    ("POST", "/points/batch"): batch,
    ("POST", "/points/count"): count,
    ("POST", "/points/scroll"): scroll,
    ("POST", "/points/query"): query,
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        try:
            status, content = 200, {"result": self.result(), "status": "ok", "time": 0}
        except Refused as refused:
            status, content = refused.status, {"status": {"error": str(refused)}, "time": 0}
        except (ValidationError, ValueError) as refused:
            status, content = 400, {"status": {"error": f"Format error in JSON body: {refused}"}, "time": 0}
        encoded = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    def result(self):
        length = int(self.headers.get("content-length", 0))
        body = self.rfile.read(length)
        if length > MAX_BODY:
            raise Refused(413, "Payload too large")
        if API_KEY and self.headers.get("api-key") != API_KEY:
            raise Refused(401, "Must provide an API key or an Authorization bearer token")
        url = urlsplit(self.path)
        found = re.fullmatch(r"/collections/([^/]+)(/.*)?", url.path)
        route = ROUTES.get((self.command, (found.group(2) or "") if found else None))
        if route is None:
            raise Refused(404, f"no route {self.command} {url.path}")
        for name, value in parse_qsl(url.query):
            if name != "wait" or value not in ("true", "false"):
                raise Refused(400, f"Query deserialize error: {name}={value}")
        with one_at_a_time:
            return route(found.group(1), body)

    do_GET = do_PUT = do_POST = do_DELETE = answer

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        # Tests kill clients while they wait for an answer.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


server = Server(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
