"""Bodies that the library reads while it sends them: files, iterables, and bytes that are not copied."""

from __future__ import annotations

import io
import os
from ctypes import byref, c_size_t, memmove
from stat import S_ISREG
from weakref import WeakSet

from . import _callbacks
from . import _prototypes as c
from ._library import lib, octets, size, wrong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable, Iterator, Optional, Protocol, Union

    class Readable(Protocol):
        """A binary file, or what reads like one."""

        def read(self, size: int, /) -> Optional[bytes]: ...

    Body = Union[bytes, bytearray, memoryview, str, Readable, Iterable[bytes]]

WANTED = "bytes, a str, a binary file or an iterable of bytes"

# What is read of a file at once.
CHUNK = 64 * 1024

#: Generators that were sent, or begun: what they gave is gone.
_taken: WeakSet[Any] = WeakSet()


class Watched:
    """A body, and who is told when it is asked for more and when it has given that."""

    def __init__(self, body: Any, asked: Callable[[], None], given: Callable[[], None]) -> None:
        self.body, self.asked, self.given = body, asked, given


class Source:
    """A body that the library asks for piece by piece. An exception in it waits for the end of the call."""

    def __init__(self, begin: Callable[[], Iterator[Any]], part: str) -> None:
        self._begin = begin
        self._part = part
        self._parts: Optional[Iterator[Any]] = None
        self._rest = memoryview(b"")
        self.failed: Optional[BaseException] = None
        self.watched: Optional[Watched] = None

    def answer(self, operation: Any) -> None:
        if self.watched is not None:
            self.watched.asked()
        try:
            if lib.mtlspop_body_op_kind(operation) == c.BODY_REWIND:
                self._parts, self._rest = None, memoryview(b"")
            else:
                self._read(operation)
        except BaseException as exception:
            self.failed = exception
            raise
        finally:
            if self.watched is not None:
                self.watched.given()

    def _read(self, operation: Any) -> None:
        capacity = c_size_t()
        place = lib.mtlspop_body_op_buffer(operation, byref(capacity))
        rest = self._rest or self._next()
        count = min(len(rest), capacity.value)
        memmove(place, bytes(rest[:count]), count)
        self._rest = rest[count:]
        lib.mtlspop_body_op_set_length(operation, count)

    def _next(self) -> memoryview:
        """The next part that is not empty; an empty one at the end."""
        if self._parts is None:
            self._parts = self._begin()
        for part in self._parts:
            if not isinstance(part, bytes):
                part = octets(part, self._part)
            if part:
                return memoryview(part)
        return memoryview(b"")

    def end(self) -> None:
        """After the call, however it ended."""


class _File(Source):
    """A file that is read: from where it stands, where it is again afterwards, if it can go back."""

    def __init__(self, file: Any, length: Optional[int]) -> None:
        super().__init__(self._start, "what read() of body returns")
        self._file = file
        # What comes from a pipe or a socket is sent as it comes.
        self._read_file = getattr(file, "read1", file.read)
        self.start: Optional[int] = None
        self.length = length
        if _can_seek(file):
            self.start = file.tell()
            if length is None:
                file.seek(0, os.SEEK_END)
                self.length = max(file.tell() - self.start, 0)
                file.seek(self.start)

    def _start(self) -> Iterator[Any]:
        if self.start is not None:
            self._file.seek(self.start)
        left = self.length
        while left is None or left > 0:
            part = self._read_file(CHUNK if left is None else min(CHUNK, left))
            if part is None:
                raise BlockingIOError("body is a file that does not block: nothing is there to be read now")
            if not part:
                return
            if left is not None:
                left -= len(part)
            yield part

    def end(self) -> None:
        if self.start is not None:
            try:
                self._file.seek(self.start)
            except (OSError, ValueError):
                pass  # It was closed on the way.


