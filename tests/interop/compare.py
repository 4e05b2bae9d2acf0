"""Compares what clients say they sent with what the stock reader found.

Usage: compare.py FOUND EXPECTED...

Both are files of one JSON object per span (see README.md). Every expected span must be found exactly
once and equal in every field, and nothing else may be found.
"""

import json
import sys


def spans(path):
    with open(path, encoding="utf-8") as file:
        for line in file:
            span = json.loads(line)
            # Keys are sorted here once more, by code points: each language sorts in its own way.
            yield (span["traceId"], span["spanId"]), normalised(span)


def normalised(node):
    if isinstance(node, dict):
        return {key: sorted_pairs(v) if key in ("attributes", "map") else normalised(v) for key, v in node.items()}
    if isinstance(node, list):
        return [normalised(item) for item in node]
    return node


def sorted_pairs(pairs):
    return sorted(([key, normalised(v)] for key, v in pairs), key=lambda pair: pair[0])


def main():
    found, doubled = {}, []
    for key, span in spans(sys.argv[1]):
        if key in found:
            doubled.append(key)
        found[key] = span
    faults = [f"{key}: found more than once" for key in doubled]
    expected_count = 0
    for path in sys.argv[2:]:
        for key, span in spans(path):
            expected_count += 1
            there = found.pop(key, None)
            if there is None:
                faults.append(f"{path}: {key}: lost")
                continue
            faults += [
                f"{path}: {key}: {field}: sent {span[field]!r:.300}, found {there.get(field)!r:.300}"
                for field in span
                if span[field] != there.get(field)
            ]
    faults += [f"{key}: found, but nobody sent it" for key in found]
    for fault in faults[:20]:
        print(fault, file=sys.stderr)
    if faults or expected_count == 0:
        sys.exit(f"{len(faults)} faults in {expected_count} spans")
    print(f"{expected_count} spans are equal")


if __name__ == "__main__":
    main()
