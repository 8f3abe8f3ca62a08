// Where figures come from: JSON answers, and a stream of changes that falls back to asking again and again.

const POLL_MS = 5000;
const SILENCE_MS = 15000;

export async function ask(path, parameters = {}) {
  const query = new URLSearchParams(parameters).toString();
  return answered(await fetch(`/api/v1/${path}${query ? `?${query}` : ""}`, { headers: { Accept: "application/json" } }));
}

/** Send something that changes the register; the answer is what then holds. */
export async function send(path, body) {
  const headers = { Accept: "application/json", "Content-Type": "application/json" };
  return answered(await fetch(`/api/v1/${path}`, { method: "POST", headers, body: JSON.stringify(body) }));
}

async function answered(response) {
  let body = null;
  try {
    body = await response.json();
  } catch {
    body = null;
  }
  if (!response.ok || body === null) {
    throw new Error(body && body.error ? body.error : `the server answered ${response.status}; is csf-pulse running?`);
  }
  return body;
}

/**
 * Follow a selection. ``on`` holds listeners by event name (csfs, csf, clock, problem); ``poll`` asks for everything.
 * Returns a function that ends it. While the page is hidden nothing is followed.
 */
export function follow(parameters, on, poll, { stream = true } = {}) {
  let source = null;
  let timer = null;
  let heard = performance.now();
  let ended = false;

  const again = () => {
    if (ended || document.hidden) return;
    poll().then(() => { heard = performance.now(); }, (error) => on.problem({ error: error.message }));
  };
  const startPolling = () => {
    if (timer === null) timer = setInterval(again, POLL_MS);
  };
  const stopPolling = () => {
    clearInterval(timer);
    timer = null;
  };
  const open = () => {
    if (source !== null || ended || document.hidden) return;
    source = new EventSource(`/api/v1/stream?${new URLSearchParams(parameters)}`);
    for (const [name, listener] of Object.entries(on)) {
      source.addEventListener(name, (message) => {
        heard = performance.now();
        if (name !== "problem") stopPolling();
        listener(JSON.parse(message.data));
      });
    }
    source.onerror = () => {
      // the browser tries again by itself unless the answer was a refusal
      if (source && source.readyState === EventSource.CLOSED) close();
      startPolling();
    };
  };
  const close = () => {
    if (source) source.close();
    source = null;
  };
  const watch = setInterval(() => {
    if (stream && !ended && !document.hidden && performance.now() - heard > SILENCE_MS) {
      heard = performance.now();
      close();
      again();
      open();
    }
  }, 5000);
  const shown = () => {
    if (document.hidden) close();
    else {
      again();
      if (stream) open();
    }
  };
  document.addEventListener("visibilitychange", shown);
  if (stream) open();
  else startPolling();

  return () => {
    ended = true;
    close();
    stopPolling();
    clearInterval(watch);
    document.removeEventListener("visibilitychange", shown);
  };
}
