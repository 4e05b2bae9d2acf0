"""Prints the lines of data directories, chunks and bundles, read as docs/format.md tells, with every checksum looked at.

Usage: format.py PATH...

It knows nothing else of this project: what it cannot read, the page does not tell.
"""

import gzip
import os
import re
import struct
import subprocess
import sys
import zlib

# The whole header of a gzip frame but for its extra field, which no decompressor asks for.
GZIP_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"

MEMBER = re.compile(r"traces-\d{6}\.(jsonl\.zst|jsonl\.gz|jsonl|frame)")


def chunks(path):
    """Yields the archives of a path, oldest first; of a chunk with several files the sealed one."""
    if not os.path.isdir(path):
        yield path
        return
    files = {}
    for name in sorted(os.listdir(os.path.join(path, "chunks"))):
        chunk, state = name.split(".tar", 1)
        if state in ("", ".inprogress", ".recovering"):
            files.setdefault(chunk, name)
    yield from (os.path.join(path, "chunks", files[chunk]) for chunk in sorted(files))


def facts(payload):
    """Returns the length and CRC of the data, and the length, lines and spans; None where it is no whole trailer."""
    if payload[:4] != b"TCF1" or struct.unpack_from("<I", payload, 4)[0] != zlib.crc32(payload[8:]):
        return None
    return struct.unpack_from("<IIIII", payload, 12)


def frames(ending, body):
    """Yields the data and the trailer of each frame of a member, up to the first that is not whole."""
    at = 0
    while at < len(body):
        if ending == "jsonl.gz":
            len_at = at + 14
            begin = len_at + 2 + struct.unpack_from("<H", body, len_at)[0]
            payload = body[len_at + 2 : begin]
        else:
            begin, end = at, body.find(b"\x5c\x2a\x4d\x18", at)
            while end >= 0 and body[end + 8 : end + 12] != b"TCF1":
                end = body.find(b"\x5c\x2a\x4d\x18", end + 1)
            if end < 0:
                return
            payload = body[end + 8 : end + 8 + struct.unpack_from("<I", body, end + 4)[0]]
        told = facts(payload)
        if told is None:
            return
        data = body[begin : begin + told[0]]
        yield data, told
        at = begin + len(data) + (0 if ending == "jsonl.gz" else 8 + len(payload))


def lines(ending, data, told):
    """Returns the lines of a frame; nothing where its data is damaged."""
    _, crc, raw_len, n_lines, _ = told
    if zlib.crc32(data) != crc:
        return b""
    if ending == "jsonl.zst":
        data = subprocess.run(["zstd", "-dcq"], input=data, stdout=subprocess.PIPE, check=True).stdout
    elif ending == "jsonl.gz":
        data = gzip.decompress(GZIP_HEADER + data)
    assert (len(data), data.count(b"\n")) == (raw_len, n_lines), told
    return data


def members(path):
    """Yields the kind and the body of each data member, the last one as far as it goes."""
    with open(path, "rb") as file:
        archive = file.read()
    at = 0
    while at + 512 <= len(archive) and any(archive[at : at + 512]):
        name, size = archive[at : at + 100].rstrip(b"\0").decode(), int(archive[at + 124 : at + 135], 8)
        found = MEMBER.fullmatch(name.rsplit("/", 1)[-1])
        if found:
            yield found[1], archive[at + 512 : at + 512 + size]
        at += 512 + -(-size // 512) * 512


def main():
    for path in (chunk for path in sys.argv[1:] for chunk in chunks(path)):
        plain = b""
        for ending, body in members(path):
            if ending == "jsonl":
                plain = body
            elif ending == "frame":
                sys.stdout.buffer.write(lines(ending, plain, facts(body)))
            else:
                for data, told in frames(ending, body):
                    sys.stdout.buffer.write(lines(ending, data, told))


main()
