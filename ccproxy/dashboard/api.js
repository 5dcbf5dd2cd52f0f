// Questions to the proxy. The token goes into a header and is kept for this tab alone.

const KEY = "ccproxy-token";

/** The proxy answered, but not with what was asked for. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Nobody answered, or the answer broke off. */
export class Gone extends Error {
  constructor() {
    super("The proxy does not answer.");
  }
}

/** Return the token of this tab; "" stands for none, null for not signed in. */
export function token() {
  return sessionStorage.getItem(KEY);
}

export function keepToken(value) {
  if (value === null) sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, value);
}

/** Return an answer whose status is 200; throws `Refused` or `Gone`. */
async function ask(path, options) {
  const value = token();
  const headers = value ? { Authorization: `Bearer ${value}` } : {};
  let response;
  try {
    response = await fetch(path, {
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      ...options,
      headers: { ...headers, ...options.headers },
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Gone();
  }
  if (!response.ok) throw new Refused(response.status, await reason(response));
  return response;
}

async function reason(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return `The proxy answered with HTTP ${response.status}.`;
  }
}

export async function get(path, signal) {
  const response = await ask(path, { signal });
  return body(response);
}

export async function post(path, document, signal) {
  const response = await ask(path, {
    method: "POST",
    body: JSON.stringify(document),
    headers: { "content-type": "application/json" },
    signal,
  });
  return body(response);
}

async function body(response) {
  try {
    return await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Gone();
  }
}

/** Yield the objects of a stream of JSON lines until it ends. */
export async function* lines(path, signal) {
  const response = await ask(path, { signal });
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const piece = await reader.read();
      if (piece.done) return;
      const texts = (rest + decoder.decode(piece.value, { stream: true })).split("\n");
      rest = texts.pop();
      for (const text of texts) if (text) yield JSON.parse(text);
    }
  } catch (error) {
    throw error.name === "AbortError" ? error : new Gone();
  } finally {
    reader.cancel().catch(() => {}); // whoever stops reading lets the proxy know
  }
}
