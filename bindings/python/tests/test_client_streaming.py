"""Do bodies of any size go through sessions of requests and clients of httpx, whoever makes the call?"""

import hashlib
import io
import tempfile
import threading
import unittest

from server import PIECE, Server
from support import SCOPES, Case, client, elsewhere, python

try:
    import httpx
    import requests

    import mtlspop.httpx
    import mtlspop.requests
except ImportError as missing:
    if "mtlspop" in str(missing):
        raise
    raise unittest.SkipTest(f"{missing.name} is not installed: `make test-python` has it") from missing

BIG = 3 * 1024 * 1024 + 5


class Broken(Exception):
    pass


class Both:
    """Each test twice: the client has a context with the key, and the library makes the call, which has it elsewhere."""

    def setUp(self):
        super().setUp()
        self.without_bundles()
        self.server = self.enterContext(Server())
        self.data = (PIECE * (BIG // len(PIECE) + 1))[:BIG]

    def sessions(self):
        for library, app in ((False, client()), (True, client(elsewhere(), send_x5c=True))):
            with self.subTest(library=library), self.make(app) as session:
                yield session, library

    def said(self, response):
        self.assertEqual(response.status_code, 200)
        said = response.json()
        names = {name.lower(): value for name, value in said["headers"].items()}
        return said["sha256"], names.get("transfer-encoding") or int(names["content-length"])

    def parts(self):
        for at in range(0, BIG, 100000):
            yield self.data[at : at + 100000]

    def fails(self):
        yield self.data
        raise Broken

    def url(self, path):
        return self.server.url + path

    def test_uploads(self):
        """Does what gives bytes arrive whole, in chunks, or with the length that is known?"""
        whole = hashlib.sha256(self.data).hexdigest()
        for session, library in self.sessions():
            self.assertEqual(self.said(self.put(session, self.parts())), (whole, "chunked"))
            if library or isinstance(session, httpx.Client):
                # requests itself sends such a body in chunks, and this header, too.
                length = {"Content-Length": str(BIG)}
                self.assertEqual(self.said(self.put(session, self.parts(), headers=length)), (whole, BIG))
            with tempfile.TemporaryFile() as file:
                file.write(self.data)
                file.seek(0)
                self.assertEqual(self.said(self.put(session, file)), (whole, BIG))
            self.assertEqual(self.said(self.put(session, self.data)), (whole, BIG))
            self.assertEqual(self.said(self.put(session, b""))[1], 0)

    def test_errors_of_bodies(self):
        """Does what a body raises come out as it was, and is a body of another length an error?"""
        for session, library in self.sessions():
            self.assertRaises(Broken, self.put, session, self.fails())
            if library:
                wrong = {"Content-Length": str(BIG - 1)}
                self.assertRaises(
                    mtlspop.InvalidArgumentError, self.put, session, self.parts(), headers=wrong
                )

    def test_timeouts_of_uploads(self):
        """Has each part of a body the time that the client gives, and no server that stands still more?"""

        def slow():
            for _ in range(4):
                threading.Event().wait(0.4)
                yield self.data[:1000]

        with self.make(client(elsewhere(), send_x5c=True)) as session:
            # httpx has four limits, and requests two.
            limit = 0.25 if isinstance(session, httpx.Client) else 0.5
            self.assertEqual(self.put(session, slow(), timeout=limit).status_code, 200)
            for path in ("/stop/0", "/stop/100000"):
                with self.assertRaises((httpx.TimeoutException, requests.exceptions.Timeout)) as caught:
                    self.put(session, (self.data for _ in range(1000)), path=path, timeout=limit)
                self.assertIn("took no part of the body", str(caught.exception))

    def test_rejected(self):
        """Is a 401 the answer also where a generator was sent, and the next one sent with another token?"""
        for session, _ in self.sessions():
            self.server.challenged, seen = False, len(self.server.requests)
            answers = [self.put(session, self.parts(), path="/challenge/late") for _ in range(2)]
            self.assertEqual([answer.status_code for answer in answers], [401, 200])
            sent = [request["headers"]["authorization"] for request in self.server.requests[seen:]]
            self.assertEqual(len(set(sent)), 2)


class Requests(Both, Case):
    def make(self, app):
        return mtlspop.requests.Session(app, SCOPES)

    def put(self, session, body, path="/upload", **more):
        return session.put(self.url(path), data=body, **{"timeout": 30, **more})

    def test_downloads(self):
        """Is a response read as it comes, by each way that requests has?"""
        for session, library in self.sessions():
            for path in (f"/bytes/{BIG}", f"/chunks/{BIG}"):
                whole = session.get(self.url(path)).content
                self.assertEqual(len(whole), BIG)
                for read in (
                    lambda response: b"".join(response.iter_content(1000)),
                    lambda response: b"".join(response.iter_content(None)),
                    lambda response: response.raw.read(),
                    lambda response: b"".join(response.raw.stream(5000)),
                    lambda response: response.content,
                ):
                    with session.get(self.url(path), stream=True) as response:
                        self.assertTrue(read(response) == whole, path)
            if library:
                with session.get(self.url("/lines"), stream=True, timeout=(5, 20)) as response:
                    each = response.iter_content(1)
                    self.assertEqual(b"".join(next(each) for _ in range(9)), b"one\r\ntwo\n")
                    self.server.go_on.set()
                    self.assertEqual(b"".join(each), b"\nthree")
            with session.get(self.url(f"/bytes/{1 << 30}"), stream=True) as response:
                self.assertEqual(next(response.iter_content(5)), PIECE[:5])
            self.assertTrue(self.server.given_up.wait(20))
            self.server.given_up.clear()

    def test_errors_of_answers(self):
        """Is a body that breaks off, or does not come, the exception that requests has for it?"""
        for session, _ in self.sessions():
            with session.get(self.url(f"/cut/{BIG}"), stream=True) as response:
                with self.assertRaises(requests.exceptions.ChunkedEncodingError):
                    list(response.iter_content(1000))
            with session.get(self.url("/lines"), stream=True, timeout=(10, 0.3)) as response:
                with self.assertRaises(requests.exceptions.ConnectionError) as caught:
                    list(response.iter_content(1000))
                self.assertIn("timed out", str(caught.exception).lower())


class Httpx(Both, Case):
    def make(self, app):
        return mtlspop.httpx.Client(app, SCOPES)

    def put(self, session, body, path="/upload", **more):
        return session.put(self.url(path), content=body, **{"timeout": 30, **more})

    def test_downloads(self):
        """Is a response read as it comes, by each way that httpx has?"""
        for session, _ in self.sessions():
            for path in (f"/bytes/{BIG}", f"/chunks/{BIG}"):
                whole = session.get(self.url(path)).content
                self.assertEqual(len(whole), BIG)
                for read in (
                    lambda response: b"".join(response.iter_raw()),
                    lambda response: b"".join(response.iter_raw(1000)),
                    lambda response: b"".join(response.iter_bytes()),
                    lambda response: response.read(),
                ):
                    with session.stream("GET", self.url(path)) as response:
                        self.assertTrue(read(response) == whole, path)
            self.server.go_on.clear()
            with session.stream("GET", self.url("/lines"), timeout=20) as response:
                lines = response.iter_lines()
                self.assertEqual([next(lines), next(lines)], ["one", "two"])
                self.server.go_on.set()
                self.assertEqual(list(lines), ["", "three"])
            with session.stream("GET", self.url(f"/bytes/{1 << 30}")) as response:
                self.assertGreater(len(next(response.iter_raw())), 0)
            self.assertTrue(self.server.given_up.wait(20))
            self.server.given_up.clear()

    def test_multipart(self):
        """Does a form with a file arrive, which httpx makes while it is sent?"""
        for session, _ in self.sessions():
            form = session.post(self.url("/upload"), files={"file": io.BytesIO(self.data)}, timeout=30)
            self.assertGreater(self.said(form)[1], BIG)

    def test_errors_of_answers(self):
        """Is a body that breaks off, or does not come, the exception that httpx has for it?"""
        for session, _ in self.sessions():
            with session.stream("GET", self.url(f"/cut/{BIG}")) as response:
                self.assertRaises((httpx.ReadError, httpx.RemoteProtocolError), response.read)
            with session.stream("GET", self.url("/lines"), timeout=httpx.Timeout(10, read=0.3)) as response:
                self.assertRaises(httpx.ReadTimeout, response.read)


# Sends and receives so many bytes with either client, and prints how many MiB the process has grown at most.
LARGE = """
import os
from support import *
from server import PIECE
import mtlspop.httpx, mtlspop.requests

length, url = 256 << 20, os.environ["URL"]
for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
    os.environ.pop(name, None)
app = client(elsewhere(), send_x5c=True) if os.environ["LIBRARY"] else client()

def parts(length):
    return (PIECE for _ in range(0, length, len(PIECE)))

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) >> 10 for line in status if line.startswith("VmHWM"))

def with_requests(length):
    with mtlspop.requests.Session(app, SCOPES) as session:
        assert session.put(url + "/upload", data=parts(length), timeout=60).json()["length"] == length
        with session.get(f"{url}/bytes/{length}", stream=True) as response:
            assert sum(map(len, response.iter_content(65536))) == length

def with_httpx(length):
    with mtlspop.httpx.Client(app, SCOPES, timeout=60) as session:
        assert session.put(url + "/upload", content=parts(length)).json()["length"] == length
        with session.stream("GET", f"{url}/bytes/{length}") as response:
            assert sum(map(len, response.iter_raw())) == length

for way in (with_requests, with_httpx):
    way(1 << 20)
    before = peak()
    way(length)
    print(way.__name__, peak() - before)
"""


class Memory(Case):
    def test_large(self):
        """Do 256 MiB go each way with a peak that is no higher than with one, whoever makes the call?"""
        with Server() as server:
            for library in ("", "yes"):
                output = python(LARGE, URL=server.url, LIBRARY=library)
                self.assertEqual(output.stderr, "")
                grown = [line.split() for line in output.stdout.splitlines()]
                self.assertEqual([way for way, _ in grown], ["with_requests", "with_httpx"])
                for way, mebibytes in grown:
                    self.assertLess(int(mebibytes), 8, way)


if __name__ == "__main__":
    unittest.main()
