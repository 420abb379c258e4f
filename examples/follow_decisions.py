#!/usr/bin/env python3
"""Reference readers of the log of decisions: its topic, its stream, and Redis (docs/decisions-log.md).

    follow_decisions.py topic  --brokers localhost:9092 --topic refguard.decisions
    follow_decisions.py stream --url http://127.0.0.1:8080 --token-file shop.token
    follow_decisions.py redis  --server localhost:6379 PROGRAM KIND ID

`topic` and `stream` keep what stands by key, compare their sum with that of every heartbeat, and print each change. With
`--once` they end at the first heartbeat (of the stream: at the end of the snapshot) at which they have read everything, and print
what stands. The exit code is 1 where a sum differs. Nothing but the standard library is needed; `topic` reads by kcat.
"""

import argparse
import hashlib
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request


def encoded(part):
    return urllib.parse.quote(part, safe="-._~")


def key_of(record):
    return "/".join([encoded(record["program"]), record["kind"], encoded(record["id"])])


class Standing:
    """What stands, by key."""

    def __init__(self):
        self.records = {}
        self.number = 0

    def take(self, record):
        """Takes a change. What is older than what is known changes nothing, so nothing is harmed by what comes twice."""
        key = key_of(record)
        known = self.records.get(key)
        if known and known["number"] > record["number"]:
            return
        self.number = max(self.number, record["number"])
        if record["verdict"] is None:
            self.records.pop(key, None)
        else:
            self.records[key] = record

    def checksum(self):
        total = 0
        for key, record in self.records.items():
            causes = ",".join(sorted(cause["id"] for cause in record["causes"]))
            text = "\n".join([key, str(record["number"]), record["verdict"], causes])
            total += int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        return format(total % 2**64, "016x")

    def compare(self, told):
        ours = (len(self.records), self.checksum())
        theirs = (told["count"], told["checksum"])
        if ours != theirs:
            sys.exit(f"what stands here {ours} is not what stands there {theirs}")

    def show(self):
        for key in sorted(self.records):
            print(json.dumps(self.records[key], separators=(",", ":"), ensure_ascii=False))


def follow_topic(brokers, topic, once):
    """A reader of committed records, from the beginning: the topic is compacted, so that is what stands and little more.

    A heartbeat says what stood at its number. It can be compared once everything is read up to the ends of all partitions, and
    nothing has come behind that number.
    """
    standing, heartbeat = Standing(), None
    command = ["kcat", "-C", "-u", "-b", brokers, "-t", topic, "-o", "beginning", "-X", "isolation.level=read_committed"]
    # %S is the length of the value: -1 for a tombstone, by which the topic forgets a key whose last record was read before.
    command += ["-f", "%S\\t%k\\t%s\\n"] + (["-e"] if once else [])
    reader = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    for line in reader.stdout:
        length, key, value = line.rstrip("\n").split("\t", 2)
        if int(length) < 0:
            continue
        value = json.loads(value)
        if key == "heartbeat":
            heartbeat = value
            if not once and standing.number == value["number"]:
                standing.compare(value)
            continue
        standing.take(value)
        if not once:
            print(json.dumps(value, separators=(",", ":"), ensure_ascii=False), flush=True)
    if reader.wait() != 0:
        sys.exit("the topic cannot be read")
    if heartbeat and standing.number <= heartbeat["number"]:
        standing.compare(heartbeat)
    standing.show()


def events(response):
    """Server-sent events: their names and data."""
    name, data = None, ""
    for line in response:
        line = line.decode().rstrip("\n")
        if line.startswith("event: "):
            name = line[len("event: "):]
        elif line.startswith("data: "):
            data = line[len("data: "):]
        elif not line and name:
            yield name, json.loads(data)
            name, data = None, ""


def follow_stream(url, token, once):
    """What stands, then every change; it goes on behind its last number when the connection is lost."""
    standing, cursor = Standing(), ""
    while True:
        headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream", "Last-Event-ID": cursor}
        try:
            with urllib.request.urlopen(urllib.request.Request(f"{url}/v1/decisions/stream", headers=headers), timeout=30) as response:
                for name, data in events(response):
                    if name == "snapshot":
                        # What is known may be of long ago: it is begun anew.
                        standing, cursor = Standing(), ""
                    elif name in ("decision", "ended"):
                        standing.take(data)
                        if cursor:
                            cursor = str(data["number"])
                            print(json.dumps(data, separators=(",", ":"), ensure_ascii=False), flush=True)
                    elif name in ("snapshot_end", "heartbeat"):
                        cursor = str(data["number"])
                        standing.compare(data)
                        if once:
                            return standing.show()
        except urllib.error.HTTPError as refused:
            if refused.code < 500 and refused.code != 429:
                sys.exit(f"{refused.code}: {refused.read().decode()}")
        except OSError:
            pass
        time.sleep(1)


def look_up(server, program, kind, subject):
    """The record of one subject in Redis; `null`: nothing stands on it."""
    host, port = server.rsplit(":", 1)
    key = f"refguard:decision:{{{encoded(program)}}}:{kind}:{encoded(subject)}".encode()
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n" % (len(key), key))
        reader = connection.makefile("rb")
        head = reader.readline().decode().strip()
        if not head.startswith("$"):
            sys.exit(f"{server} says {head}")
        length = int(head[1:])
        print(reader.read(length).decode() if length >= 0 else "null")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    topic = commands.add_parser("topic")
    topic.add_argument("--brokers", default="localhost:9092")
    topic.add_argument("--topic", default="refguard.decisions")
    topic.add_argument("--once", action="store_true")
    stream = commands.add_parser("stream")
    stream.add_argument("--url", default="http://127.0.0.1:8080")
    stream.add_argument("--token-file", required=True)
    stream.add_argument("--once", action="store_true")
    redis = commands.add_parser("redis")
    redis.add_argument("--server", default="localhost:6379")
    redis.add_argument("program")
    redis.add_argument("kind")
    redis.add_argument("id")
    given = parser.parse_args()
    if given.command == "topic":
        follow_topic(given.brokers, given.topic, given.once)
    elif given.command == "stream":
        with open(given.token_file, encoding="utf-8") as file:
            follow_stream(given.url.rstrip("/"), file.read().strip(), given.once)
    else:
        look_up(given.server, given.program, given.kind, given.id)


if __name__ == "__main__":
    main()
