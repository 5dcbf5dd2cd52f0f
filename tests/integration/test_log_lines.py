"""What is said of a request in the log can be found by its id."""

import logging

from tests.support.http_wire import ask
from tests.support.messages import turn
from tests.support.proxy import running_proxy

LOCAL = "qwen-coder"
MIXED = "claude-sonnet-4-5"


async def test_every_line_of_the_pipeline_names_its_request(caplog):
    """Failed attempts, answers that broke off, loads of models: each carries the client's id."""
    caplog.set_level(logging.INFO)
    async with running_proxy() as proxy:
        ids = set()
        for fault, stream in (("busy", False), ("reset", True), (None, True)):
            if fault is not None:
                proxy.ollama.add_fault(fault, **({"after_records": 2} if stream else {}))
            body = turn("Give me 9 words.", model=LOCAL if stream else MIXED, stream=stream)
            answer = await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=body)
            ids.add(answer.header("x-ccproxy-request-id"))

    said = [record for record in caplog.records if record.name.startswith("ccproxy.pipeline")]
    assert {"attempt at", "answer broke off"} <= {
        words
        for record in said
        for words in ("attempt at", "answer broke off", "was loaded")
        if words in record.getMessage()
    }
    assert [] == [
        record.getMessage() for record in said if getattr(record, "request_id", None) not in ids
    ]
