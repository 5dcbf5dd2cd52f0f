"""What a program built on the anthropic SDK does with the proxy, told as one JSON object.

Argument: `{"base_url", "api_key", "model"}`. The script runs unchanged on every SDK version that
the tests know; the answer has the same shape as `sdk_turns.mjs`'s.
"""

import json
import sys

import anthropic

TOOL = {
    "name": "get_weather",
    "description": "Weather of a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
    },
}
QUESTION = {
    "role": "user",
    "content": 'Use the get_weather tool with {"city": "Zürich", "days": 3}',
}


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


def create(client, model):
    message = client.messages.create(
        model=model, max_tokens=256, messages=[{"role": "user", "content": "Say hello"}]
    )
    return {
        "text": text_of(message),
        "stop_reason": message.stop_reason,
        "input_tokens": message.usage.input_tokens,
        "output_tokens": message.usage.output_tokens,
    }


def stream_text(client, model):
    messages = [{"role": "user", "content": "Write 30 words"}]
    with client.messages.stream(model=model, max_tokens=256, messages=messages) as stream:
        pieces = list(stream.text_stream)
        message = stream.get_final_message()
    return {"pieces": pieces, "text": text_of(message), "stop_reason": message.stop_reason}


def use_tool(client, model):
    asked = {"model": model, "max_tokens": 256, "tools": [TOOL]}
    with client.messages.stream(**asked, messages=[QUESTION]) as stream:
        partial_json = [event.partial_json for event in stream if event.type == "input_json"]
        message = stream.get_final_message()
    calls = [block for block in message.content if block.type == "tool_use"]
    results = [
        {
            "type": "tool_result",
            "tool_use_id": call.id,
            "content": f"sunny in {call.input['city']}",
        }
        for call in calls
    ]
    messages = [
        QUESTION,
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": results},
    ]
    with client.messages.stream(**asked, messages=messages) as stream:
        answer = stream.get_final_message()
    return {
        "calls": [{"name": call.name, "input": call.input} for call in calls],
        "partial_json": "".join(partial_json),
        "stop_reason": message.stop_reason,
        "answer": text_of(answer),
        "answer_stop_reason": answer.stop_reason,
    }


def failure(call):
    try:
        call()
    except anthropic.APIStatusError as error:
        return {
            "class": type(error).__name__,
            "status": error.status_code,
            "type": error.body["error"]["type"],
            "has_request_id": bool(error.request_id),
        }
    return {"class": None}


def main():
    given = json.loads(sys.argv[1])
    model = given["model"]
    known = {"base_url": given["base_url"], "max_retries": 0, "timeout": 30}
    client = anthropic.Anthropic(**known, api_key=given["api_key"])
    stranger = anthropic.Anthropic(**known, api_key="nobody")
    hello = {"model": model, "max_tokens": 16, "messages": [{"role": "user", "content": "hi"}]}
    answer = {
        "client": f"anthropic {anthropic.__version__}",
        "create": create(client, model),
        "stream_text": stream_text(client, model),
        "tool": use_tool(client, model),
        "count_tokens": client.messages.count_tokens(
            model=model, tools=[TOOL], messages=[QUESTION]
        ).input_tokens,
        "models": [listed.id for listed in client.models.list(limit=1)],
        "errors": {
            "bad_key": failure(lambda: stranger.messages.create(**hello)),
            "bad_request": failure(lambda: client.messages.create(**{**hello, "messages": []})),
            "not_found": failure(lambda: client.models.retrieve("no-such-model")),
        },
    }
    print(json.dumps(answer))


main()
