"""An app in one file, whose faults are set by MODE: what a release may meet."""

import http.server
import itertools
import os
import signal
import sys
import threading
import time

VERSION = os.environ["VERSION"]
MODE = os.environ.get("FAULT") or os.environ.get("MODE", "good")  # of the configuration, or of the image itself
VISITS = itertools.count(1)
BUSY = set()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        BUSY.add(self)
        self.answer()
        BUSY.discard(self)

    def answer(self):
        status = 503 if MODE == "sick" and self.path == "/health" else 200
        if self.path != "/health":
            status = self.visited(next(VISITS))
        body = f"{VERSION} {os.environ.get('GREETING', '')}\n".encode()
        self.send_response(status)
        self.send_header("X-App-Version", VERSION)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def visited(self, number):
        """What a page is like in this mode; every version answers its smoke test once."""
        if MODE == "frail" and number > 20:
            os._exit(7)
        if MODE == "slow":
            time.sleep(0.6)
        return 500 if MODE == "errors" and number % 3 == 0 else 200

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


def stop(number, frame):
    threading.Thread(target=server.shutdown).start()


for line in range(8):
    print(f"line {line} of {VERSION}", flush=True)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
if MODE == "crash":
    sys.exit("the database password is missing")
if MODE == "hungry":
    hoard = [bytearray(b"x" * 2**20) for _ in range(4096)]
if MODE == "deaf":
    time.sleep(3600)
server = Server(("", int(os.environ["PORT"])), Handler)
signal.signal(signal.SIGTERM, stop)
server.serve_forever()
time.sleep(0.1)
while BUSY:  # requests that were taken are answered
    time.sleep(0.02)
