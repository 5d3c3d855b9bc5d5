"""Serves the part of Milvus' RESTful API, version 2, that the recipe uses, on a port of its own, which it prints.

There is no package of the server itself. The engine is Milvus Lite, through Milvus' own Python client: it checks the schema,
the metric, the vectors and the search. The names of fields are those of Milvus' own structures for requests; what is in none
of them is refused, which Milvus itself ignores.
Argument: a folder for the database.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from pymilvus import DataType, MilvusClient, MilvusException

TYPES = {"VarChar": DataType.VARCHAR, "FloatVector": DataType.FLOAT_VECTOR, "Int64": DataType.INT64}
client = MilvusClient(str(Path(sys.argv[1]) / "milvus.db"))


class Refused(Exception):
    pass


def fields(value, required, optional=()):
    """The values of these names, None for what is left out."""
    unknown = set(value) - set(required) - set(optional)
    missing = set(required) - set(value)
    if unknown or missing:
        raise Refused(f"unknown: {sorted(unknown)}, missing: {sorted(missing)}")
    return [value.get(name) for name in (*required, *optional)]


def create(body):
    name, schema, indices = fields(body, ["collectionName", "schema", "indexParams"])
    made = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    for field in fields(schema, ["fields"])[0]:
        title, kind, primary, params = fields(
            field, ["fieldName", "dataType"], ["isPrimary", "elementTypeParams"]
        )
        sizes = {key: int(value) for key, value in (params or {}).items()}
        made.add_field(title, TYPES[kind], is_primary=primary or False, **sizes)
    index = client.prepare_index_params()
    for one in indices:
        field, title, metric, kind = fields(one, ["fieldName", "indexName", "metricType", "indexType"])
        index.add_index(field, kind, title, metric_type=metric)
    # Milvus accepts a collection that exists, if it is the same.
    if not client.has_collection(name):
        client.create_collection(name, schema=made, index_params=index)
    return {}


def upsert(body):
    name, rows = fields(body, ["collectionName", "data"])
    made = client.upsert(name, rows)
    return {"upsertCount": made["upsert_count"], "upsertIds": made.get("primary_keys", [])}


def search(body):
    name, data, limit, field, output, level = fields(
        body, ["collectionName", "data"], ["limit", "annsField", "outputFields", "consistencyLevel"]
    )
    found = client.search(
        name,
        data,
        anns_field=field,
        limit=limit or 100,
        output_fields=output,
        consistency_level=level or "Bounded",
    )
    return [{"distance": hit["distance"], **hit["entity"]} for hits in found for hit in hits]


ROUTES = {"collections/create": create, "entities/upsert": upsert, "entities/search": search}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        try:
            route = ROUTES.get(self.path.removeprefix("/v2/vectordb/"))
            if route is None or self.headers.get("content-type") != "application/json":
                raise Refused(f"{self.path}, {self.headers.get('content-type')}")
            content = {"code": 0, "data": route(json.loads(body))}
        except (Refused, MilvusException, KeyError, TypeError, ValueError) as failure:
            # With status 200, as Milvus does.
            content = {"code": 1100, "message": str(failure)}
        encoded = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
client.close()
