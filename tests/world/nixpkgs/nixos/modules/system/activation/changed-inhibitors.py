"""Prints what two systems' inhibitors disagree on, a line each. A file that is not there, or no JSON, lists nothing."""
import json
import sys


def read(path):
    try:
        with open(path) as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


old, new = map(read, sys.argv[1:])
for key in old:
    if key in new and old[key] != new[key]:
        print(key, ":", old[key], "->", new[key])
