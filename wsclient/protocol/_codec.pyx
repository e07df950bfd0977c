# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The frame codec's inner loops, compiled: the twin of `codec_pure`.

Only these are compiled. What a frame may be, and what is wrong with it, is decided once, in
`frames`: here a loop takes what is plain, and leaves the rest alone.
"""

from cpython.buffer cimport (
    PyBUF_FORMAT,
    PyBUF_ND,
    PyBUF_SIMPLE,
    PyBUF_STRIDES,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

import os

cdef extern from *:
    const Py_ssize_t PY_SSIZE_T_MAX

__all__ = ["NAME", "MessageMemory", "apply_mask", "build_frame", "take_messages"]

NAME = "compiled"

cdef enum:
    TEXT_FRAME = 0x81
    BINARY_FRAME = 0x82
    FIN = 0x80
    RSV1 = 0x40
    MASKED = 0x80
    KEY_SIZE = 4
    KEY_POOL_SIZE = 4096
    LONGEST_HEADER = 10


def take_messages(
    data, Py_ssize_t start, Py_ssize_t limit, deliver, Py_ssize_t stop=PY_SSIZE_T_MAX
):
    """Deliver the messages that lie whole, in one plain frame each, at the start of `data`."""
    cdef Py_buffer buffer
    PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)
    try:
        stop = min(stop, buffer.len)
        return _take(<const uint8_t*>buffer.buf, start, stop, limit, deliver)
    finally:
        PyBuffer_Release(&buffer)


cdef Py_ssize_t _take(
    const uint8_t* data, Py_ssize_t start, Py_ssize_t size, Py_ssize_t limit, deliver
) except -1:
    cdef uint64_t length
    cdef Py_ssize_t begin
    cdef const char* payload
    while size - start >= 2:
        length = data[start + 1]
        begin = start + 2
        if length > 125:
            # Not minimal, or cut: section 5.2 of RFC 6455 is for `frames` to know.
            if length == 126:
                begin += 2
                if begin > size:
                    break
                length = _big_endian(data + start + 2, 2)
                if length < 126:
                    break
            elif length == 127:
                begin += 8
                if begin > size:
                    break
                length = _big_endian(data + start + 2, 8)
                if length < 65536:
                    break
            else:
                break
        # Compared without a sum, which could overflow.
        if length > <uint64_t>(size - begin) or length > <uint64_t>limit:
            break
        payload = <const char*>(data + begin)
        if data[start] == BINARY_FRAME:
            deliver(PyBytes_FromStringAndSize(payload, <Py_ssize_t>length))
        elif data[start] == TEXT_FRAME:
            deliver(PyUnicode_DecodeUTF8(payload, <Py_ssize_t>length, NULL))
        else:
            break
        start = begin + <Py_ssize_t>length
    return start


cdef inline uint64_t _big_endian(const uint8_t* data, int count) noexcept nogil:
    cdef uint64_t value = 0
    cdef int i
    for i in range(count):
        value = (value << 8) | data[i]
    return value


def build_frame(
    int opcode, payload, *, bint fin=True, bint compressed=False, bint masked=True,
    masking_key=None,
):
    """Build one frame, masked as a client sends it (RFC 6455, sections 5.2 and 5.3)."""
    cdef Py_buffer buffer
    cdef uint8_t head = opcode | (FIN if fin else 0) | (RSV1 if compressed else 0)
    cdef uint8_t[KEY_SIZE] key
    if masked:
        _choose_key(masking_key, key)
    if type(payload) is bytes:
        return _build(head, PyBytes_AS_STRING(payload), len(<bytes>payload), masked, key)
    PyObject_GetBuffer(payload, &buffer, PyBUF_SIMPLE)
    try:
        return _build(head, <const char*>buffer.buf, buffer.len, masked, key)
    finally:
        PyBuffer_Release(&buffer)


cdef bytes _build(
    uint8_t head, const char* payload, Py_ssize_t length, bint masked, const uint8_t* key
):
    cdef uint8_t[LONGEST_HEADER] header
    cdef uint8_t mask_bit = MASKED if masked else 0
    cdef Py_ssize_t size = 2
    cdef int i
    header[0] = head
    if length < 126:
        header[1] = mask_bit | <uint8_t>length
    elif length < 65536:
        header[1] = mask_bit | 126
        size = 4
    else:
        header[1] = mask_bit | 127
        size = 10
    for i in range(2, size):
        header[i] = (<uint64_t>length >> (8 * (size - 1 - i))) & 0xFF
    cdef bytes frame = PyBytes_FromStringAndSize(
        NULL, size + (KEY_SIZE if masked else 0) + length
    )
    cdef uint8_t* out = <uint8_t*>PyBytes_AS_STRING(frame)
    memcpy(out, header, size)
    if masked:
        memcpy(out + size, key, KEY_SIZE)
        _mask(out + size + KEY_SIZE, <const uint8_t*>payload, length, key)
    else:
        memcpy(out + size, payload, length)
    return frame


def apply_mask(payload, key):
    """Mask or unmask a payload with a 4-byte key (RFC 6455, section 5.3)."""
    cdef Py_buffer buffer
    cdef uint8_t[KEY_SIZE] four
    cdef bytes masked
    _choose_key(key, four)
    PyObject_GetBuffer(payload, &buffer, PyBUF_SIMPLE)
    try:
        masked = PyBytes_FromStringAndSize(NULL, buffer.len)
        _mask(
            <uint8_t*>PyBytes_AS_STRING(masked), <const uint8_t*>buffer.buf, buffer.len, four
        )
        return masked
    finally:
        PyBuffer_Release(&buffer)


cdef void _mask(
    uint8_t* out, const uint8_t* payload, Py_ssize_t length, const uint8_t* key
) noexcept nogil:
    cdef uint64_t word, keys
    cdef Py_ssize_t i
    memcpy(&keys, key, 4)
    memcpy(<uint8_t*>&keys + 4, key, 4)
    # Copies of 8 bytes are loads and stores, which compilers make wider still.
    for i in range(0, length - 7, 8):
        memcpy(&word, payload + i, 8)
        word ^= keys
        memcpy(out + i, &word, 8)
    for i in range(length & ~<Py_ssize_t>7, length):
        out[i] = payload[i] ^ key[i & 3]


cdef class MessageMemory:
    """The memory of one message, to be filled from outside before anybody has the message.

    Args:
        length: bytes of the message, 2 at least: shorter ones are shared by the interpreter.
    """

    cdef bytes _message

    def __cinit__(self, Py_ssize_t length):
        if length < 2:
            raise ValueError("too short for memory of its own")
        self._message = PyBytes_FromStringAndSize(NULL, length)

    def __getbuffer__(self, Py_buffer* buffer, int flags):
        # PyBuffer_FillInfo would drop the None that stands in `obj` without giving it back.
        buffer.buf = PyBytes_AS_STRING(self._message)
        buffer.obj = self
        buffer.len = len(self._message)
        buffer.itemsize = 1
        buffer.readonly = 0
        buffer.ndim = 1
        buffer.format = <char*>b"B" if flags & PyBUF_FORMAT else <char*>NULL
        buffer.shape = &buffer.len if flags & PyBUF_ND else NULL
        buffer.strides = &buffer.itemsize if flags & PyBUF_STRIDES == PyBUF_STRIDES else NULL
        buffer.suboffsets = NULL
        buffer.internal = NULL

    def finish(self):
        """Return the message, all of which has been filled; nothing may be written any more."""
        return self._message


# Masking keys come from the operating system, many at a time: a system call per frame would cost
# more than the frame (RFC 6455, section 10.3, asks for a strong source of entropy, not for one
# call each). Nothing below lets another thread in between taking a key and moving on.
cdef bytes _keys = b""
cdef Py_ssize_t _next = 0


cdef int _choose_key(given, uint8_t* key) except -1:
    global _keys, _next
    if given is not None:
        if len(given) != KEY_SIZE:
            raise ValueError(f"a masking key has 4 bytes, not {len(given)}")
        given = bytes(given)
        if len(given) != KEY_SIZE:
            raise ValueError(f"a masking key has 4 items, but {len(given)} bytes")
        memcpy(key, PyBytes_AS_STRING(given), KEY_SIZE)
        return 0
    if _next >= len(_keys):
        _keys, _next = os.urandom(KEY_POOL_SIZE), 0
    memcpy(key, PyBytes_AS_STRING(_keys) + _next, KEY_SIZE)
    _next += KEY_SIZE
    return 0


def _forget_keys():
    global _keys, _next
    _keys, _next = b"", 0


if hasattr(os, "register_at_fork"):
    # A forked child must not send the keys that its parent sends.
    os.register_at_fork(after_in_child=_forget_keys)
