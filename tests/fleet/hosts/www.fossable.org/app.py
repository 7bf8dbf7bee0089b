"""A website of one page. Tells systemd when it listens; SICK_AFTER seconds later it turns sick, if that is set."""
import os
import socket
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION = os.environ["VERSION"]
STATUS = int(os.environ["STATUS"])
SICK_AFTER = float(os.environ.get("SICK_AFTER", "inf"))
STARTED = time.monotonic()


class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        sick = time.monotonic() - STARTED > SICK_AFTER
        status = 404 if self.path != "/healthz" else 503 if sick else STATUS
        body = f"{'ok' if status == 200 else 'not ok'} {VERSION}\n".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def tell_systemd(state):
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.connect(address.replace("@", "\0", 1))
            notify.send(state)


server = ThreadingHTTPServer(("127.0.0.1", 8080), Page)
tell_systemd(b"READY=1")
server.serve_forever()
