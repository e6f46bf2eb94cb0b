# SPDX-License-Identifier: MIT
"""Allocates in many ways; what it prints depends on nothing but this file."""
import collections
import hashlib
import json
import subprocess
import sys
import threading
import zlib


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def build_document(number):
    return {
        "number": number,
        "name": "document %d" % number,
        "tags": ["tag-%d" % (number * i % 97) for i in range(20)],
        "nested": {str(i): list(range(i)) for i in range(20)},
    }


def churn_documents():
    documents = [build_document(i) for i in range(1000)]
    text = json.dumps(documents, sort_keys=True)
    again = json.loads(text)
    assert again == documents
    return digest(text)


def churn_strings():
    counts = collections.Counter()
    text = ""
    for i in range(30000):
        text += str(i)
        if len(text) > 20000:
            counts.update(text[j : j + 3] for j in range(0, len(text), 7))
            text = text[: i % 100]
    return digest(repr(sorted(counts.items())))


def churn_buffers():
    checksum = 0
    buffers = collections.deque(maxlen=12)
    for i in range(1, 200):
        buffer = bytearray(i * 4001)
        buffer[::997] = bytes(len(buffer[::997]))
        buffers.append(buffer)
        checksum = zlib.crc32(zlib.compress(bytes(buffer[: 1 << 16]), 1), checksum)
        buffers[0].extend(b"x" * 5000)
    return checksum, sum(len(buffer) for buffer in buffers)


def churn_in_threads():
    results = {}

    def work(number):
        items = [{j: str(j) * (j % 50)} for j in range(3000)]
        items.sort(key=lambda item: (len(next(iter(item.values()))), next(iter(item))))
        results[number] = digest(repr(items[number :: 100]))

    for _ in range(2):
        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return [results[number] for number in sorted(results)]


def run_children():
    code = "import sys; d = {i: [i] * (i % 9) for i in range(30000)}; print(len(d), sys.argv[1])"
    outputs = []
    for number in range(4):
        command = [sys.executable, "-S", "-c", code, str(number)]
        outputs.append(subprocess.run(command, check=True, capture_output=True).stdout)
    piped = subprocess.run(["cat"], input=b"line\n" * 50000, check=True, capture_output=True)
    return outputs, zlib.crc32(piped.stdout)


print(churn_documents())
print(churn_strings())
print(churn_buffers())
print(churn_in_threads())
print(run_children())
