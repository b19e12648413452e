"""The official Python client against a running server: subscribe, mutate, see the update, errors with data, auth, reconnect.

The environment names the server as for the JavaScript tests (`../js/support.mjs`, where its functions are listed too):
`SYNCLINE_URL`, or `SYNCLINE_SERVER` for a program that is started, killed and started again.
"""

import asyncio
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

from convex import ConvexClient, ConvexError, ConvexInt64
from convex.http_client import ConvexHttpClient
from convex.values import convex_to_json, json_to_convex

PROGRAM = os.environ.get("SYNCLINE_SERVER")
PATIENCE_SECONDS = 20
POLL_SECONDS = 0.025


class Server:
    """A server process of this test's own: port and data folder stay through restarts."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.data = tempfile.mkdtemp(prefix="syncline-conformance-")
        self.output = pathlib.Path(self.data, "output.txt")
        self.start()

    def start(self) -> None:
        command = [PROGRAM, "serve", "--port", str(self.port), "--data", os.path.join(self.data, "store")]
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/version", timeout=1):
                    return
            except (urllib.error.URLError, OSError) as cause:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"no server on {self.url}: {self.output.read_text()}") from cause
            time.sleep(POLL_SECONDS)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.data)


def mint(url: str, **person: object) -> str:
    """A token of the server's development issuer."""
    request = urllib.request.Request(
        f"{url}/dev-issuer/token",
        data=json.dumps(person).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)["token"]


class Told:
    """What a subscription is told. Awaited, because the client's blocking iterator stops every thread of the process."""

    def __init__(self, subscription) -> None:
        self.subscription = subscription
        self.values: list = []

    async def until(self, fits):
        """The first value that fits, from the one last seen on."""
        while not (self.values and fits(self.values[-1])):
            try:
                value = await asyncio.wait_for(anext(self.subscription), PATIENCE_SECONDS)
            except asyncio.TimeoutError:
                raise AssertionError(f"not told what was waited for, only {self.values[-3:]}") from None
            self.values.append(value)
        return self.values[-1]


# A process of its own, so that this one can kill the server while a call is in flight.
INCREMENTS = """
import sys
from convex import ConvexClient

client = ConvexClient(sys.argv[1])
for _ in range(100):
    print(client.mutation("counter:increment", {"name": sys.argv[2], "by": 1}), flush=True)
"""


# The arguments of a call are one level of their own.
NESTING_MAX_OF_AN_ARGUMENT = 62

VECTORS = [
    vector
    for vector in json.loads(pathlib.Path(__file__, "../../../vectors/values.json").resolve().read_text())["vectors"]
    if "raw" in vector
    and vector["decodes"] == "ok"
    and vector.get("python", {}).get("ok")
    and vector["server"]["nesting"] <= NESTING_MAX_OF_AN_ARGUMENT
]


def as_text(value: object) -> str:
    """Distinguishes what `==` does not: 0.0 and -0.0, and NaN from itself."""
    return json.dumps(convex_to_json(value), sort_keys=True)


_names = 0


def fresh(word: str) -> str:
    """A name that no other test has used."""
    global _names
    _names += 1
    return f"{word}-py-{os.getpid()}-{time.time_ns():x}-{_names}"