def give(request: Any, kind: Optional[bytes], body: Any, length: Optional[int]) -> Optional[Source]:
    """Gives a request its body; returns what may fail in it, and is told the end of the call."""
    length = None if length is None else size(length, "content_length")
    if not isinstance(body, Watched):
        return _give(request, kind, body, length, True)
    source = _give(request, kind, body.body, length, False)
    if source is not None:
        source.watched = body
    return source


def _give(request: Any, kind: Any, body: Any, length: Optional[int], by_descriptor: bool) -> Optional[Source]:
    if not isinstance(body, (bytes, bytearray, memoryview)) and hasattr(body, "read"):
        return _give_file(request, kind, body, length, by_descriptor)
    if isinstance(body, (list, tuple)):
        several = [octets(part, "each part of body") for part in body]
        length = sum(map(len, several)) if length is None else length
        return _ask(request, kind, Source(lambda: iter(several), ""), length, True)
    try:
        view = memoryview(body)
    except TypeError:
        return _ask(request, kind, _iterable(body), length, False)
    view = view.cast("B") if view.c_contiguous else memoryview(view.tobytes())
    source = Source(lambda: (bytes(view[at : at + CHUNK]) for at in range(0, len(view), CHUNK)), "")
    return _ask(request, kind, source, len(view) if length is None else length, True)


def _give_file(
    request: Any, kind: Any, file: Any, length: Optional[int], by_descriptor: bool
) -> Optional[Source]:
    if isinstance(file, io.TextIOBase):
        raise wrong("body", 'a file that is open for bytes, as with "rb"', file)
    descriptor = _descriptor(file) if by_descriptor else None
    if descriptor is None:
        source = _File(file, length)
        return _ask(request, kind, source, source.length, source.start is not None)
    limit = -1 if length is None else length
    if not _is_file(descriptor):
        lib.mtlspop_http_request_set_body_fd(request, kind, descriptor, limit)
        return None
    # A buffered file has read ahead. Its descriptor goes back to where it was: it is the file's, not ours.
    at = os.lseek(descriptor, 0, os.SEEK_CUR)
    os.lseek(descriptor, file.tell(), os.SEEK_SET)
    try:
        lib.mtlspop_http_request_set_body_fd(request, kind, descriptor, limit)
    finally:
        os.lseek(descriptor, at, os.SEEK_SET)
    return None


def _descriptor(file: Any) -> Optional[int]:
    """The descriptor that has what read() would give, and nothing else: that of a GzipFile has not."""
    raw = file
    if type(file) in (io.BufferedReader, io.BufferedRandom):
        file.flush()
        raw = file.raw
    if type(raw) is not io.FileIO:
        return None
    descriptor = raw.fileno()
    # What a pipe has given to the buffer cannot be read from it again.
    return descriptor if raw is file or _is_file(descriptor) else None


def _is_file(descriptor: int) -> bool:
    return S_ISREG(os.fstat(descriptor).st_mode)


def _can_seek(file: Any) -> bool:
    try:
        seekable = getattr(file, "seekable", None)
        if seekable is None:
            file.seek(file.tell())
        return seekable is None or bool(seekable())
    except (AttributeError, OSError):
        return False


def _iterable(body: Any) -> Source:
    if hasattr(body, "keys") or not hasattr(body, "__iter__"):
        raise wrong("body", WANTED, body)
    is_generator = hasattr(body, "gi_frame")
    if is_generator and (body in _taken or body.gi_frame is None):
        raise ValueError("body is a generator that was read already: make a new one for each call")

    def begin() -> Iterator[Any]:
        if is_generator:
            _taken.add(body)
        return iter(body)

    return Source(begin, "each part of body")


def _ask(request: Any, kind: Any, source: Source, length: Optional[int], can_rewind: bool) -> Source:
    setter = lib.mtlspop_http_request_set_body_callback
    before = (request, kind, -1 if length is None else length, int(can_rewind))
    _callbacks.give(setter, *before, kind=_callbacks.body, target=source)
    return source
