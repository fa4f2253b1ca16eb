// Asks several models at once and shows their answers as they come.
"use strict";

const form = document.getElementById("ask");
const replies = document.getElementById("replies");
const fault = document.getElementById("fault");
const end = document.getElementById("end");
let going = null; // ends the requests that are under way

function models() {
  return new FormData(form).getAll("model");
}

function seconds(since) {
  return `${((performance.now() - since) / 1000).toFixed(2)} s`;
}

// The events of a stream, one JSON object each, until [DONE].
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) {
      return;
    }
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const data = part
        .split("\n")
        .filter((line) => line.startsWith("data:"))
        .map((line) => line.slice(5).trim())
        .join("\n");
      if (data === "[DONE]") {
        return;
      }
      if (data) {
        yield JSON.parse(data);
      }
    }
  }
}

// What the tokens cost, where the model's project names prices per million.
function costOf(model, usage) {
  const box = form.querySelector(`input[value="${CSS.escape(model)}"]`);
  const { prompt, cached, completion, currency } = box?.dataset ?? {};
  if (prompt === undefined) {
    return "";
  }
  const kept = usage.prompt_tokens_details?.cached_tokens ?? 0;
  const cost =
    ((usage.prompt_tokens - kept) * prompt + kept * cached + usage.completion_tokens * completion) /
    1e6;
  return `, ${cost ? cost.toPrecision(2) : 0} ${currency}`;
}

function cardFor(model, text) {
  const card = document.getElementById("reply").content.cloneNode(true).firstElementChild;
  card.querySelector("h2").textContent = model;
  const details = card.querySelector("details");
  details.addEventListener("toggle", async () => {
    const place = card.querySelector(".prompt");
    if (details.open && !place.childNodes.length) {
      const query = new URLSearchParams({ model, text });
      const answer = await fetch(`/ui/playground/prompt?${query}`);
      if (answer.ok) {
        place.innerHTML = await answer.text(); // from our own templates, every value escaped
      } else {
        place.textContent = "The prompt cannot be shown.";
      }
    }
  });
  replies.append(card);
  return card;
}

async function ask(model, text, signal) {
  const card = cardFor(model, text);
  const said = card.querySelector(".said");
  const figures = card.querySelector(".figures-line");
  const began = performance.now();
  let first = "";
  figures.textContent = "asked";
  try {
    const answer = await fetch(form.dataset.ask, {
      method: "POST",
      signal,
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({
        model,
        messages: [{ role: "user", content: text }],
        stream: true,
        stream_options: { include_usage: true },
      }),
    });
    if (!answer.ok) {
      throw new Error((await answer.json()).error?.message ?? `The server said ${answer.status}.`);
    }
    let usage = null;
    let version = model;
    for await (const event of events(answer.body)) {
      if (event.error) {
        throw new Error(event.error.message);
      }
      version = event.model ?? version;
      usage = event.usage ?? usage;
      const piece = event.choices?.[0]?.delta?.content;
      if (piece) {
        first = first || seconds(began);
        said.append(piece);
        figures.textContent = `first token ${first}`;
      }
    }
    const cost = usage ? costOf(model, usage) : "";
    const tokens = usage ? `, ${usage.prompt_tokens} + ${usage.completion_tokens} tokens` : "";
    const start = first ? `first token ${first}, ` : "";
    const by = version === model ? "" : `${version}: `;
    figures.textContent = `${by}${start}all ${seconds(began)}${tokens}${cost}`;
    document.getElementById("told").textContent = `${model} has answered.`;
  } catch (error) {
    figures.textContent = error.name === "AbortError" ? "stopped" : "";
    if (error.name !== "AbortError") {
      const told = document.createElement("p");
      told.className = "bad";
      told.textContent = error.message;
      card.querySelector(".said").after(told);
    }
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const chosen = models();
  const text = new FormData(form).get("text").trim();
  const most = Number(form.dataset.most);
  fault.textContent = "";
  if (!chosen.length || chosen.length > most) {
    fault.textContent = `Choose one to ${most} models.`;
    return;
  }
  going?.abort();
  const own = (going = new AbortController());
  replies.replaceChildren();
  end.disabled = false;
  const query = new URLSearchParams([["text", text], ...chosen.map((one) => ["model", one])]);
  history.replaceState(null, "", `?${query}`);
  await Promise.all(chosen.map((model) => ask(model, text, own.signal)));
  if (going === own) {
    end.disabled = true;
  }
});

end.addEventListener("click", () => going?.abort());
