// What a program built on the TypeScript SDK does with the proxy, told as one JSON object.
// Argument: {"base_url", "api_key", "model"}; the answer has the same shape as sdk_turns.py's.
import Anthropic from "@anthropic-ai/sdk";
import { readFileSync } from "node:fs";

const { base_url: baseURL, api_key: apiKey, model } = JSON.parse(process.argv[2]);
const about = new URL("node_modules/@anthropic-ai/sdk/package.json", import.meta.url);
const { version } = JSON.parse(readFileSync(about, "utf8"));
const client = new Anthropic({ baseURL, apiKey, maxRetries: 0, timeout: 30_000 });

const tool = {
  name: "get_weather",
  description: "Weather of a city.",
  input_schema: {
    type: "object",
    properties: { city: { type: "string" }, days: { type: "integer" } },
    required: ["city", "days"],
  },
};
const question = {
  role: "user",
  content: 'Use the get_weather tool with {"city": "Zürich", "days": 3}',
};

const textOf = (message) =>
  message.content.filter((block) => block.type === "text").map((block) => block.text).join("");

async function create() {
  const message = await client.messages.create({
    model,
    max_tokens: 256,
    messages: [{ role: "user", content: "Say hello" }],
  });
  return {
    text: textOf(message),
    stop_reason: message.stop_reason,
    input_tokens: message.usage.input_tokens,
    output_tokens: message.usage.output_tokens,
  };
}

async function streamText() {
  const pieces = [];
  const stream = client.messages
    .stream({ model, max_tokens: 256, messages: [{ role: "user", content: "Write 30 words" }] })
    .on("text", (piece) => pieces.push(piece));
  const message = await stream.finalMessage();
  return { pieces, text: textOf(message), stop_reason: message.stop_reason };
}

async function useTool() {
  const partialJson = [];
  const stream = client.messages
    .stream({ model, max_tokens: 256, tools: [tool], messages: [question] })
    .on("inputJson", (piece) => partialJson.push(piece));
  const message = await stream.finalMessage();
  const calls = message.content.filter((block) => block.type === "tool_use");
  const results = calls.map((call) => ({
    type: "tool_result",
    tool_use_id: call.id,
    content: `sunny in ${call.input.city}`,
  }));
  const answer = await client.messages
    .stream({
      model,
      max_tokens: 256,
      tools: [tool],
      messages: [
        question,
        { role: "assistant", content: message.content },
        { role: "user", content: results },
      ],
    })
    .finalMessage();
  return {
    calls: calls.map(({ name, input }) => ({ name, input })),
    partial_json: partialJson.join(""),
    stop_reason: message.stop_reason,
    answer: textOf(answer),
    answer_stop_reason: answer.stop_reason,
  };
}

async function listModels() {
  const ids = [];
  for await (const listed of client.models.list({ limit: 1 })) ids.push(listed.id);
  return ids;
}

async function failure(call) {
  try {
    await call();
    return { class: null };
  } catch (error) {
    return {
      class: error.constructor.name,
      status: error.status,
      type: error.error?.error?.type,
      has_request_id: Boolean(error.requestID),
    };
  }
}

const stranger = new Anthropic({ baseURL, apiKey: "nobody", maxRetries: 0 });
const hello = { model, max_tokens: 16, messages: [{ role: "user", content: "hi" }] };

console.log(
  JSON.stringify({
    client: `@anthropic-ai/sdk ${version}`,
    create: await create(),
    stream_text: await streamText(),
    tool: await useTool(),
    count_tokens: (
      await client.messages.countTokens({ model, tools: [tool], messages: [question] })
    ).input_tokens,
    models: await listModels(),
    errors: {
      bad_key: await failure(() => stranger.messages.create(hello)),
      bad_request: await failure(() => client.messages.create({ ...hello, messages: [] })),
      not_found: await failure(() => client.models.retrieve("no-such-model")),
    },
  }),
);
