"""Do bodies of any kind and size go to an API and come from it, without all of them in memory?"""

import gc
import gzip
import hashlib
import io
import mmap
import os
import shutil
import tempfile
import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import mtlspop
from mtlspop import Cancel
from server import PIECE, Server, digest
from support import SCOPES, Case, client, python

BIG = 3 * 1024 * 1024 + 5


class Streaming(Case):
    def setUp(self):
        super().setUp()
        self.server = self.enterContext(Server())
        self.app = client()
        self.result = self.app.acquire_token_for_client(SCOPES, mtls_proof_of_possession=True)

    def send(self, method, path, **call):
        return self.app.send(self.result, method, self.server.url + path, **call)

    def stream(self, path, **call):
        response = self.send("GET", path, stream=True, **call)
        self.addCleanup(response.close)
        return response

    def whole(self, length):
        return (PIECE * (length // len(PIECE) + 1))[:length]


def buffered(response):
    return io.BufferedReader(response.raw)


class Sent(Streaming):
    def upload(self, body, **call):
        said = self.send("PUT", "/upload", body=body, **call).raise_for_status().json()
        names = {name.lower(): value for name, value in said["headers"].items()}
        framed = int(names["content-length"]) if "content-length" in names else names["transfer-encoding"]
        return said["sha256"], framed

    def check(self, body, data, framed, **call):
        self.assertEqual(self.upload(body, **call), (hashlib.sha256(data).hexdigest(), framed))

    def test_bytes(self):
        """Do bytes of any kind come whole, also those too long to copy, and parts of them that have gaps?"""
        data = self.whole(BIG)
        for body in (data, bytearray(data), memoryview(data), [data[:7], b"", bytearray(data[7:])], (data,)):
            self.check(body, data, BIG)
        self.check(memoryview(data)[::2], data[::2], len(data[::2]))
        self.check("ä" * BIG, ("ä" * BIG).encode(), 2 * BIG)
        for body in (b"", [], io.BytesIO()):
            self.check(body, b"", 0)
        with self.file(data) as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            self.check(mapped, data, BIG)

    def test_iterables(self):
        """Is what gives bytes sent in chunks, with its length where that is said, and read no further than it is?"""
        data, read = self.whole(BIG), []

        def parts(size):
            for at in range(0, len(data), size):
                read.append(at)
                yield data[at : at + size]
                yield b""

        for size in (1000, BIG):
            self.check(parts(size), data, "chunked")
        self.check(parts(100000), data, BIG, content_length=BIG)
        self.check(map(bytes, [[1], [2, 3]]), b"\1\2\3", "chunked")
        self.check(iter([bytearray(b"a"), memoryview(b"b")]), b"ab", "chunked")
        self.check((b"a" for _ in range(0)), b"", "chunked")
        for length in (BIG - 1, BIG + 1):
            with self.assertRaisesRegex(mtlspop.InvalidArgumentError, "longer than|ended after"):
                self.upload(parts(1000), content_length=length)

    def file(self, data):
        file = tempfile.TemporaryFile()
        file.write(data)
        file.seek(0)
        return file

    def test_files(self):
        """Is a file sent from where it stands, whatever it has read ahead or not written yet, and stands there again?"""
        data = self.whole(BIG)
        path = os.path.join(self.directory(), "file")
        with open(path, "wb") as file:
            file.write(data)
        for make in (
            lambda: open(path, "rb"),
            lambda: open(path, "rb", buffering=0),
            lambda: open(path, "r+b"),
            lambda: io.BytesIO(data),
        ):
            with make() as file:
                file.read(3)
                for _ in range(2):
                    self.check(file, data[3:], BIG - 3)
                    self.assertEqual((file.tell(), file.read(2)), (3, data[3:5]))
                    file.seek(3)
                self.check(file, data[3:1003], 1000, content_length=1000)
                file.seek(0, io.SEEK_END)
                self.check(file, b"", 0)
        with self.file(b"old") as file:
            file.write(b"new and longer")
            file.seek(0)
            file.write(b"NEW")
            self.check(file, b" and longer", 11)
        with tempfile.NamedTemporaryFile() as file, tempfile.SpooledTemporaryFile() as spooled:
            for each in (file, spooled):
                each.write(data)
                each.seek(1)
                self.check(each, data[1:], BIG - 1)
        with open("/proc/self/status", "rb") as file:
            self.upload(file)

    def test_readers(self):
        """Is what reads like a file read, and not the file behind it?"""
        data = self.whole(BIG)
        path = os.path.join(self.directory(), "file")
        with gzip.open(path, "wb", compresslevel=1) as file:
            file.write(data)
        with gzip.open(path) as file:
            self.check(file, data, BIG)

        class Reader:
            def __init__(self):
                self.file = io.BytesIO(data)

            def read(self, size):
                return self.file.read(min(size, 1000))

        self.check(Reader(), data, "chunked")
        self.check(Reader(), data, BIG, content_length=BIG)
        self.check(Reader(), data[:10], 10, content_length=10)
        with self.assertRaisesRegex(mtlspop.InvalidArgumentError, "ended after"):
            self.upload(Reader(), content_length=BIG + 1)
        for buffering in (-1, 0):
            reader, writer = os.pipe()
            thread = threading.Thread(target=lambda: (os.write(writer, b"piped"), os.close(writer)))
            with open(reader, "rb", buffering=buffering) as file:
                thread.start()
                self.check(file, b"piped", "chunked")
            thread.join()

    def test_response(self):
        """Can what one API gives go on to another as it comes?"""
        for take in (lambda response: response, lambda response: response.raw, lambda r: r.iter_content()):
            with self.stream(f"/bytes/{BIG}") as response:
                self.assertEqual(self.upload(take(response))[0], digest(BIG))

    def test_errors_come_out(self):
        """Does what a body raises come out as it was, with its own cause, and does the connection not go on?"""

        class Broken(Exception):
            pass

        for error in (Broken("text"), OSError(5, "text"), KeyboardInterrupt(), mtlspop.NetworkError("other")):
            cause = LookupError()

            def parts():
                yield self.whole(BIG)
                raise error from cause

            with self.assertRaises(type(error)) as caught:
                self.upload(parts())
            self.assertIs(caught.exception, error)
            self.assertIs(error.__cause__, cause)
        self.assertEqual(self.upload(b"x")[1], 1)

    def test_errors_leave_nothing(self):
        """Is a body that has raised let go with its exception, also one that is not for `except Exception`?"""
        gone = []

        class Body:
            def __init__(self, error):
                self.error = error

            def __iter__(self):
                yield b"x"
                raise self.error

            def __del__(self):
                gone.append(True)

        for error in (OSError, KeyboardInterrupt):
            # assertRaises() would clear the frames that the traceback knows.
            try:
                self.upload(Body(error))
                self.fail("it raised nothing")
            except error:
                pass
        gc.collect()
        self.assertEqual(len(gone), 2)

    def test_wrong_bodies(self):
        """Is what gives no bytes a TypeError that says so?"""

        async def later():
            yield b""

        class Nothing:
            def __init__(self, value):
                self.read = lambda size: value

        for body, said in (
            ({"a": 1}, "body must be bytes, a str, a binary file or an iterable of bytes, not dict"),
            (5, "not int"),
            (later(), "not async_generator"),
            (io.StringIO("x"), 'body must be a file that is open for bytes, as with "rb", not StringIO'),
            (["a"], "each part of body must be bytes, not str"),
            ((part for part in ["a"]), "each part of body must be bytes, not str"),
            ((part for part in [5]), "each part of body must be bytes, not int"),
            (Nothing("text"), r"what read\(\) of body returns must be bytes, not str"),
        ):
            with self.assertRaisesRegex(TypeError, said):
                self.upload(body)
        with self.assertRaises(BlockingIOError):
            self.upload(Nothing(None))
        with open(os.devnull, "rb") as closed:
            pass
        with self.assertRaisesRegex(ValueError, "closed file"):
            self.upload(closed)
        for length, error in ((-1, ValueError), ("5", TypeError)):
            self.assertRaises(error, self.upload, iter([b""]), content_length=length)
        self.assertRaisesRegex(ValueError, "there is none", self.send, "GET", "/upload", content_length=1)

    def test_generator_once(self):
        """Is a generator not sent twice, for the second time it would have less to give?"""
        sent, ended = (part for part in [b"a"]), (part for part in [])
        self.upload(sent)
        list(ended)
        for body in (sent, ended):
            self.assertRaisesRegex(ValueError, "make a new one", self.upload, body)

    def challenged(self, when, body):
        self.server.challenged = False
        return self.send("PUT", f"/challenge/{when}", body=body, answer_claims_challenge=True)

    def test_challenge(self):
        """Is a body sent again with another token where it can be, and else only where nothing of it was sent?"""
        data = self.whole(BIG)
        with self.file(b"..." + data) as file:
            file.seek(3)
            for body in (data, [data], io.BytesIO(data), file):
                for when in ("early", "late"):
                    response = self.challenged(when, body)
                    self.assertEqual(response.json()["sha256"], digest(BIG), (when, body))
        response = self.challenged("early", (part for part in [data]))
        self.assertEqual(response.json()["sha256"], digest(BIG))
        response = self.challenged("late", (part for part in [data]))
        self.assertEqual((response.status_code, "acrs" in response.claims), (401, True))


class Received(Streaming):
    def test_ways_to_read(self):
        """Is the body the same, whichever way it is read?"""
        for path in (f"/bytes/{BIG}", f"/chunks/{BIG}"):
            whole = self.send("GET", path).content
            self.assertEqual(len(whole), BIG)
            for read in (
                lambda response: response.content,
                lambda response: response.read(),
                lambda response: b"".join(iter(lambda: response.read(777), b"")),
                lambda response: b"".join(response.iter_content()),
                lambda response: b"".join(response.iter_content(1000)),
                lambda response: b"".join(line + b"\n" for line in response.iter_lines())[:-1],
                lambda response: response.raw.readall(),
                lambda response: buffered(response).read(),
                lambda response: io.TextIOWrapper(buffered(response), "latin1", newline="")
                .read()
                .encode("latin1"),
            ):
                with self.stream(path) as response:
                    got = read(response)
                    self.assertTrue(got == whole, len(got))
                    if not response.raw.closed:
                        self.assertEqual(response.read(), b"")
            with self.stream(path) as response:
                copy = io.BytesIO()
                shutil.copyfileobj(response.raw, copy)
                self.assertTrue(copy.getvalue() == whole)

    def test_parts(self):
        """Are parts as long as they were asked for, and is nothing asked for an error?"""
        response = self.stream("/bytes/2500")
        self.assertEqual([len(part) for part in response.iter_content(1000)], [1000, 1000, 500])
        response = self.stream("/bytes/2500")
        self.assertEqual((response.read(0), len(response.read(10))), (b"", 10))
        self.assertEqual(sum(map(len, response.iter_content())), 2490)
        self.assertEqual(list(response.iter_content()), [])
        self.assertRaises(ValueError, response.iter_content, 0)
        self.assertRaises(TypeError, response.iter_content, "1")
        self.assertRaises(TypeError, response.read, None)

    def test_head(self):
        """Is all but the body there before it, and does the status of an error have its text?"""
        response = self.stream(f"/bytes/{BIG}")
        self.assertEqual((response.status_code, response.ok, response.tls_version), (200, True, "TLSv1.3"))
        self.assertEqual(response.headers["content-length"], str(BIG))
        self.assertIs(response.raise_for_status(), response)
        self.assertTrue(response.certificate_requested and response.claims is None)
        response = self.stream("/status/404")
        with self.assertRaises(mtlspop.HttpStatusError) as caught:
            response.raise_for_status()
        self.assertEqual(caught.exception.response.json(), {"status": "404"})
        self.assertEqual(response.text, '{"status": "404"}')

    def test_as_it_comes(self):
        """Is a line there before the server sends the next?"""
        lines = self.stream("/lines").iter_lines()
        self.assertEqual([next(lines), next(lines)], [b"one", b"two"])
        self.server.go_on.set()
        self.assertEqual(list(lines), [b"", b"three"])

    def test_lines_given_up(self):
        """Can the rest be read where not all lines were wanted, and is it no error that it was closed?"""
        response = self.stream("/chunks/2000000")
        next(response.iter_lines())
        self.assertGreater(len(response.read()), 1000000)
        lines = self.stream("/chunks/2000000")
        for _ in lines.iter_lines():
            lines.close()
            break

    def test_connections(self):
        """Is a connection kept where the body was read to its end, and closed where it was given up?"""
        for path in ("/bytes/100000", "/chunks/100000"):
            with self.stream(path) as response:
                response.read()
        with self.stream(f"/bytes/{1 << 30}") as response:
            response.read(5)
        self.assertTrue(self.server.given_up.wait(20))
        self.send("GET", "/bytes/1")
        ports = [request["from"][1] for request in self.server.requests]
        self.assertEqual((len(set(ports[:3])), ports[3] == ports[0]), (1, False))
        for read in (response.read, response.raw.readall, lambda: next(response.iter_content(5))):
            with self.assertRaisesRegex(ValueError, "the response is closed"):
                read()
        self.assertTrue(response.raw.closed)

    def test_broken_off(self):
        """Is a body that breaks off an error, again and again, and never taken for the whole?"""
        response = self.stream(f"/cut/{BIG}")
        for _ in range(2):
            with self.assertRaises(mtlspop.NetworkError):
                response.read()
        with self.assertRaises(mtlspop.NetworkError):
            self.stream(f"/cut/{BIG}").content

    def test_content(self):
        """Is content as long as max_response_bytes at most, and never a part of the body?"""
        response = self.stream("/bytes/1000", max_response_bytes=999)
        with self.assertRaises(mtlspop.InvalidResponseError) as caught:
            response.content
        self.assertEqual((caught.exception.code, caught.exception.status), ("response_too_large", 304))
        self.assertEqual(len(self.stream("/bytes/1000", max_response_bytes=999).read()), 1000)
        response = self.stream("/bytes/1000", max_response_bytes=1000)
        self.assertIs(response.content, response.body)
        self.assertEqual(len(response.text), 1000)
        response = self.stream("/bytes/1000")
        response.read(1)
        self.assertRaises(RuntimeError, lambda: response.content)

    def test_timeouts(self):
        """Does each read have its limit, and the call one of its own?"""
        for timeout in (0.3, (30, 0.3), (None, 0.3)):
            response = self.stream("/lines", timeout=timeout)
            lines = response.iter_lines()
            self.assertEqual([next(lines), next(lines)], [b"one", b"two"])
            with self.assertRaises(mtlspop.TimeoutError):
                next(lines)
        for timeout in ((1,), (1, 2, 3)):
            self.assertRaises(ValueError, self.stream, "/bytes/1", timeout=timeout)
        self.assertRaises(TypeError, self.stream, "/bytes/1", timeout=(1, "2"))

    def test_cancel(self):
        """Does a flag of another thread end a read that waits, while the interpreter is free for that?"""
        cancel = Cancel()
        response = self.stream("/lines", cancel=cancel)
        response.read(9)
        timer = threading.Timer(0.1, cancel.cancel)
        timer.start()
        with self.assertRaises(mtlspop.CancelledError):
            response.read(1)
        timer.join()

    def test_two_threads(self):
        """Is it said where two threads read at once, and does the first go on?"""
        response = self.stream("/lines")
        response.read(9)
        with ThreadPoolExecutor(2) as pool:
            both = {pool.submit(response.read, 1) for _ in range(2)}
            (refused,), (reading,) = wait(both, return_when=FIRST_COMPLETED)
            self.assertIsInstance(refused.exception(), mtlspop.InvalidArgumentError)
            self.assertIn("another thread", str(refused.exception()))
            self.server.go_on.set()
            self.assertEqual(reading.result(20), b"\n")

    def test_fork(self):
        """Is it said in a child that the response is its parent's, and is that read on?"""
        response = self.stream("/bytes/1000000")
        first = response.read(10)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                response.read(10)
            except mtlspop.InvalidArgumentError as error:
                response.close()
                code = 0 if "process that was forked" in str(error) else 2
            finally:
                os._exit(code)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
        whole = hashlib.sha256(first + response.read()).hexdigest()
        self.assertEqual(whole, digest(1000000))

    def test_outlives_app(self):
        """Does a response go on when its app is closed and gone?"""
        app = client()
        response = app.send(self.result, "GET", self.server.url + "/bytes/1000000", stream=True)
        app.close()
        del app
        self.assertEqual(len(response.read()), 1000000)


# Sends and receives so many bytes in each way that is named, and prints how many MiB the process has grown at most.
LARGE = """
import hashlib, io, os, sys
from support import *
import mtlspop
from server import PIECE

length, url = 256 << 20, os.environ["URL"]
app = client()
result = app.acquire_token_for_client(SCOPES, mtls_proof_of_possession=True)

def parts(length):
    return (PIECE for _ in range(0, length, len(PIECE)))

def path_of(length):
    with open(os.environ["FILE"], "r+b") as file:
        file.truncate(length)
    return file.name

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) >> 10 for line in status if line.startswith("VmHWM"))

class Reader:
    def __init__(self, file):
        self.read = file.read

def upload(length, body, **call):
    assert app.send(result, "PUT", url + "/upload", body=body, timeout=60, **call).json()["length"] == length

def from_generator(length):
    upload(length, parts(length))
    upload(length, parts(length), content_length=length)

def from_file(length):
    with open(path_of(length), "rb") as file:
        upload(length, file)
        upload(length, Reader(file))

def download(length):
    digest = hashlib.sha256()
    with app.send(result, "GET", f"{url}/bytes/{length}", stream=True) as response:
        for part in response.iter_content():
            digest.update(part)
    with app.send(result, "GET", f"{url}/chunks/{length // 16}", stream=True) as response:
        assert sum(map(len, response.iter_content(5000))) == length // 16
    return digest

def through(length):
    with app.send(result, "GET", f"{url}/bytes/{length}", stream=True) as response:
        upload(length, response, content_length=length)

for name in ("from_generator", "from_file", "download", "through"):
    way = globals()[name]
    way(1 << 20)
    before = peak()
    way(length)
    print(name, peak() - before)
"""


class Memory(Streaming):
    def test_large(self):
        """Do 256 MiB go each way with a peak that is no higher than with one?"""
        with tempfile.NamedTemporaryFile() as file:
            output = python(LARGE, URL=self.server.url, FILE=file.name)
        self.assertEqual(output.stderr, "")
        grown = [line.split() for line in output.stdout.splitlines()]
        self.assertEqual(len(grown), 4, output.stdout)
        for way, mebibytes in grown:
            self.assertLess(int(mebibytes), 8, way)


if __name__ == "__main__":
    import unittest

    unittest.main()
