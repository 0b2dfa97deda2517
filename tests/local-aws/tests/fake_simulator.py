#!/usr/bin/env python3
"""Stands in for ec2-sim where a test looks at what the launcher sends, not at what EC2 answers.

It answers every EC2 and EBS call with the headers and the body it got, keeps the clock's advances, and knows what a
test gives it: snapshots, tags of other resources, and whole answers to describing calls. It plays a guest that says
what it was told, and how it was told to end.
"""

import json
import sys
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

ADVANCES: list[dict] = []
SNAPSHOTS: list[dict] = []
# Tags by account, region and id; answers by account and action; commands by account, region, id and instance.
TAGS: dict[tuple[str, str, str], dict] = {}
DESCRIBED: dict[tuple[str, str], str] = {}
COMMANDS: dict[tuple[str, str, str, str], dict] = {}


def is_at(snapshot: dict, query: dict) -> bool:
    """Tell whether a snapshot is in the account and the region that are asked for."""
    return (snapshot["account"], snapshot["region"]) == (query["account"], query["region"])


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self) -> None:
        """Answer whatever was asked."""
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        match url.path:
            case "/_sim/health":
                return self.reply({"ok": True})
            case "/_sim/clock/advance":
                ADVANCES.append({"account": query["account"], **json.loads(body)})
                return self.reply({})
            case "/_sim/advances":
                return self.reply(ADVANCES)
            case "/_sim/snapshots" if self.command == "PUT":
                where = {"account": query["account"], "region": query.get("region", "us-east-1")}
                found = {
                    "snapshot_id": query["id"],
                    "deleted": False,
                    "tags": {},
                    "kms_key_id": None,
                    "shared_with": [],
                }
                SNAPSHOTS.append({**where, **found, **json.loads(body)})
                return self.reply({})
            case "/_sim/tags" if self.command == "PUT":
                TAGS[query["account"], query["region"], query["resource"]] = json.loads(body)
                return self.reply({})
            case "/_sim/tags":
                tags = TAGS.get((query["account"], query["region"], query["resource"]))
                return self.reply({} if tags is None else tags, 400 if tags is None else 200)
            case "/_sim/described":
                DESCRIBED[query["account"], query["action"]] = json.loads(body)
                return self.reply({})
            case path if path.startswith("/_sim/guest/commands"):
                return self.guest(path.split("/")[4:], query["account"], query["region"], body)
            case "/_sim/snapshots":
                return self.reply([snapshot for snapshot in SNAPSHOTS if is_at(snapshot, query)])
        action = parse_qs(body.decode("latin-1")).get("Action", [""])[0]
        if described := DESCRIBED.get((self.headers.get("x-sim-account", ""), action)):
            return self.send(described.encode(), "text/xml")
        if b"LoseReply" in body:
            self.close_connection = True
            return None
        if url.path.startswith("/snapshots"):
            return self.reply({"path": self.path, "headers": dict(self.headers.items())})
        if b"Action=CopySnapshot" in body:
            asked = {"body": parse_qs(body.decode()), "headers": dict(self.headers.items())}
            return self.send(
                f"<CopySnapshotResponse><!--{json.dumps(asked)}--></CopySnapshotResponse>".encode(), "text/xml"
            )
        marks = "".join(f"<{n}>{self.headers.get(n, '')}</{n}>" for n in self.headers if n.startswith("x-sim-"))
        return self.send(f"<DescribeVolumesResponse>{marks}<volumeSet/></DescribeVolumesResponse>".encode(), "text/xml")

    do_GET = do_POST = do_PUT = answer  # noqa: N815 - names of the standard library

    def guest(self, route: list[str], account: str, region: str, body: bytes) -> None:
        """Take a command for some instances, or tell what became of one on one of them."""
        if route:
            found = COMMANDS.get((account, region, *route))
            return self.reply(found or {}, 200 if found else 404)
        asked = json.loads(body)
        if asked.keys() != {"instance_ids", "document_name", "parameters"} or "i-gone" in asked["instance_ids"]:
            return self.reply({}, 404)
        command_id = str(uuid.uuid4())
        status, *said = asked["parameters"].get("commands", ["Success", asked["document_name"]])
        for instance_id in asked["instance_ids"]:
            COMMANDS[account, region, command_id, instance_id] = {"status": status, "output": "\n".join(said)}
        return self.reply({"command_id": command_id})

    def reply(self, answer: object, status: int = 200) -> None:
        """Send JSON."""
        self.send(json.dumps(answer).encode(), "application/json", status)

    def send(self, body: bytes, content_type: str, status: int = 200) -> None:
        """Send one whole answer."""
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


if __name__ == "__main__":
    port = int(sys.argv[sys.argv.index("--port") + 1])
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