class SharedServer(unittest.IsolatedAsyncioTestCase):
    """Tests that need a server, and leave it running."""

    server = None

    @classmethod
    def setUpClass(cls) -> None:
        cls.url = os.environ.get("SYNCLINE_URL")
        if cls.url is None:
            cls.server = Server()
            cls.url = cls.server.url

    @classmethod
    def tearDownClass(cls) -> None:
        if cls.server is not None:
            cls.server.remove()

    # spec: S119
    async def test_a_client_sees_what_another_one_writes(self) -> None:
        items = fresh("seen")
        reader, writer = ConvexClient(self.url), ConvexClient(self.url)
        told = Told(reader.subscribe("items:list", {"list": items}))
        await told.until(lambda rows: rows == [])
        row_id = writer.mutation("items:add", {"list": items, "rank": 1, "text": "hello"})
        [row] = await told.until(lambda rows: len(rows) == 1)
        self.assertEqual((row["_id"], row["rank"], row["text"]), (row_id, 1, "hello"))
        self.assertIs(writer.mutation("items:remove", {"list": items, "rank": 1}), True)
        await told.until(lambda rows: rows == [])

    def test_values_come_back_as_they_went(self) -> None:
        value = {
            "nothing": None,
            "truth": [True, False],
            "numbers": [0.0, 1.5, float("inf"), -1e300],
            "integers": [ConvexInt64(2**63 - 1), ConvexInt64(-(2**63))],
            "text": ["", "é", "😀"],
            "bytes": b"\x00\x01\xff",
            "nested": [[], {"deep": {}}],
        }
        self.assertEqual(ConvexClient(self.url).action("actions:echo", {"value": value}), value)

    # spec: D135
    def test_every_vector_comes_back_equal(self) -> None:
        socket_client, http = ConvexClient(self.url), ConvexHttpClient(self.url)
        for vector in VECTORS:
            value = json_to_convex(json.loads(vector["raw"]))
            for client in (socket_client, http):
                for call, path in (("query", "values:asked"), ("mutation", "values:told"), ("action", "actions:echo")):
                    with self.subTest(vector=vector["id"], client=type(client).__name__, call=call):
                        echoed = getattr(client, call)(path, {"value": value})
                        self.assertEqual(as_text(echoed), as_text(value))
        self.assertGreater(len(VECTORS), 50)

    def test_errors_carry_their_data(self) -> None:
        client = ConvexClient(self.url)
        items = fresh("undone")
        data = {"code": "FULL", "seats": [1.0, None]}
        for call in (
            lambda: client.query("errors:withData", {"data": data}),
            lambda: client.mutation("errors:addThenFail", {"list": items, "data": data}),
            lambda: client.action("actions:fail", {"data": data}),
        ):
            with self.assertRaises(ConvexError) as caught:
                call()
            self.assertEqual(caught.exception.data, data)
        self.assertEqual(client.query("items:list", {"list": items}), [])
        with self.assertRaises(ConvexError) as caught:
            client.query("errors:nullData")
        self.assertIsNone(caught.exception.data)

    async def test_a_subscription_raises_what_its_query_fails_with(self) -> None:
        client = ConvexClient(self.url)
        with self.assertRaises(ConvexError) as caught:
            await Told(client.subscribe("errors:withData", {"data": "full"})).until(lambda _: True)
        self.assertEqual(caught.exception.data, "full")

    def test_plain_errors_tell_their_message(self) -> None:
        client = ConvexClient(self.url)
        with self.assertRaisesRegex(Exception, r"\[Request ID: [0-9a-f]{16}\] Server Error[\s\S]*this query always fails") as caught:
            client.query("errors:plain")
        self.assertNotIsInstance(caught.exception, ConvexError)
        with self.assertRaisesRegex(Exception, "Could not find public function for 'nowhere:nothing'"):
            client.mutation("nowhere:nothing")
        self.assertEqual(client.query("counter:get", {"name": fresh("after")}), 0)

    def test_pages_follow_one_another(self) -> None:
        client = ConvexClient(self.url)
        items = fresh("pages")
        for rank in range(7):
            client.mutation("items:add", {"list": items, "rank": rank, "text": ""})
        ranks, cursor, is_done = [], None, False
        while not is_done:
            page = client.query("items:page", {"list": items, "paginationOpts": {"numItems": 3, "cursor": cursor}})
            ranks += [row["rank"] for row in page["page"]]
            cursor, is_done = page["continueCursor"], page["isDone"]
            # A row before the cursor changes nothing of what follows it.
            client.mutation("items:add", {"list": items, "rank": -len(ranks), "text": ""})
        self.assertEqual(ranks, [0, 1, 2, 3, 4, 5, 6])

    async def test_a_page_keeps_its_border_while_rows_come_and_go_in_it(self) -> None:
        reader, writer = ConvexClient(self.url), ConvexClient(self.url)
        items = fresh("border")
        for rank in (1, 2, 3, 4, 5):
            writer.mutation("items:add", {"list": items, "rank": rank, "text": ""})
        opts = {"numItems": 3, "cursor": None}
        told = Told(reader.subscribe("items:page", {"list": items, "paginationOpts": opts}))
        await told.until(lambda page: [row["rank"] for row in page["page"]] == [1, 2, 3])
        writer.mutation("items:add", {"list": items, "rank": 1.5, "text": ""})
        await told.until(lambda page: [row["rank"] for row in page["page"]] == [1, 1.5, 2, 3])
        writer.mutation("items:remove", {"list": items, "rank": 2})
        await told.until(lambda page: [row["rank"] for row in page["page"]] == [1, 1.5, 3])

    # spec: A55, A68
    async def test_auth_is_set_changed_and_cleared(self) -> None:
        client = ConvexClient(self.url)
        told = Told(client.subscribe("auth:whoami"))
        await told.until(lambda me: me is None)
        first, second = fresh("first"), fresh("second")
        client.set_auth(mint(self.url, subject=first, name="Ada"))
        me = await told.until(lambda me: me is not None)
        self.assertEqual((me["subject"], me["name"]), (first, "Ada"))
        self.assertEqual(client.mutation("auth:sign"), first)
        client.set_auth(mint(self.url, subject=second))
        await told.until(lambda me: me["subject"] == second)
        self.assertEqual(client.mutation("auth:sign"), second)
        client.clear_auth()
        await told.until(lambda me: me is None)
        self.assertIsNone(client.mutation("auth:sign"))

    def test_the_client_over_http(self) -> None:
        client = ConvexHttpClient(self.url)
        name, subject = fresh("http"), fresh("user")
        self.assertEqual(client.mutation("counter:increment", {"name": name, "by": 2.5}), 2.5)
        self.assertEqual(client.query("counter:get", {"name": name}), 2.5)
        self.assertEqual(client.action("actions:echo", {"value": [1.0, None]}), [1.0, None])
        client.set_auth(mint(self.url, subject=subject))
        self.assertEqual(client.query("auth:whoami")["subject"], subject)
        client.clear_auth()
        self.assertIsNone(client.query("auth:whoami"))


