"""Follows the test's orders with a client from PyPI: `watch.py CLIENT SERVER`. docs/clients.md shows the same code."""

import functools
import json
import pathlib
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import httpx_sse
import ld_eventsource
import sseclient
from ld_eventsource.config import ConnectStrategy, ErrorStrategy, RetryDelayStrategy

CONCURRENCY = 48


def httpx_sse_events(response):
    return httpx_sse.EventSource(response).iter_sse()


def sseclient_events(response):
    return sseclient.SSEClient(response.iter_bytes()).events()


def follow(http, events, url):
    """Yields all events until the order's `end`, and reconnects as often as necessary."""
    headers = {"Accept": "text/event-stream"}
    retry = 3000
    while True:
        try:
            with http.stream("GET", url, headers=headers) as response:
                response.raise_for_status()
                for event in events(response):
                    yield event
                    headers["Last-Event-ID"] = event.id
                    retry = int(event.retry or retry)
                    if event.event == "end":
                        return
        except httpx.TransportError:
            pass
        except httpx.HTTPStatusError as error:
            if error.response.status_code not in (429, 500, 502, 503, 504):
                raise
        time.sleep(retry / 1000)


def launchdarkly_recipe():
    """Reads `follow` from docs/clients.md."""
    docs = pathlib.Path(__file__).parents[2] / "docs" / "clients.md"
    _, section = docs.read_text("utf-8").split("\n## `launchdarkly-eventsource` for Python\n")
    _, code = section.split("```python\n", 1)
    names = {
        "json": json,
        "SSEClient": ld_eventsource.SSEClient,
        "ConnectStrategy": ConnectStrategy,
        "ErrorStrategy": ErrorStrategy,
        "RetryDelayStrategy": RetryDelayStrategy,
    }
    exec(code.split("```", 1)[0], names)
    return names["follow"]


def story(http, follow, server, url):
    # This entry stands for an earlier visit with an unknown cursor. Only `reset` removes it.
    changes = ["stale"]
    for event in follow(url):
        if event.event == "reset":
            changes = []
        if event.event == "message":
            changes.append(json.loads(event.data))
    http.post(f"{server}/report", json={"url": url, "changes": changes})


def main(client, server):
    # A silent connection sends a comment every HEARTBEAT, 15 s.
    with httpx.Client(timeout=30, limits=httpx.Limits(max_connections=None)) as http:
        follows = {
            "httpx-sse": functools.partial(follow, http, httpx_sse_events),
            "sseclient-py": functools.partial(follow, http, sseclient_events),
            "launchdarkly-eventsource": launchdarkly_recipe(),
        }
        urls = http.get(f"{server}/stories").json()
        with ThreadPoolExecutor(CONCURRENCY) as pool:
            list(pool.map(lambda url: story(http, follows[client], server, url), urls))


main(*sys.argv[1:])
