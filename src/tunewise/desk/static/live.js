// Keeps the page of a run up to date: pieces of the page and numbers come as server-sent events.
"use strict";

const shown = document.getElementById("now");
const curves = new Map(); // name of a training -> its numbers
let charts = [];

const colours = ["--challenger", "--incumbent", "--good", "--bad", "--open", "--soft"];
const dashes = [[], [6, 4], [2, 3], [8, 3, 2, 3]];

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function axes() {
  const line = { stroke: colour("--line"), width: 1 };
  const axis = { stroke: colour("--soft"), grid: line, ticks: line, font: "12px system-ui" };
  return [{ ...axis, size: 28 }, { ...axis, size: 56 }];
}

// One x for all trainings, with gaps where a training has no value.
function table(x, y) {
  const steps = [...new Set([...curves.values()].flatMap((one) => one[x]))].sort((a, b) => a - b);
  const columns = [...curves.values()].map((one) => {
    const at = new Map(one[x].map((step, n) => [step, one[y][n]]));
    return steps.map((step) => at.get(step) ?? null);
  });
  return [steps, ...columns];
}

function chart(id, x, y, options) {
  const place = document.getElementById(id);
  const names = [...curves.keys()];
  place.replaceChildren();
  const made = new uPlot(
    {
      width: Math.max(240, place.clientWidth),
      height: 190,
      legend: { show: false },
      cursor: { show: false },
      scales: { x: { time: false } },
      axes: axes(),
      series: [
        {},
        ...names.map((name, n) => ({
          label: name,
          stroke: colour(colours[n % colours.length]),
          dash: dashes[Math.floor(n / colours.length) % dashes.length],
          width: 1.6,
          spanGaps: true,
          points: { show: options.points },
        })),
      ],
    },
    table(x, y),
    place,
  );
  return { id, x, y, made, names: names.length };
}

function last(id, y, digits) {
  const newest = [...curves.values()].filter((one) => one[y].length).pop();
  const text = newest ? newest[y][newest[y].length - 1].toFixed(digits) : "";
  document.getElementById(`${id}-last`).textContent = text && `${text} now`;
  document.getElementById(id).setAttribute("aria-label", `${id} by step, ${text} at last`);
}

function key() {
  const items = [...curves.values()].map((one, n) => {
    const item = document.createElement("li");
    const mark = document.createElement("span");
    mark.className = "line-mark";
    mark.style.backgroundColor = colour(colours[n % colours.length]);
    const steps = one.total ? `${one.steps.length} of ${one.total} steps` : `${one.steps.length} steps`;
    item.append(mark, `${one.name}: ${steps}`);
    return item;
  });
  document.getElementById("key").replaceChildren(...items);
}

function draw() {
  if (!curves.size) {
    return;
  }
  document.getElementById("curves").hidden = false;
  const scored = [...curves.values()].some((one) => one.dev.length);
  document.getElementById("dev-figure").hidden = !scored;
  const known = charts.length && charts[0].names === curves.size && charts.length === (scored ? 3 : 2);
  if (known) {
    charts.forEach((one) => one.made.setData(table(one.x, one.y)));
  } else {
    charts.forEach((one) => one.made.destroy());
    charts = [
      chart("loss", "steps", "loss", { points: false }),
      chart("pace", "steps", "pace", { points: false }),
      ...(scored ? [chart("dev", "dev_steps", "dev", { points: true })] : []),
    ];
  }
  last("loss", "loss", 3);
  last("pace", "pace", 0);
  if (scored) {
    last("dev", "dev", 3);
  }
  key();
}

function redraw() {
  charts.forEach((one) => one.made.destroy());
  charts = [];
  draw();
}

function add(news) {
  for (const one of news) {
    const known = one.anew ? undefined : curves.get(one.name);
    if (!known) {
      curves.set(one.name, one);
      continue;
    }
    for (const name of ["steps", "loss", "pace", "dev_steps", "dev"]) {
      known[name].push(...one[name]);
    }
    known.total = one.total;
  }
  draw();
}

function follow() {
  const events = new EventSource(shown.dataset.events);
  events.addEventListener("now", (event) => {
    if (shown.contains(document.activeElement) && document.activeElement.matches("button")) {
      return; // do not take a button from under a finger
    }
    const before = document.getElementById("headline")?.textContent;
    shown.innerHTML = event.data; // from our own templates, every value escaped
    const now = document.getElementById("headline")?.textContent;
    if (now !== before) {
      document.getElementById("told").textContent = now;
    }
  });
  events.addEventListener("points", (event) => add(JSON.parse(event.data)));
  events.addEventListener("over", () => events.close());
}

let waiting;
window.addEventListener("resize", () => {
  clearTimeout(waiting);
  waiting = setTimeout(redraw, 200);
});
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
follow();
