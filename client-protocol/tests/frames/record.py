"""Records what the official Python client sends, into python-<version>.json beside this file.

    pip install convex==0.8.1 websockets        (in an environment of its own)
    python <here>/record.py

The server below answers just enough to make the client go on: results, responses, identity versions.
The Python client is the Rust client underneath: its frames are those of both.
"""
import asyncio
import base64
import importlib.metadata
import json
import os
import pathlib
import struct
import sys
import time

import websockets

VERSION = importlib.metadata.version("convex")
frames = []
sockets = 0
headers = {}
during = "connect, subscribe, unsubscribe"
clock = 1_700_000_000_000_000_000
losses = 0


def encode_ts(ts):
    return base64.b64encode(struct.pack("<Q", ts)).decode()


async def messages(socket):
    """All messages of a socket; this client hangs up without a closing handshake."""
    try:
        async for text in socket:
            yield text
    except websockets.ConnectionClosedError:
        pass


async def serve(socket):
    """One socket: keeps the versions, answers everything with something."""
    global losses, sockets
    number = sockets
    sockets += 1
    at = {"querySet": 0, "identity": 0, "ts": encode_ts(0)}
    headers.setdefault("Convex-Client", socket.request.headers.get("Convex-Client"))

    async def move(change, modifications):
        nonlocal at
        global clock
        clock += 1000
        end = {**at, **change, "ts": encode_ts(clock)}
        await socket.send(json.dumps({"type": "Transition", "startVersion": at, "endVersion": end, "modifications": modifications}))
        at = end

    async for text in messages(socket):
        frames.append({"during": during, "socket": number, "text": text})
        message = json.loads(text)
        kind = message["type"]
        if kind == "ModifyQuerySet":
            await move(
                {"querySet": message["newVersion"]},
                [
                    {"type": "QueryUpdated", "queryId": m["queryId"], "value": [], "logLines": [], "journal": None}
                    if m["type"] == "Add"
                    else {"type": "QueryRemoved", "queryId": m["queryId"]}
                    for m in message["modifications"]
                ],
            )
        elif kind == "Authenticate":
            await move({"identity": message["baseVersion"] + 1}, [])
        elif kind == "Mutation":
            if losses:
                losses -= 1
                await socket.close(1011, "InternalServerError")
                return
            answer = {"type": "MutationResponse", "requestId": message["requestId"], "success": True, "result": None, "logLines": []}
            await socket.send(json.dumps({**answer, "ts": encode_ts(clock + 1000)}))
            await move({}, [])
        elif kind == "Action":
            answer = {"type": "ActionResponse", "requestId": message["requestId"], "success": True, "result": None, "logLines": []}
            await socket.send(json.dumps(answer))


def act(port):
    """The client, in a process of its own: it does not let other threads run while it waits."""
    from convex import ConvexClient, ConvexInt64

    def begin(name):
        time.sleep(0.3)
        print(name, flush=True)
        time.sleep(0.3)

    client = ConvexClient(f"http://127.0.0.1:{port}")
    begin("connect, subscribe, unsubscribe")
    subscription = client.subscribe("messages:list", {"channel": "general"})
    next(iter(subscription))
    client.query("messages:count", {"limit": 5, "ratio": 0.5})

    begin("values")
    client.mutation(
        "messages:send",
        {
            "text": 'quote " backslash \\ newline \n snowman ☃ clef 𝄞 control \x01',
            "int": ConvexInt64(5),
            "bytes": bytes([0, 127, 255]),
            "special": [float("nan"), float("inf"), float("-inf"), -0.0],
            "floats": [1, 1.5, 1e300, -2e-7],
            "nested": {"array": [None, True, {"deep": []}]},
        },
    )
    client.mutation("messages:send")
    client.action("ai:reply", {"prompt": "hi"})

    begin("authenticate, sign out")
    client.set_auth("header.claims.signature")
    client.clear_auth()

    begin("admin")
    client.set_admin_auth("instance|0123")

    begin("reconnect")
    client.mutation("messages:send", {"body": "again"})
    os._exit(0)


async def record():
    global during, losses
    async with websockets.serve(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        client = await asyncio.create_subprocess_exec(sys.executable, __file__, str(port), stdout=asyncio.subprocess.PIPE)
        async for name in client.stdout:
            during = name.decode().strip()
            losses = 1 if during == "reconnect" else 0
    path = pathlib.Path(__file__).with_name(f"python-{VERSION}.json")
    path.write_text(json.dumps({"client": f"PyPI convex {VERSION}", "headers": headers, "frames": frames}, indent=1) + "\n")


if len(sys.argv) > 1:
    act(sys.argv[1])
else:
    asyncio.run(record())
