// The page: sign in, follow what goes on, load figures, and say plainly what is wrong.

import { Gone, get, keepToken, lines, token } from "./api.js";
import { Budgets } from "./budgets.js";
import { fill, notice, part } from "./dom.js";
import { Failures } from "./failures.js";
import { moment } from "./format.js";
import { Latency } from "./latency.js";
import { showNow } from "./now.js";
import { Routes } from "./routes.js";
import { Usage } from "./usage.js";

const REFRESH_MS = 60_000;
const BETWEEN_STREAMS_MS = 500;
const SILENT_MS = 10_000;
const WAITS_S = [1, 2, 5, 10, 30];
const IN_URL =
  "A token in a URL is not used, because URLs are logged and remembered. It was taken out of this " +
  "one; revoke it if it was real, and enter a token here.";

const at = (id) => document.getElementById(id);
const sections = {
  usage: new Usage(),
  latency: new Latency(),
  failures: new Failures(),
  routes: new Routes(signOut),
  budgets: new Budgets(),
};
const shown = {};
let session = null;

function say(text, kind) {
  const place = at("connection");
  if (place.textContent !== text) place.textContent = text;
  place.className = kind;
}

/** Show the form; a refusal of the proxy says why. */
function signOut(refusal) {
  session?.abort();
  session = null;
  keepToken(null);
  at("figures").hidden = true;
  at("leave").hidden = true;
  at("login").hidden = false;
  document.title = "ccproxy";
  say("Not signed in", "neutral");
  at("login-problem").textContent = refusal ? words(refusal) : "";
  at("token").value = "";
  at("token").focus();
}

function words(error) {
  if (error.status === 401) return "The proxy does not know this token.";
  return error.message;
}

function begin() {
  session = new AbortController();
  at("login").hidden = true;
  at("figures").hidden = false;
  at("leave").hidden = false;
  follow(session.signal);
  loadAll(session.signal);
}

/** Follow the live stream until signed out; a proxy that is gone is asked again and again. */
async function follow(signal) {
  let failures = 0;
  while (!signal.aborted) {
    try {
      await untilVisible(signal);
      for await (const snapshot of lively("admin/live", signal)) {
        if (failures) loadAll(signal);
        failures = 0;
        showNow(snapshot);
        say(`Live, ${moment(snapshot.at_s)}`, "good");
        if (document.hidden) break;
      }
      await pause(BETWEEN_STREAMS_MS, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === 401 || error.status === 403) return signOut(error);
      const waitS = WAITS_S[Math.min(failures, WAITS_S.length - 1)];
      failures += 1;
      say(`${error.message} What is shown is old; trying again every ${waitS} s.`, "bad");
      await pause(waitS * 1000, signal);
    }
  }
}

/** Yield what a stream brings; one that falls silent, as over a lost network, is given up. */
async function* lively(path, signal) {
  const silent = new AbortController();
  let timer = setTimeout(() => silent.abort(), SILENT_MS);
  try {
    for await (const snapshot of lines(path, AbortSignal.any([signal, silent.signal]))) {
      clearTimeout(timer);
      timer = setTimeout(() => silent.abort(), SILENT_MS);
      yield snapshot;
    }
  } catch (error) {
    throw silent.signal.aborted ? new Gone() : error;
  } finally {
    clearTimeout(timer);
  }
}

function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}

/** A page that nobody sees asks for nothing. */
async function untilVisible(signal) {
  while (document.hidden && !signal.aborted) {
    await new Promise((resolve) => {
      document.addEventListener("visibilitychange", resolve, { once: true });
      signal.addEventListener("abort", resolve, { once: true });
    });
  }
}

async function loadAll(signal) {
  await Promise.all(Object.keys(sections).map((name) => load(name, signal)));
  if (!signal.aborted) at("as-of").textContent = `As of ${moment(Date.now() / 1000)}`;
}

/** Load one section; what is wrong with it is said there and leaves the others alone. */
async function load(name, signal) {
  const problem = part(name, "problem");
  try {
    const told = await sections[name].ask(at("hours").value, signal);
    if (signal.aborted) return;
    fill(problem, []);
    const known = JSON.stringify(told);
    if (known === shown[name]) return; // nobody loses the place in a list that is the same
    shown[name] = known;
    sections[name].show(told);
  } catch (error) {
    if (signal.aborted || error.name === "AbortError") return;
    if (error.status === 401 || error.status === 403) return signOut(error);
    fill(problem, [notice(error.message, "problem")]);
  }
}

function refresh(...names) {
  if (!session) return;
  if (names.length) names.forEach((name) => load(name, session.signal));
  else loadAll(session.signal);
}

at("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  keepToken(at("token").value.trim());
  try {
    await get("admin/budgets");
    begin();
    at("main").focus();
  } catch (error) {
    signOut(error);
  }
});
at("leave").addEventListener("click", () => signOut());
at("period").addEventListener("submit", (event) => {
  event.preventDefault();
  refresh();
});
at("hours").addEventListener("change", () => refresh("usage", "latency", "failures"));
at("by").addEventListener("change", () => refresh("usage"));
setInterval(() => document.hidden || refresh(), REFRESH_MS);

const isInUrl = /token|ccp_/i.test(location.hash);
if (isInUrl) history.replaceState(null, "", location.pathname);
if (token() === null || isInUrl) signOut(isInUrl ? new Error(IN_URL) : null);
else begin();
