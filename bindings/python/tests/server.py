"""A server for bodies of any size: nothing of them stays in its memory. It asks for a client certificate."""

import contextlib
import hashlib
import json
import ssl
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from support import state

PIECE = bytes(range(256)) * 256
CLAIMS = (
    'Bearer error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnsiYWNycyI6eyJ2YWx1ZSI6ImMxIn19fQ=="'
)


def digest(length):
    """The SHA-256 of what /bytes/LENGTH gives."""
    whole = hashlib.sha256()
    for at in range(0, length, len(PIECE)):
        whole.update(PIECE[: length - at])
    return whole.hexdigest()


class Handler(BaseHTTPRequestHandler):
    """/bytes/N and /chunks/N give N bytes, /cut/N half of them, /lines a line and more once it may go on,
    /upload says what came, /stop/N takes so much and nothing more, /challenge is a 401, after the body was read or instead, and /status/N that.
    """

    protocol_version = "HTTP/1.1"
    wbufsize = 64 * 1024

    def log_message(self, *_):
        pass

    def handle_expect_100(self):
        if "/challenge/early" not in self.path or self.server.challenged:
            self.send_response_only(100)
            self.end_headers()
            self.wfile.flush()
        return True

    def do_GET(self):
        self.server.requests.append(
            {
                "path": self.path,
                "from": self.client_address,
                "headers": {k.lower(): v for k, v in self.headers.items()},
            }
        )
        _, kind, *rest = urllib.parse.urlsplit(self.path).path.split("/")
        getattr(self, kind)(*rest)
        self.wfile.flush()

    do_POST = do_PUT = do_GET

    def head(self, status=200, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def answer(self, value, status=200, **headers):
        body = json.dumps(value).encode()
        self.head(status, content_length=str(len(body)), content_type="application/json", **headers)
        self.wfile.write(body)

    def bytes(self, length, sent=None):
        self.head(content_length=length)
        with contextlib.suppress(OSError):
            for at in range(0, int(sent or length), len(PIECE)):
                self.wfile.write(PIECE[: int(sent or length) - at])
            self.wfile.flush()
            return
        self.server.given_up.set()
        self.close_connection = True

    def cut(self, length):
        self.bytes(length, int(length) // 2)
        self.close_connection = True

    def chunks(self, length):
        self.head(transfer_encoding="chunked")
        for at in range(0, int(length), 1000):
            self.chunk((PIECE * 2)[at % 256 : at % 256 + min(1000, int(length) - at)])
        self.chunk(b"")

    def lines(self):
        self.head(transfer_encoding="chunked")
        self.chunk(b"one\r\ntwo\n")
        self.wfile.flush()
        if self.server.go_on.wait(20):
            self.chunk(b"\nthr")
            self.chunk(b"ee")
            self.chunk(b"")

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def upload(self):
        length, whole = self.read_body()
        self.answer({"length": length, "sha256": whole, "headers": dict(self.headers.items())})

    def stop(self, length):
        for _ in zip(range(int(length) // len(PIECE)), self.parts()):
            pass
        self.server.go_on.wait(20)
        self.close_connection = True

    def challenge(self, when):
        refused = "acrs" not in self.headers["authorization"] and not self.server.challenged
        self.server.challenged = True
        if not refused:
            return self.upload()
        if when == "early":
            self.close_connection = True
        else:
            self.read_body()
        self.answer({}, 401, www_authenticate=CLAIMS)

    def status(self, status):
        self.answer({"status": status}, int(status))

    def read_body(self):
        whole, total = hashlib.sha256(), 0
        for part in self.parts():
            whole.update(part)
            total += len(part)
        return total, whole.hexdigest()

    def parts(self):
        if self.headers["transfer-encoding"] == "chunked":
            while size := int(self.rfile.readline(), 16):
                yield from self.piece(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            yield from self.piece(int(self.headers["content-length"] or 0))

    def piece(self, size):
        while size:
            part = self.rfile.read1(min(size, len(PIECE)))
            if not part:
                raise ConnectionError("the body broke off")
            size -= len(part)
            yield part


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=state("client-cas.pem"))
        context.load_cert_chain(state("localhost.pem"))
        context.verify_mode = ssl.CERT_OPTIONAL
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://localhost:{self.server_address[1]}"
        self.requests, self.challenged = [], False
        self.go_on, self.given_up = threading.Event(), threading.Event()

    def handle_error(self, request, client_address):
        """Clients that break off are part of the tests."""

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.go_on.set()
        self.shutdown()
        self.server_close()
