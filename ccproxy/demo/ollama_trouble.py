"""Plays the faults that stand in for, or in the middle of, a normal answer."""

from __future__ import annotations

import asyncio
from typing import Final

import orjson

from ccproxy.demo.ollama_faults import BAD_REQUESTS, Fault, FaultKind
from ccproxy.demo.ollama_wire import JSON, Exchange

_ENDLESS_PIECE: Final = b"a" * 65536
_ENDLESS_PIECES: Final = 4096
"""256 MiB: nobody should still be reading."""


async def answer_with_fault(exchange: Exchange, fault: Fault) -> bool:
    """Play a fault that comes before the answer; True if nothing is left to answer."""
    match fault.kind:
        case FaultKind.DELAY_HEADERS:
            await asyncio.sleep(fault.seconds)
            return False
        case FaultKind.HANG:
            await exchange.wait_for_disconnect()
        case FaultKind.RESET_BEFORE_HEADERS:
            await exchange.reset()
        case FaultKind.NON_JSON:
            await exchange.reply(200, b"upstream connect error\n", b"text/plain")
        case FaultKind.HTML_500:
            page = b"<html><body><h1>500 Internal Server Error</h1></body></html>"
            await exchange.reply(500, page, b"text/html")
        case FaultKind.EMPTY_BODY:
            await exchange.reply(200, b"", JSON)
        case _:
            return await _refuse_with_error(exchange, fault)
    return True


async def _refuse_with_error(exchange: Exchange, fault: Fault) -> bool:
    message = BAD_REQUESTS.get(fault.message, fault.message)
    match fault.kind:
        case FaultKind.BUSY:
            text = "server busy, please try again.  maximum pending requests exceeded"
            await exchange.json(503, {"error": text})
        case FaultKind.UNAUTHORIZED:
            url = "https://ollama.com/connect?name=simulated&key=simulated"
            await exchange.json(401, {"error": "unauthorized", "signin_url": url})
        case FaultKind.FORBIDDEN:
            text = "ollama cloud is disabled: remote model inference is unavailable"
            await exchange.json(403, {"error": text})
        case FaultKind.BAD_REQUEST:
            await exchange.json(400, {"error": message})
        case FaultKind.SERVER_ERROR:
            await exchange.json(500, {"error": message})
        case _:
            return False
    return True


async def break_stream(exchange: Exchange, fault: Fault) -> bool:
    """Play a fault in the middle of a streamed answer; True if the answer ends with it."""
    match fault.kind:
        case FaultKind.RESET:
            await exchange.reset()
        case FaultKind.CLOSE:
            await exchange.close()
        case FaultKind.NO_DONE:
            await exchange.end()
        case FaultKind.ERROR_LINE:
            await exchange.end(orjson.dumps({"error": fault.message}) + b"\n")
        case FaultKind.ENDLESS_LINE:
            await _endless_line(exchange)
        case FaultKind.GARBAGE_LINE:
            await exchange.write(b"llama_decode: failed\n")
            return False
        case FaultKind.STALL:
            if fault.seconds:
                await asyncio.sleep(fault.seconds)
            else:
                await exchange.wait_for_disconnect()
            return False
        case _:
            return False
    return True


async def break_whole(exchange: Exchange, fault: Fault) -> bool:
    """Play a mid-stream fault on an answer for `stream: false`; True if it replaces the answer."""
    match fault.kind:
        case FaultKind.RESET:
            await exchange.reset()
        case FaultKind.CLOSE:
            await exchange.close()
        case FaultKind.ERROR_LINE:
            await exchange.json(500, {"error": fault.message})
        case FaultKind.STALL:
            return await break_stream(exchange, fault)
        case _:
            return False
    return True


async def _endless_line(exchange: Exchange) -> None:
    await exchange.write(b'{"model":"endless","message":{"role":"assistant","content":"')
    for _ in range(_ENDLESS_PIECES):
        await exchange.write(_ENDLESS_PIECE)
        await asyncio.sleep(0)
    await exchange.close()
