"""A sequential JPEG of one component into one of two scans (ITU-T T.81 G): first all DC, then all AC coefficients.

That is spectral selection, as the retired transfer syntax 1.2.840.10008.1.2.4.53 has it, and a full progression of
one step each (.55). Huffman codes are kept; only their order changes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_TABLES, _SEQUENTIAL, _PROGRESSIVE, _SCAN = 0xC4, (0xC0, 0xC1), 0xC2, 0xDA
Codes = dict[tuple[int, int], int]


def progressive(codestream: bytes) -> bytes:
    """The same image in two scans."""
    head, tables = bytearray(b"\xff\xd8"), {}
    blocks, entropy, scan = 0, b"", b""
    for marker, body, rest in _segments(codestream):
        if marker == _TABLES:
            tables |= _tables(body)
        if marker in _SEQUENTIAL:
            rows, columns = struct.unpack(">HH", body[1:5])
            blocks, marker = (rows + 7) // 8 * ((columns + 7) // 8), _PROGRESSIVE
        if marker == _SCAN:
            scan, entropy = body, rest
        else:
            head += _segment(marker, body)
    direct, others = _split(entropy, blocks, tables[scan[2] >> 4], tables[0x10 | (scan[2] & 15)])
    for first, last, bits in ((0, 0, direct), (1, 63, others)):
        head += _segment(_SCAN, b"\x01" + scan[1:3] + bytes([first, last, 0])) + _packed(bits)
    return bytes(head) + b"\xff\xd9"


def _segments(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Marker, body, and all that comes after it."""
    at, marker = 2, 0
    while marker != _SCAN:
        marker, end = data[at + 1], at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, data[at + 4 : end], data[end:]
        at = end


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def _tables(body: bytes) -> dict[int, Codes]:
    """Symbols by length and code of each Huffman table (ITU-T T.81 C.2)."""
    tables = {}
    while body:
        counts, code, codes = body[1:17], 0, {}
        symbols = iter(body[17 : 17 + sum(counts)])
        for length, count in enumerate(counts, 1):
            for _ in range(count):
                codes[length, code] = next(symbols)
                code += 1
            code <<= 1
        tables[body[0]], body = codes, body[17 + sum(counts) :]
    return tables


def _split(entropy: bytes, blocks: int, dc: Codes, ac: Codes) -> tuple[str, str]:
    """Bits of all DC coefficients, and of all AC coefficients."""
    raw = entropy[: entropy.rindex(b"\xff\xd9")].replace(b"\xff\x00", b"\xff")
    bits = "".join(f"{byte:08b}" for byte in raw)
    at, direct, others = 0, [], []
    for _ in range(blocks):
        start, (size, at) = at, _symbol(bits, at, dc)
        at += size
        direct.append(bits[start:at])
        start, coefficient = at, 1
        while coefficient < 64:
            symbol, at = _symbol(bits, at, ac)
            if symbol == 0:
                break
            at += symbol & 15
            coefficient += (symbol >> 4) + 1
        others.append(bits[start:at])
    return "".join(direct), "".join(others)


def _symbol(bits: str, at: int, codes: Codes) -> tuple[int, int]:
    code = 0
    for length in range(1, 17):
        code = code << 1 | (bits[at + length - 1] == "1")
        if (length, code) in codes:
            return codes[length, code], at + length
    raise ValueError("no such code")


def _packed(bits: str) -> bytes:
    bits += "1" * (-len(bits) % 8)
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)).replace(b"\xff", b"\xff\x00")
