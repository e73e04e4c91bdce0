"""Responses whose body is read as it comes."""

from __future__ import annotations

import io
from ctypes import byref, c_char, c_size_t

from . import _prototypes as c
from ._errors import InvalidResponseError, call
from ._library import lib, number, size
from ._response import Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, Optional

# What is read at once, where that is not said.
CHUNK = 64 * 1024
# As long as the library lets a body be that it gives whole.
LONGEST = 64 * 1024 * 1024


class Raw(io.RawIOBase):
    """The body of a response as a file. It gives what is there; io.BufferedReader makes it whole pieces."""

    def __init__(self, stream: c.HttpStream) -> None:
        self._stream: Optional[c.HttpStream] = stream
        #: Whether something of it was read.
        self.begun = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        # A read that is under way keeps the stream, whoever closes this.
        stream = self._stream
        if stream is None:
            raise ValueError("the response is closed: nothing more of its body can be read")
        room = memoryview(buffer).nbytes
        if room == 0:
            return 0
        self.begun = True
        place = byref(c_char.from_buffer(buffer))
        return call(lib.mtlspop_http_stream_read, stream, place, room, out=c_size_t()).value

    def readall(self) -> bytes:
        return b"".join(iter(lambda: self.read(CHUNK), b""))

    def close(self) -> None:
        self._stream = None
        super().close()


class StreamingResponse(Response):
    """What an API answered, its body still to be read: for one thread at a time, in the process that called.

    What is not read stays with the server. Close it, or use it in a `with` statement: one that was not read to the
    end closes its connection, the others keep it for the next call.
    """

    __slots__ = ("raw", "_content", "_longest")

    def __init__(self, stream: c.HttpStream, bound: bool, longest: Optional[int]) -> None:
        super().__init__(lib.mtlspop_http_stream_response(stream), bound)
        #: The body as a file: for shutil.copyfileobj(), io.BufferedReader and the like.
        self.raw = Raw(stream)
        self._content: Optional[bytes] = None
        self._longest = LONGEST if longest is None else longest

    def read(self, size: int = -1) -> bytes:
        """At most so many bytes, as soon as there are any; b"" at the end. Without a size all that is left."""
        return self.raw.read(number(size, "size"))

    def iter_content(self, chunk_size: Optional[int] = None) -> Iterator[bytes]:
        """The body in parts of this size, but for the last; without a size as it comes."""
        if chunk_size is None:
            return iter(lambda: self.raw.read(CHUNK), b"")
        if size(chunk_size, "chunk_size") == 0:
            raise ValueError("chunk_size must be more than 0")
        return self._parts(chunk_size)

    def _parts(self, length: int) -> Iterator[bytes]:
        part, filled = memoryview(bytearray(length)), 0
        while count := self.raw.readinto(part[filled:]):
            filled += count
            if filled == length:
                yield bytes(part)
                filled = 0
        if filled:
            yield bytes(part[:filled])

    def iter_lines(self) -> Iterator[bytes]:
        """The lines of the body, without their ends, each as soon as it is there."""
        buffered = io.BufferedReader(self.raw, CHUNK)
        try:
            for line in buffered:
                yield line.removesuffix(b"\n").removesuffix(b"\r")
        finally:
            # It would close the response with itself.
            if not self.raw.closed:
                buffered.detach()

    @property
    def content(self) -> bytes:
        """The whole body, as long as max_response_bytes allows."""
        if self._content is None:
            if self.raw.begun:
                raise RuntimeError("part of the body was read already: read() gives what is left of it")
            parts, length = [], 0
            for part in self.iter_content():
                length += len(part)
                if length > self._longest:
                    self.close()
                    raise _too_long(self._longest)
                parts.append(part)
            self._content = b"".join(parts)
        return self._content

    body = content

    def raise_for_status(self) -> StreamingResponse:
        super().raise_for_status()
        return self

    def close(self) -> None:
        """Gives up what was not read."""
        self.raw.close()

    def __enter__(self) -> StreamingResponse:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _too_long(limit: int) -> InvalidResponseError:
    error = InvalidResponseError(f"the body is longer than the {limit} bytes of max_response_bytes")
    error.status, error.code = c.E_INVALID_RESPONSE, "response_too_large"
    return error