@unittest.skipIf(PROGRAM is None, "SYNCLINE_SERVER, the program to kill, is missing")
class KilledServer(unittest.IsolatedAsyncioTestCase):
    """The server is killed under a client, and started again."""

    def setUp(self) -> None:
        self.server = Server()
        self.addCleanup(lambda: self.server.remove())

    async def test_subscriptions_go_on_and_nothing_answered_is_lost(self) -> None:
        client = ConvexClient(self.server.url)
        items = fresh("kept")
        told = Told(client.subscribe("items:list", {"list": items}))
        await told.until(lambda rows: rows == [])
        client.mutation("items:add", {"list": items, "rank": 1, "text": "before"})
        self.server.kill()
        self.server.start()
        client.mutation("items:add", {"list": items, "rank": 2, "text": "after"})
        rows = await told.until(lambda rows: len(rows) >= 2)
        self.assertEqual([row["text"] for row in rows], ["before", "after"])

    def test_mutations_in_flight_take_effect_at_least_once(self) -> None:
        """This client makes itself a new session on each socket, so a server cannot know its retries: not exactly once."""
        name = fresh("flight")
        command = [sys.executable, "-c", INCREMENTS, self.server.url, name]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as caller:
            answers = [float(caller.stdout.readline()) for _ in range(30)]
            self.server.kill()
            self.server.start()
            answers += [float(line) for line in caller.stdout]
        self.assertEqual(caller.returncode, 0)
        self.assertEqual(len(answers), 100)
        self.assertEqual(answers, sorted(set(answers)), "no answer was taken back")
        total = ConvexClient(self.server.url).query("counter:get", {"name": name})
        self.assertEqual(total, answers[-1])
        # One call at a time is in flight: one is done twice at most.
        self.assertIn(total, (100, 101))

    def test_a_signed_in_client_is_signed_in_again(self) -> None:
        client = ConvexClient(self.server.url)
        subject = fresh("user")
        client.set_auth(mint(self.server.url, subject=subject))
        self.assertEqual(client.mutation("auth:sign"), subject)
        self.server.kill()
        self.server.start()
        self.assertEqual(client.mutation("auth:sign"), subject)


if __name__ == "__main__":
    unittest.main(verbosity=2)
