// The page of a run. Its data is in the elements #index and #dataN (page_data.cc says what they hold). Every text that a guest may
// have chosen gets into the document by textContent, never as markup.
"use strict";
(() => {
const page = document.getElementById("page");
const read = id => { const e = document.getElementById(id); return e ? JSON.parse(e.textContent) : null; };
const index = read("index");
const dark = window.matchMedia("(prefers-color-scheme: dark)");

// el("div", {className: "card"}, child, "text"): strings become text.
const el = (name, properties, ...children) => {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(properties || {})) {
    if (key.includes("-") || key === "role") e.setAttribute(key, value);
    else e[key] = value;
  }
  e.append(...children.flat(Infinity).filter(c => c !== null && c !== undefined && c !== ""));
  return e;
};
// A color of page.css, asked for once in each scheme.
const colors = new Map();
const color = name => {
  if (!colors.has(name)) colors.set(name, getComputedStyle(document.documentElement).getPropertyValue(name).trim());
  return colors.get(name);
};
// What is far below is made when it comes near: a long run's page is there at once.
const whenNear = (element, act) => {
  const watch = new IntersectionObserver(entries => {
    if (!entries.some(e => e.isIntersecting)) return;
    watch.disconnect();
    act();
  }, {rootMargin: "300px 0px"});
  watch.observe(element);
};
const time = us => us === null || us === undefined ? "" : (us < 0 ? "-" : "+") + (Math.abs(us) / 1e6).toFixed(3) + " s";
const span = us => us >= 1e6 ? (us / 1e6).toFixed(2) + " s" : us >= 1e3 ? (us / 1e3).toFixed(us >= 1e5 ? 0 : 1) + " ms" : us + " us";
const number = v => v === null || v === undefined ? "-" : Math.abs(v) >= 1e6 ? (v / 1e6).toFixed(1) + " M" : Math.abs(v) >= 1e4 ? (v / 1e3).toFixed(1) + " k" : String(v);
const words = {pass: "pass", flaky: "flaky", fail: "fail", inconclusive: "no verdict", skip: "skipped", not_run: "not run"};
const badge = status => el("span", {className: "badge " + status}, words[status] || status);

const copied = async (text, button) => {
  try {
    await navigator.clipboard.writeText(text);
  } catch (e) {
    const area = el("textarea", {value: text});
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    button.focus();
  }
  button.textContent = "copied";
  setTimeout(() => { button.textContent = "copy"; }, 1500);
};
const copyLine = (label, text) => {
  if (!text) return null;
  const button = el("button", {type: "button", "aria-label": "copy the " + label}, "copy");
  button.addEventListener("click", () => copied(text, button));
  return el("div", {className: "copyline"}, el("span", {className: "label"}, label), el("code", {}, text), button);
};
const toggle = (label, pressed, change) => {
  const button = el("button", {type: "button", "aria-pressed": String(pressed)}, label);
  button.addEventListener("click", () => change(button));
  return button;
};
// Buttons of which one is pressed.
const choice = (names, chosen, change) => {
  const buttons = names.map((name, i) => toggle(name, i === chosen, () => {
    buttons.forEach((b, k) => b.setAttribute("aria-pressed", String(k === i)));
    change(i);
  }));
  return buttons;
};
const card = (title, ...children) => el("section", {className: "card", "aria-label": title}, el("h2", {}, title), children);
const keysHelp = text => el("p", {className: "help"}, text.map(part => Array.isArray(part) ? el("kbd", {}, part[0]) : part));

// --- the index ---------------------------------------------------------------------------------------------------------
let wanted = "", wantedStatus = null;
const showIndex = () => {
  document.title = "ktstr: " + index.counts;
  const rows = el("tbody", {});
  const count = el("span", {className: "muted small", role: "status"});
  const fill = () => {
    const low = wanted.toLowerCase();
    const found = index.tests.map((test, i) => [test, i]).filter(([test]) =>
      (!wantedStatus || test.status === wantedStatus) &&
      (!low || [test.name, test.kernel, test.scheduler, test.summary, test.signature, test.topology].some(t => (t || "").toLowerCase().includes(low))));
    rows.replaceChildren(...found.map(([test, i]) => el("tr", {},
      el("td", {}, badge(test.status)),
      el("td", {}, el("a", {href: "#/" + i}, test.name)),
      el("td", {className: "wide"}, test.scheduler || ""),
      el("td", {className: "wide"}, test.kernel || ""),
      el("td", {className: "wide"}, test.topology || ""),
      el("td", {className: "number wide"}, test.tries.length ? (test.duration_ms / 1000).toFixed(1) + " s" : ""),
      el("td", {className: "why"}, test.status === "pass" ? "" : test.signature || test.summary || ""))));
    count.textContent = found.length === index.tests.length ? "" : found.length + " of " + index.tests.length + " tests";
  };
  const filter = el("input", {type: "search", placeholder: "filter tests", value: wanted, id: "filter", "aria-label": "filter tests"});
  filter.addEventListener("input", () => { wanted = filter.value; fill(); });
  const seen = [...new Set(index.tests.map(t => t.status))];
  const buttons = seen.length > 1 ? choice(["all", ...seen.map(s => words[s] + " " + index.tests.filter(t => t.status === s).length)],
    wantedStatus ? seen.indexOf(wantedStatus) + 1 : 0, i => { wantedStatus = i ? seen[i - 1] : null; fill(); }) : [];
  fill();
  page.replaceChildren(
    el("header", {className: "top"}, el("h1", {}, "ktstr"), el("span", {className: "grow"}, index.counts)),
    el("main", {className: "card"},
      el("div", {className: "row"}, filter, buttons, count),
      el("table", {className: "index"},
        el("thead", {}, el("tr", {}, ["", "test", "scheduler", "kernel", "topology", "time", "signature or reason"].map((t, i) =>
          el("th", {className: i >= 2 && i <= 5 ? "wide" : "", scope: "col"}, t)))), rows)),
    keysHelp(["Keys: ", ["/"], " filter, ", ["n"], " ", ["p"], " next and previous test."]));
};

// What belongs to the test that is shown.
let state = {charts: null, later: []};

// --- charts ------------------------------------------------------------------------------------------------------------
// Dygraphs' own legend writes markup; ours is made of elements.
Dygraph.PLUGINS = Dygraph.PLUGINS.filter(plugin => plugin === Dygraph.Plugins.Axes || plugin === Dygraph.Plugins.Grid);
const timeAxis = {
  axisLabelFormatter: v => { const t = Math.round(v * 1e6) / 1e6; return (t > 0 ? "+" : "") + t + " s"; },
  valueFormatter: v => String(v), axisLabelWidth: 70, pixelsPerLabel: 90};

// All charts of a test show the same span of time.
class Charts {
  constructor(data) {
    this.data = data;
    this.all = [];
    this.moving = false;
    const s = data.series;
    const ends = [];
    for (const p of data.phases || []) { ends.push(p.from); if (p.to !== null) ends.push(p.to); }
    if (s) ends.push(s.from, s.from + (s.steps[s.steps.length - 1] + 1) * s.width);
    if (data.exit_at !== undefined) ends.push(data.exit_at);
    this.from = Math.min(...ends) / 1e6;
    this.to = Math.max(...ends) / 1e6;
    if (!(this.to > this.from)) this.to = this.from + 1;
    // A long boot before the first sample is not what is looked for first.
    this.home = s && s.from / 1e6 - this.from > (this.to - this.from) / 2 ? s.from / 1e6 - (this.to - s.from / 1e6) / 20 : this.from;
    this.x = s ? s.steps.map(i => (s.from + (i + 0.5) * s.width) / 1e6) : [];
  }
  // Everything in colors is drawn again when the browser changes its scheme.
  destroy() { for (const c of this.all) c.graph.destroy(); this.all = []; }
  repaint() { for (const c of this.all) c.graph.updateOptions({...this.colors(c), file: c.rows}); }
  colors(c) {
    return {colors: c.names.map((_, i) => color("--s" + i % 12)), gridLineColor: color("--grid"), axisLineColor: color("--line")};
  }
  window() { return this.all.length ? this.all[0].graph.xAxisRange() : [this.home, this.to]; }
  show(from, to) {
    const least = (this.to - this.from) / 1e5;
    if (to - from < least) return;
    from = Math.max(from, this.from);
    to = Math.min(to, this.to);
    this.moving = true;
    for (const c of this.all) c.graph.updateOptions({dateWindow: [from, to]});
    this.moving = false;
  }
  zoom(factor) {
    const [a, b] = this.window(), middle = (a + b) / 2, half = (b - a) / 2 * factor;
    this.show(middle - half, middle + half);
  }
  move(part) {
    const [a, b] = this.window(), by = Math.max(this.from - a, Math.min(this.to - b, (b - a) * part));
    this.show(a + by, b + by);
  }
  reset() { this.show(this.from, this.to); }
  keys(event) {
    const act = {ArrowLeft: () => this.move(-0.25), ArrowRight: () => this.move(0.25), "+": () => this.zoom(0.5), "=": () => this.zoom(0.5),
                 "-": () => this.zoom(2), "0": () => this.reset()}[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  }
  // Phases as bands and the crash as a line, below what a chart draws.
  bands(context, area, graph, names) {
    const left = area.x, right = area.x + area.w;
    context.save();
    context.beginPath();
    context.rect(area.x, area.y, area.w, area.h);
    context.clip();
    context.font = "12px system-ui, sans-serif";
    (this.data.phases || []).forEach((p, i) => {
      const a = Math.max(left, graph.toDomXCoord(p.from / 1e6));
      const b = Math.min(right, graph.toDomXCoord((p.to === null ? this.to * 1e6 : p.to) / 1e6));
      if (b <= a) return;
      context.fillStyle = color(i % 2 ? "--band1" : "--band0");
      context.fillRect(a, area.y, b - a, area.h);
      if (!names || b - a < 14) return;
      context.save();
      context.beginPath();
      context.rect(a, area.y, b - a - 3, area.h);
      context.clip();
      context.fillStyle = color("--ink");
      context.fillText(p.name, a + 4, area.y + 14 + (i % 3) * 15);
      context.restore();
    });
    if (this.data.exit_at !== undefined) {
      const at = graph.toDomXCoord(this.data.exit_at / 1e6);
      context.fillStyle = color("--crash");
      context.fillRect(at - 1, area.y, 2, area.h);
      if (names) {
        const label = "scheduler aborted", width = context.measureText(label).width;
        context.fillText(label, at + 6 + width > right ? at - 6 - width : at + 6, area.y + area.h - 5);
      }
    }
    context.restore();
  }
  // rows: [x, value, ...]; names: of the values.
  add(box, {title, height, rows, names, options, underlay, label}) {
    const holder = el("div", {className: "chart", tabIndex: 0, role: "group", "aria-label": title + ". Arrow keys move, + and - zoom, 0 shows all."});
    holder.style.height = height + "px";
    box.append(holder);
    holder.addEventListener("keydown", e => this.keys(e));
    const chart = {rows, names, holder};
    const model = Object.assign({}, Dygraph.defaultInteractionModel);
    for (const key of ["touchstart", "touchmove", "touchend"]) delete model[key];  // a finger scrolls the page
    model.dblclick = () => this.reset();
    chart.graph = new Dygraph(holder, rows, Object.assign({
      labels: ["time", ...names.map((_, i) => "s" + i)],
      legend: "never", animatedZooms: false, connectSeparatedPoints: true, strokeWidth: 1.4, highlightCircleSize: 3,
      dateWindow: this.window(), interactionModel: model, xRangePad: 0, rightGap: 8,
      axes: {x: timeAxis,
             y: {axisLabelWidth: 52, axisLabelFormatter: number, pixelsPerLabel: 26}},
      underlayCallback: (context, area, graph) => { if (underlay) underlay(context, area, graph); else this.bands(context, area, graph, false); },
      drawCallback: (graph, first) => {
        if (first || this.moving) return;
        this.show(...graph.xAxisRange());
      },
    }, this.colors(chart), options));
    this.all.push(chart);
    return chart;
  }
}

const head = (title, note, ...more) => el("div", {className: "chart-head"}, el("h3", {}, title), el("span", {className: "muted small"}, note || ""), more);

const phaseChart = (charts, box) => {
  const marks = charts.data.marks || [];
  const readout = el("div", {className: "readout", role: "status"});
  box.append(head("phases and events", ""));
  const chart = charts.add(box, {
    title: "phases and events", height: 96, rows: [[charts.from, 0], [charts.to, 0]], names: ["nothing"],
    options: {axes: {x: {...timeAxis, drawGrid: false},
                     y: {drawGrid: false, axisLabelFormatter: () => "", axisLabelWidth: 52}}, valueRange: [0, 1], strokeWidth: 0, highlightCircleSize: 0},
    underlay: (context, area, graph) => {
      charts.bands(context, area, graph, true);
      context.save();
      context.beginPath();
      context.rect(area.x, area.y, area.w, area.h);
      context.clip();
      for (const mark of marks) {
        const x = graph.toDomXCoord(mark.at / 1e6), y = area.y + area.h;
        context.fillStyle = color(mark.source ? "--s1" : "--s0");
        context.beginPath();
        context.moveTo(x, y - 9);
        context.lineTo(x + 4, y);
        context.lineTo(x - 4, y);
        context.fill();
      }
      context.restore();
    }});
  box.append(readout);
  chart.holder.addEventListener("mousemove", e => {
    const [x] = chart.graph.eventToDomCoords(e);
    const near = marks.map(m => [Math.abs(chart.graph.toDomXCoord(m.at / 1e6) - x), m]).filter(([d]) => d < 8).sort((a, b) => a[0] - b[0]);
    const at = chart.graph.toDataXCoord(x) * 1e6;
    const phase = charts.data.phases.find(p => at >= p.from && (p.to === null || at < p.to));
    readout.textContent = time(at) + (phase ? ", " + phase.name : "") + (near.length ? ": " + (near[0][1].source ? near[0][1].source + ": " : "") + near[0][1].text : "");
  });
};

// Colors from the least to the greatest value.
const heatColors = () => {
  const stops = ["--heat0", "--heat1", "--heat2", "--heat3"].map(name => {
    const digits = color(name).slice(1);
    return [0, 2, 4].map(i => parseInt(digits.slice(i, i + 2), 16));
  });
  return part => {
    const at = Math.max(0, Math.min(0.9999, part)) * (stops.length - 1), i = Math.floor(at), f = at - i;
    return stops[i].map((v, k) => Math.round(v + (stops[i + 1][k] - v) * f));
  };
};

const heatChart = (charts, box) => {
  const s = charts.data.series, cpus = s.running.length;
  const metrics = [["runnable tasks", s.running, "runnable"]];
  if (s.local.some(row => row)) metrics.push(["local DSQ", s.local, "on the local DSQ"]);
  let chosen = 0, image = null, greatest = 0;
  const scale = el("span", {className: "scale", "aria-hidden": "true"});
  const readout = el("div", {className: "readout", role: "status"});
  const columns = s.steps[s.steps.length - 1] + 1;
  // A step without a sample shows the one before, unless no sample was taken for long.
  const source = new Int32Array(columns).fill(-1);
  const gaps = s.steps.slice(1).map((v, i) => v - s.steps[i]).sort((a, b) => a - b);
  const usual = (gaps[Math.floor(gaps.length / 2)] || 1) * 3;
  s.steps.forEach((step, i) => { for (let c = step; c < Math.min(columns, step + usual) && (i + 1 === s.steps.length || c < s.steps[i + 1]); ++c) source[c] = i; });
  const paint = () => {
    const values = metrics[chosen][1], toColor = heatColors();
    greatest = 1;
    for (const row of values) for (const v of row || []) if (v > greatest) greatest = v;
    const colorOf = v => toColor(greatest <= 1 ? 0.4 : Math.log(v) / Math.log(greatest));
    image = document.createElement("canvas");
    image.width = columns;
    image.height = cpus;
    const pixels = new ImageData(columns, cpus);
    for (let cpu = 0; cpu < cpus; ++cpu) {
      const row = values[cpu];
      if (!row) continue;
      for (let c = 0; c < columns; ++c) {
        const v = source[c] < 0 ? 0 : row[source[c]];
        if (!v) continue;
        const at = ((cpus - 1 - cpu) * columns + c) * 4, rgb = colorOf(v);
        pixels.data[at] = rgb[0]; pixels.data[at + 1] = rgb[1]; pixels.data[at + 2] = rgb[2]; pixels.data[at + 3] = 255;
      }
    }
    image.getContext("2d").putImageData(pixels, 0, 0);
    const steps = [...new Set([1, Math.ceil(Math.sqrt(greatest)), greatest])];
    scale.replaceChildren(...steps.flatMap(v => { const i = el("i", {}); i.style.background = "rgb(" + colorOf(v).join(",") + ")"; return [i, String(v)]; }));
  };
  paint();
  const chart = {};
  const buttons = metrics.length > 1 ? choice(metrics.map(m => m[0]), 0, i => { chosen = i; paint(); chart.it.graph.updateOptions({file: chart.it.rows}); }) : [];
  box.append(head("run queue of each CPU", "", buttons, scale));
  const height = Math.max(90, Math.min(420, cpus * (cpus > 40 ? 6 : 16))) + 24;
  chart.it = charts.add(box, {
    title: "run queue of each CPU", height, rows: [[charts.from, 0], [charts.to, 0]], names: ["nothing"],
    options: {valueRange: [-0.5, cpus - 0.5], strokeWidth: 0, highlightCircleSize: 0,
              axes: {x: {...timeAxis, drawGrid: false},
                     y: {axisLabelWidth: 52, drawGrid: false, ticker: (a, b, pixels) => {
                       const every = Math.max(1, Math.ceil(cpus / Math.max(1, pixels / 16))), out = [];
                       for (let cpu = 0; cpu < cpus; cpu += every) out.push({v: cpu, label: "CPU " + cpu});
                       return out;
                     }}}},
    underlay: (context, area, graph) => {
      charts.bands(context, area, graph, false);
      const x0 = graph.toDomXCoord(s.from / 1e6), x1 = graph.toDomXCoord((s.from + columns * s.width) / 1e6);
      context.save();
      context.beginPath();
      context.rect(area.x, area.y, area.w, area.h);
      context.clip();
      context.imageSmoothingEnabled = false;
      context.drawImage(image, x0, area.y, x1 - x0, area.h);
      if (charts.data.exit_at !== undefined) {
        context.fillStyle = color("--crash");
        context.fillRect(graph.toDomXCoord(charts.data.exit_at / 1e6) - 1, area.y, 2, area.h);
      }
      context.restore();
    }});
  chart.it.repaint = paint;
  box.append(readout);
  chart.it.holder.addEventListener("mousemove", e => {
    const [x, y] = chart.it.graph.eventToDomCoords(e);
    const at = chart.it.graph.toDataXCoord(x) * 1e6, cpu = Math.round(chart.it.graph.toDataYCoord(y));
    const step = source[Math.floor((at - s.from) / s.width)];
    const row = metrics[chosen][1][cpu];
    readout.textContent = cpu < 0 || cpu >= cpus ? "" : "CPU " + cpu + ", " + time(at) + ": " +
      (step === undefined || step < 0 ? "no sample" : (row ? row[step] : 0) + " " + metrics[chosen][2]);
  });
};

// Lines with a legend whose entries switch them off and on.
const lineChart = (charts, box, title, note, lines, options, unit) => {
  const rows = charts.x.map((x, i) => [x, ...lines.map(line => line.values[i])]);
  const values = lines.map(() => el("span", {className: "muted"}));
  const when = el("span", {className: "muted small"});
  const visible = lines.map(() => true);
  const chart = {};
  const swatches = lines.map(() => el("span", {className: "swatch"}));
  const legend = el("div", {className: "legend"}, lines.map((line, i) => toggle([swatches[i], line.name, values[i]], true, button => {
    visible[i] = !visible[i];
    button.setAttribute("aria-pressed", String(visible[i]));
    chart.it.graph.setVisibility(i, visible[i]);
  })));
  box.append(head(title, note, when), legend);
  chart.it = charts.add(box, {title, height: 150, rows, names: lines.map(l => l.name), options: Object.assign({
    includeZero: true,
    highlightCallback: (e, x, points) => {
      const row = rows[charts.x.indexOf(x)];
      if (!row) return;
      when.textContent = time(x * 1e6);
      values.forEach((v, i) => { v.textContent = " " + (unit ? unit(row[i + 1]) : number(row[i + 1])); });
    },
    unhighlightCallback: () => { when.textContent = ""; values.forEach(v => { v.textContent = ""; }); },
  }, options)});
  const paint = () => swatches.forEach((s, i) => { s.style.background = color("--s" + i % 12); });
  chart.it.repaint = paint;
  paint();
};

const chartsCard = data => {
  const s = data.series;
  const box = el("div", {className: "chart-box"});
  const charts = new Charts(data);
  state.charts = charts;
  const zoom = (text, label, act) => { const b = el("button", {type: "button", "aria-label": label, title: label}, text); b.addEventListener("click", act); return b; };
  const tools = el("div", {className: "row"},
    zoom("−", "zoom out", () => charts.zoom(2)), zoom("+", "zoom in", () => charts.zoom(0.5)),
    zoom("←", "earlier", () => charts.move(-0.25)), zoom("→", "later", () => charts.move(0.25)), zoom("all", "show all", () => charts.reset()),
    data.exit_at === undefined ? null : zoom("the crash", "show what was just before and after the crash", () => {
      const half = Math.max((charts.to - charts.from) / 40, 0.1);
      charts.show(data.exit_at / 1e6 - 1.5 * half, data.exit_at / 1e6 + 0.5 * half);
    }),
    el("span", {className: "muted small"}, "Drag to zoom, shift and drag to move, double click for all."));
  const section = card("over time", tools, box);
  // Dygraphs measures its element, so the charts are made once the section is part of the document.
  state.later.push(() => {
    phaseChart(charts, box);
    if (!s) {
      box.append(el("p", {className: "muted"}, "The monitor took no sample of this run."));
      return;
    }
    heatChart(charts, box);
    const load = [{name: "runnable tasks, all CPUs", values: s.total}];
    for (const line of s.schedstats || []) load.push({name: line.name + " per s", values: line.values});
    const lines = (...rest) => {
      const slot = el("div", {className: "slot"});
      box.append(slot);
      whenNear(slot, () => {
        if (state.charts !== charts) return;
        slot.className = "";
        lineChart(charts, slot, ...rest);
      });
    };
    lines("load", "mean of each step", load.slice(0, 1), {});
    if (s.dsqs.length) lines("depth of DSQs", s.dsqs_left_out ? "the deepest; others held tasks, too" : "", s.dsqs, {stepPlot: true});
    if (s.wait_us.some(v => v > 0))
      lines("longest wait of a runnable task", "of sched_ext", [{name: "wait", values: s.wait_us}], {stepPlot: true, axes: {x: timeAxis, y: {axisLabelWidth: 52, axisLabelFormatter: span, pixelsPerLabel: 26}}}, span);
    if (s.counters.length) lines("sched_ext events", "per second", s.counters, {});
    for (const chart of s.metrics || [])
      lines(chart.title, "of a collector; the last value of each step", chart.lines, {connectSeparatedPoints: true, includeZero: false});
    if (load.length > 1) lines("the kernel's own counts", "per second", load.slice(1), {});
    box.append(el("p", {className: "muted small"}, "Each step of these charts is " + span(s.width) + " of guest time: depths and waits are the greatest that a sample in it saw, rates are the growth between the last samples of two steps. Time 0 is the workload's start."));
  });
  if ((data.marks || []).length) {
    const rows = data.marks.map(mark => {
      const at = el("button", {type: "button", className: "mono"}, time(mark.at));
      at.addEventListener("click", () => {
        const half = (charts.to - charts.from) / 40;
        charts.show(mark.at / 1e6 - half, mark.at / 1e6 + half);
      });
      return el("tr", {}, el("td", {}, at), el("td", {}, mark.source ? el("span", {className: "muted"}, mark.source + ": ") : "", mark.text));
    });
    section.append(el("details", {className: "section", open: data.marks.length <= 12}, el("summary", {}, data.marks.length + " events"), el("div", {className: "events"}, el("table", {}, el("tbody", {}, rows)))));
  }
  return section;
};

// --- the freeze --------------------------------------------------------------------------------------------------------
const taskChip = (task, runs) => el("span", {className: "task" + (runs ? " runs" : "") + (task.named ? " named" : ""), title: task.named ? "named by the kernel" : ""},
  task.task + (task.state ? " " + task.state : "") + (task.waits ? " waits " + task.waits : ""));
const more = n => n ? el("span", {className: "muted"}, "and " + n + " more") : null;

const frozenCard = frozen => {
  const cpus = frozen.cpus.map(cpu => el("div", {className: "queue" + (cpu.idle ? " idle" : "")}, el("b", {}, "CPU " + cpu.cpu), " ",
    el("span", {className: "muted"}, cpu.idle ? "idle" : cpu.runnable + " runnable, " + cpu.scx + " of sched_ext"), el("br", {}),
    cpu.runs && !cpu.idle ? taskChip(cpu.runs, true) : null, cpu.tasks.filter(t => !cpu.runs || t.task !== cpu.runs.task).map(t => taskChip(t, false))));
  const dsqs = frozen.dsqs.map(dsq => el("div", {className: "queue"}, el("b", {}, dsq.name), " ", el("span", {className: "muted"}, dsq.depth + (dsq.depth === 1 ? " task" : " tasks") + ", head first"), el("br", {}),
    dsq.tasks.map(t => taskChip(t, false)), more(dsq.left_out)));
  const maps = frozen.maps.map(map => el("details", {className: "section"}, el("summary", {}, map.name, el("span", {className: "muted"}, " " + map.type + (map.note ? ", " + map.note : ""))),
    map.entries.map(entry => el("div", {className: "tree"}, entry.key ? el("div", {}, "[" + entry.key + "]") : null,
      el("table", {}, el("tbody", {}, entry.fields.map(([name, value]) => el("tr", {}, el("td", {}, name), el("td", {}, value))))), more(entry.left_out))), more(map.left_out)));
  const threads = frozen.threads.map(thread => el("details", {className: "section"}, el("summary", {}, thread.name, el("span", {className: "muted"}, " " + thread.state + (thread.waits_in ? ", sleeps in " + thread.waits_in : ""))),
    el("pre", {}, thread.stack.join("\n"))));
  return card("queues " + frozen.title,
    el("p", {className: "muted small"}, frozen.reason + (frozen.held ? ", with the VM paused for " + frozen.held : "") + (frozen.note ? "; " + frozen.note : "") + (frozen.artifact ? "; all of it is in " + frozen.artifact : "") + ". A frame marks the running task, color the one that the kernel named."),
    el("div", {className: "queues"}, cpus), dsqs.length ? [el("h3", {}, "dispatch queues that hold tasks"), el("div", {className: "queues"}, dsqs)] : el("p", {className: "muted"}, "No dispatch queue held a task."),
    maps.length ? [el("h3", {}, "maps of the scheduler"), maps] : null, threads.length ? [el("h3", {}, "threads of the scheduler's process"), threads] : null,
    frozen.absent.length ? el("p", {className: "muted small"}, "Absent: " + frozen.absent.join("; ")) : null);
};

// --- the crash chain ---------------------------------------------------------------------------------------------------
const callNode = (call, open) => {
  const values = call.values.map(([name, type, entry, exit]) => el("tr", {className: exit === undefined ? "" : "changed"}, el("td", {className: "name"}, name), el("td", {className: "muted type"}, type), el("td", {}, exit === undefined ? entry : entry + " → " + exit)));
  if (call.returns) values.push(el("tr", {}, el("td", {className: "name"}, "returns"), el("td", {className: "type"}), el("td", {}, call.returns)));
  return el("details", {open}, el("summary", {}, el("span", {className: "fn" + (call.kind ? " scx" : "") + (call.hit ? "" : " nohit")}, call.function), call.kind ? el("span", {className: "muted"}, "  " + call.kind) : null,
      call.where ? el("span", {className: "muted"}, "  " + call.where) : null, call.hit ? null : el("span", {className: "muted"}, "  not hit" + (call.note ? ": " + call.note : ""))),
    el("div", {className: "body"}, call.signature ? el("div", {}, call.signature) : null,
      call.source ? el("div", {className: "source"}, call.source + (call.text ? ": " + call.text : "")) : null,
      call.hit && call.note ? el("div", {className: "muted"}, "note: " + call.note) : null,
      values.length ? el("table", {}, el("tbody", {}, values)) : null));
};

const chainCard = chain => {
  const root = el("ul", {});
  const lists = new Map();  // function: the list of its callees
  let above = root;
  for (const call of chain.calls) {
    const list = (call.caller && lists.get(call.caller)) || (call.caller ? above : root);
    const inner = el("ul", {});
    list.append(el("li", {}, callNode(call, Boolean(call.kind) && call.hit), inner));
    lists.set(call.function, inner);
    above = list;
  }
  for (const list of [...root.querySelectorAll("ul")]) if (!list.children.length) list.remove();
  const tree = el("div", {className: "tree"}, root);
  const all = open => () => { for (const d of tree.querySelectorAll("details")) d.open = open; };
  const button = (text, act) => { const b = el("button", {type: "button"}, text); b.addEventListener("click", act); return b; };
  return card("crash chain, seen by probes in a repro VM",
    el("div", {className: "row"}, el("b", {}, chain.status), chain.tries ? el("span", {className: "muted"}, chain.same + " of " + chain.tries + (chain.tries === 1 ? " try" : " tries")) : null,
      chain.detail ? el("span", {className: "muted"}, chain.detail) : null, chain.calls.length ? [button("expand all", all(true)), button("collapse all", all(false))] : null),
    chain.calls.length ? tree : null,
    el("p", {className: "muted small"}, (chain.trigger ? "Trigger: " + chain.trigger + ". " : "") + chain.hits + " probe hits" + (chain.hits_dropped ? ", " + chain.hits_dropped + " dropped" : "") + ". Values: at the call → at the return." + (chain.hint ? " " + chain.hint : "")),
    chain.earlier.length ? el("details", {className: "section"}, el("summary", {}, chain.earlier.length + " earlier calls"), el("div", {className: "tree"}, chain.earlier.map(c => callNode(c, false)))) : null,
    chain.dropped.length ? el("details", {className: "section"}, el("summary", {}, chain.dropped.length + " functions were not probed"), el("table", {}, el("tbody", {}, chain.dropped.map(([f, why]) => el("tr", {}, el("td", {className: "mono"}, f), el("td", {}, why)))))) : null);
};

const backtraceCard = crash => card("backtrace of the crash",
  el("p", {}, crash.reason + (crash.message ? ": " + crash.message : "")),
  el("p", {className: "muted small"}, [crash.task && "in " + crash.task + "[" + crash.pid + "]", crash.cpu >= 0 && "on CPU " + crash.cpu, crash.source && "told by the " + crash.source, "innermost first"].filter(Boolean).join(", ")),
  el("div", {className: "tree"}, el("table", {}, el("tbody", {}, crash.frames.map(f => el("tr", {}, el("td", {}, el("span", {className: f.bpf ? "fn scx" : ""}, f.function + (f.uncertain ? " ?" : ""))), el("td", {className: "source"}, (f.source || "") + (f.text ? ": " + f.text : ""))))))));

// --- logs --------------------------------------------------------------------------------------------------------------
const matcher = text => {
  if (!text) return null;
  const pattern = /^\/(.+)\/$/.exec(text);
  try {
    return new RegExp(pattern ? pattern[1] : text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "gi");
  } catch (e) {
    return undefined;
  }
};
const logsCard = data => {
  let chosen = Math.max(0, data.logs.findIndex(log => log.name === "console"));
  const body = el("pre", {className: "log", tabIndex: 0});
  const count = el("span", {className: "muted small", role: "status"});
  const filter = el("input", {type: "search", id: "log-filter", placeholder: "filter lines: text or /pattern/", "aria-label": "filter lines"});
  const fill = () => {
    const log = data.logs[chosen], pattern = matcher(filter.value), parts = document.createDocumentFragment();
    let shown = 0;
    body.setAttribute("aria-label", log.name);
    if (pattern === undefined) {
      count.textContent = "not a pattern";
      return;
    }
    log.lines.forEach((line, i) => {
      if (log.left_out && i === log.left_out_after && !pattern) parts.append(el("span", {className: "muted"}, "… " + log.left_out + " lines are not kept here …"), "\n");
      if (pattern && line.search(pattern) < 0) return;
      ++shown;
      parts.append(el("span", {className: "t"}, time(log.times[i]).padStart(11) + "  "));
      if (pattern) {
        let at = 0;
        for (const found of line.matchAll(pattern)) {
          if (!found[0]) break;
          parts.append(line.slice(at, found.index), el("mark", {}, found[0]));
          at = found.index + found[0].length;
        }
        parts.append(line.slice(at), "\n");
      } else {
        parts.append(line, "\n");
      }
    });
    count.textContent = (pattern ? shown + " of " : "") + log.total + (log.total === 1 ? " line" : " lines") + (pattern && log.left_out ? ", " + log.left_out + " of which are not kept here" : "");
    body.replaceChildren(parts);
  };
  filter.addEventListener("input", fill);
  const tabs = el("div", {className: "tabs"}, choice(data.logs.map(log => log.name), chosen, i => { chosen = i; fill(); body.scrollTop = 0; }));
  whenNear(body, fill);
  return card("logs", tabs, el("div", {className: "row"}, filter, count), body);
};

// --- the report --------------------------------------------------------------------------------------------------------
const reportCard = data => {
  const parts = data.text.split(/\n(?=--- [a-z_\- ]+ ---\n)/);
  const section = card("report");
  section.append(el("pre", {className: "wrap"}, parts[0].trimEnd()));
  for (const part of parts.slice(1)) {
    const end = part.indexOf("\n");
    section.append(el("details", {className: "section"}, el("summary", {}, part.slice(4, end - 4)), el("pre", {}, part.slice(end + 1).trimEnd())));
  }
  return section;
};

// --- a test ------------------------------------------------------------------------------------------------------------
const showTest = (number, tryNumber) => {
  const test = index.tests[number];
  const at = tryNumber === undefined ? test.tries.length - 1 : tryNumber;
  const chosen = test.tries[at];
  const data = chosen && chosen.data !== null ? read("data" + chosen.data) : null;
  document.title = "ktstr: " + test.name;
  const link = (text, to, label) => el("a", {href: to, "aria-label": label || text}, text);
  const parts = [el("header", {className: "top"},
    index.tests.length > 1 ? link("all tests", "#/") : el("span", {}, "ktstr"),
    badge(test.status), el("h1", {className: "grow"}, test.name),
    index.tests.length > 1 ? [number > 0 ? link("← previous", "#/" + (number - 1)) : null, number + 1 < index.tests.length ? link("next →", "#/" + (number + 1)) : null] : null)];
  if (test.tries.length > 1)
    parts.push(el("nav", {className: "row", "aria-label": "tries"}, "Tries:", test.tries.map((one, i) => { const a = link("try " + one.try + ": " + (words[one.outcome] || one.outcome), "#/" + number + "/" + i); if (i === at) a.setAttribute("aria-current", "true"); return i === at ? el("b", {}, a) : a; })));
  state = {charts: null, later: []};
  if (!data) {
    parts.push(el("section", {className: "card"}, test.tries.length ? "This run does not fit on the page: ktstr-launch replay shows it from its log." : "This test was planned and not run."));
  } else {
    const facts = [["topology", test.topology], ...(data.facts || [])].filter(([, v]) => v);
    parts.push(el("section", {className: "card summary " + data.outcome, "aria-label": "summary"}, badge(data.outcome), el("div", {className: "what"}, data.summary || data.reason || "passed"),
      copyLine("signature", data.signature), copyLine("rerun", data.rerun), el("dl", {className: "facts"}, facts.map(([k, v]) => [el("dt", {}, k), el("dd", {}, v)]))));
    if (data.brief) parts.push(el("section", {className: "card muted"}, "The page is full: the charts and logs of this run are left out. ktstr-launch replay LOG --html DIR shows it alone."));
    if (data.series || (data.phases || []).length > 1 && !data.brief) parts.push(chartsCard(data));
    for (const frozen of data.frozen || []) parts.push(frozenCard(frozen));
    if (data.chain) parts.push(chainCard(data.chain));
    else if (data.crash && data.declined) parts.push(card("crash chain", el("p", {className: "muted"}, data.declined)));
    if (data.crash && data.crash.frames.length) parts.push(backtraceCard(data.crash));
    if (data.logs && data.logs.length) parts.push(logsCard(data));
    parts.push(reportCard(data));
  }
  parts.push(keysHelp(["Keys: ", ["/"], " filter lines, ", ["n"], " ", ["p"], " next and previous test, ", ["Esc"], " all tests; in a chart ", ["←"], " ", ["→"], " ", ["+"], " ", ["-"], " ", ["0"], ". Times are the guest's."]));
  page.replaceChildren(...parts);
  for (const act of state.later) act();
};

const route = () => {
  if (state.charts) state.charts.destroy();
  state = {charts: null, later: []};
  const match = /^#\/(\d+)(?:\/(\d+))?$/.exec(location.hash);
  const only = index.tests.length === 1 ? 0 : undefined;
  const number = match && Number(match[1]) < index.tests.length ? Number(match[1]) : only;
  if (number === undefined) showIndex();
  else showTest(number, match && match[2] !== undefined ? Math.min(Number(match[2]), index.tests[number].tries.length - 1) : undefined);
  window.scrollTo(0, 0);
};

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
  if (event.key === "Escape") {
    if (typing) event.target.blur();
    else location.hash = "#/";
    return;
  }
  if (typing) return;
  const match = /^#\/(\d+)/.exec(location.hash), here = match ? Number(match[1]) : -1;
  if (event.key === "/") {
    const field = document.getElementById("log-filter") || document.getElementById("filter");
    if (field) { event.preventDefault(); field.focus(); }
  } else if (event.key === "n" && index.tests.length > 1 && here + 1 < index.tests.length) {
    location.hash = "#/" + (here + 1);
  } else if (event.key === "p" && index.tests.length > 1 && here > 0) {
    location.hash = "#/" + (here - 1);
  }
});
dark.addEventListener("change", () => {
  colors.clear();
  if (!state.charts) return;
  for (const c of state.charts.all) if (c.repaint) c.repaint();
  state.charts.repaint();
});
window.addEventListener("hashchange", route);
route();
document.documentElement.dataset.ready = "1";
})();
