/* A page that runs: its cells, what each needs, what of it is out of date, and the sentences that follow. */
import { editor } from "./editor.js";
import { element, mistake, reachable } from "./output.js";

const SITE = new URL("../../", import.meta.url);
const make = (tag, className = "", text = "") => Object.assign(document.createElement(tag), { className, textContent: text });
const button = (text, label = "") => { const b = make("button", "", text); b.type = "button"; if (label) b.ariaLabel = label; return b; };
const count = (n, one, many) => `${n} ${n === 1 ? one : many}`;

/* One cell, hidden or seen. `shown` and `ran` are versions: of what stands on the page, of what Python has run. */
class Cell {
  constructor(number, { source, hidden, fails }, box) {
    Object.assign(this, { number, source, original: source, hidden, fails, box, keys: new Set(), ran: null, failed: false });
    this.place = box?.querySelector(".cell_output");
    this.first = this.place ? [...this.place.childNodes] : [];
  }
}

class Page {
  constructor(offer, data) {
    this.offer = offer;
    this.wheel = data.wheel;
    this.main = offer.querySelector("button");
    this.versions = new Map();
    this.owner = new Map();              // who made a name last
    this.waiting = new Map();            // questions that the worker has not answered
    this.asked = 0;
    this.busy = false;
    this.cells = data.cells.map((cell, i) => new Cell(i, cell, document.getElementById(`cell-${cell.at}`)));
    this.seen = this.cells.filter(cell => cell.box?.querySelector(".cell_input pre"));
    this.seen.forEach((cell, i) => { cell.label = `cell ${i + 1}`; });
    this.spans = [...document.querySelectorAll("[data-glue]")];
    this.glue = {};
    for (const span of this.spans) {
      span.dataset.book = span.textContent;
      (this.glue[span.dataset.glue] ||= []).push(span.dataset.format);
    }
    for (const key of Object.keys(this.glue)) this.glue[key] = [...new Set(this.glue[key])];
  }

  // ---- the worker ----
  ask(what, message = {}) {
    return new Promise((done, failed) => {
      this.waiting.set(++this.asked, { done, failed });
      this.worker.postMessage({ id: this.asked, what, ...message });
    });
  }

  async boot() {
    const start = performance.now();
    this.worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    this.worker.onerror = event => this.waiting.forEach(({ failed }) => failed(new Error(event.message || "the worker could not be loaded")));
    this.worker.onmessage = ({ data }) => {
      if (data.status) return this.say(`${data.status} …`);
      const { done, failed } = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      data.failed ? failed(new Error(data.failed)) : done(data.result);
    };
    const sources = this.cells.map(cell => cell.source);
    await this.ask("boot", { wheel: this.wheel, site: SITE.href, sources: sources.join("\n") });
    const found = await this.ask("analyse", { sources });
    this.cells.forEach((cell, i) => { this.learn(cell, found[i]); cell.ran = null; });
    this.owner.clear();
    return (performance.now() - start) / 1000;
  }

  // ---- versions: a cell's own text and the versions of what it needs; of an import its line alone ----
  learn(cell, { reads, writes, imports }) { Object.assign(cell, { reads, writes: new Set(writes), imports, analysed: cell.source }); }
  writer(cell, name) {
    for (let i = cell.number - 1; i >= 0; i--) if (this.cells[i].writes.has(name)) return this.cells[i];
  }
  needs(cell) { return [...new Set(cell.reads.map(name => this.writer(cell, name)).filter(Boolean))]; }
  version(cell, original = false, known = new Map()) {
    if (known.has(cell)) return known.get(cell);
    const parts = [original ? cell.original : cell.source];
    for (const name of cell.reads) {
      const maker = this.writer(cell, name);
      if (maker) parts.push(maker.imports[name] || this.version(maker, original, known));
    }
    const text = parts.join("\0");
    if (!this.versions.has(text)) this.versions.set(text, this.versions.size);
    known.set(cell, this.versions.get(text));
    return known.get(cell);
  }
  stale(cell) { return cell.shown !== this.version(cell); }

  /* What must run before a cell can: what made its names in another version, or not last. */
  before(cell, plan = new Set()) {
    for (const name of cell.reads) {
      const maker = this.writer(cell, name);
      const imported = maker && maker.imports[name];
      const made = imported ? maker.ranImports?.[name] === imported : maker?.ran === this.version(maker || cell);
      if (maker && !plan.has(maker) && !(made && this.owner.get(name) === maker)) {
        this.before(maker, plan);
        plan.add(maker);
      }
    }
    return plan;
  }

  async look() {
    const changed = this.cells.filter(cell => cell.source !== cell.analysed);
    if (!changed.length) return;
    const found = await this.ask("analyse", { sources: changed.map(cell => cell.source) });
    changed.forEach((cell, i) => this.learn(cell, found[i]));
  }

  // ---- running ----
  async one(cell, render) {
    this.say(`Running ${cell.label || "what stands between cells"} …`);
    cell.box?.classList.add("live-running");
    const version = this.version(cell);
    let result;
    try { result = await this.ask("run", { source: cell.source, number: cell.number, hidden: cell.hidden, site: SITE.href, glue: this.glue }); }
    finally { cell.box?.classList.remove("live-running"); }
    cell.ran = version;
    cell.ranImports = cell.imports;
    cell.failed = Boolean(result.error) && !cell.fails;
    if (!result.error) cell.writes.forEach(name => this.owner.set(name, cell));
    cell.result = result;
    result.glued.forEach(key => cell.keys.add(key));
    this.sentences(result.said);
    if (cell.hidden) { if (!result.error) cell.shown = version; } else if (render || result.error || this.stale(cell)) { await this.show(cell, result); if (!result.error) cell.shown = version; }
    return !cell.failed;
  }

  async run(targets, whole = false) {
    if (this.busy) return this.say("Still running. Stop it first, or wait.");
    this.working(true);
    try {
      await this.look();
      const start = performance.now();
      const went = whole ? await this.everything(targets) : await this.needed(targets[0]);
      await this.follow(targets.at(-1), whole);
      this.working(false);
      this.report(targets, went, (performance.now() - start) / 1000);
    } catch (error) {
      if (error.message !== "stopped") { this.working(false); this.say(`Python in this page failed: ${error.message}`); }
    }
  }

  /* A cell after all that it needs; a cell that fails keeps the next ones from running. */
  async needed(target) {
    for (const cell of this.before(target)) if (!await this.one(cell, false)) return { failed: cell };
    return { failed: await this.one(target, true) ? null : target };
  }

  /* All cells in their order; what can't run is left out, what follows runs where it can. */
  async everything(cells) {
    let failed = null;
    for (const cell of cells) {
      for (const other of this.before(cell)) if (!(other.failed && other.ran === this.version(other))) await this.one(other, false);
      if (!await this.one(cell, !cell.hidden) && !cell.hidden) failed ||= cell;
    }
    return { failed };
  }

  /* Hidden cells that fill the sentences, unless they wait for a cell that the reader has not run again. */
  async follow(target, whole) {
    for (const cell of this.cells) {
      if (!cell.hidden || !this.stale(cell) || (!whole && cell.number < target.number) || cell.ran === this.version(cell)) continue;
      const plan = this.before(cell);
      if (![...plan, ...this.needs(cell)].some(other => !other.hidden && this.stale(other))) {
        for (const other of plan) await this.one(other, false);
        await this.one(cell, false);
      }
    }
  }

  report(targets, { failed }, seconds) {
    const changed = this.spans.filter(span => span.textContent !== span.dataset.book).length;
    const waiting = this.seen.filter(cell => this.stale(cell) && !cell.failed);
    for (const cell of this.seen) cell.box.classList.toggle("live-stale", waiting.includes(cell));
    this.rest.hidden = !waiting.length;
    this.backs();
    const parts = [];
    if (failed) parts.push(failed === targets[0] || targets.length > 1 ? `${failed.label || "A hidden cell"} did not run to its end.` : `${failed.label || "A hidden cell"}, which is needed first, did not run to its end.`);
    else parts.push(`${targets.length > 1 ? "The cells" : targets[0].label} ran in ${seconds.toFixed(seconds < 10 ? 1 : 0)} s.`);
    if (changed) parts.push(`${count(changed, "number in the text differs", "numbers in the text differ")} from the book.`);
    if (waiting.length) parts.push(`${count(waiting.length, "cell", "cells")} below ${waiting.length === 1 ? "uses" : "use"} what was changed.`);
    this.say(parts.join(" ").replace(/^c/, "C"));
  }

  // ---- what the page shows ----
  sentences(said) {
    for (const [key, format, text] of said) for (const span of this.spans) {
      if (span.dataset.glue !== key || span.dataset.format !== format) continue;
      span.textContent = text;
      const differs = text !== span.dataset.book;
      span.classList.toggle("live-new", differs);
      differs ? span.title = `In the book: ${span.dataset.book}` : span.removeAttribute("title");
    }
  }

  output(cell) {
    if (!cell.place) {
      cell.place = make("div", "cell_output docutils container");
      cell.box.querySelector(".cell_input").closest("details, .cell > .cell_input")?.[cell.box.querySelector("details.code-fold") ? "before" : "after"](cell.place);
    }
    return cell.place;
  }

  async show(cell, result) {
    const place = this.output(cell), { error } = result;
    cell.said?.remove();
    if (error && !cell.fails && (error.missing || (error.unknown && this.needs(cell).some(other => other.failed)))) {
      const why = error.missing ? `This cell needs ${error.missing}, which the Python in this page has not got.`
        : `This cell needs ${error.unknown}, which a cell above should have made.`;
      cell.said = make("p", "live-skipped", `${why} It was skipped; below stands what the book printed.`);
      place.before(cell.said);
      return;
    }
    const caption = cell.first.map(node => node.querySelector?.("figcaption, caption")).find(Boolean);
    const label = cell.first.map(node => node.querySelector?.("svg.drawn")).find(Boolean)?.getAttribute("aria-label");
    const changed = this.version(cell) !== cell.book;
    const alt = label && changed ? `Drawn after a change. Before it: ${label}` : label;
    const parts = await Promise.all(result.shown.map(part => element(part, alt)));
    if (error) parts.push(mistake(error, cell.number));
    const figure = cell.first.find(node => node.nodeName === "FIGURE");
    if (figure && caption && parts.length) {
      const copy = figure.cloneNode(false);
      copy.append(...parts, ...figure.querySelectorAll(":scope > figcaption"));
      cell.caption = { figure, node: copy.querySelector("figcaption") };
      place.replaceChildren(copy);
    } else place.replaceChildren(...parts);
    reachable(place);
  }

  /* What the book printed, again. */
  restore(cell) {
    cell.said?.remove();
    cell.shown = cell.book;
    cell.box?.classList.remove("live-stale");
    if (cell.caption) { cell.caption.figure.append(cell.caption.node); cell.caption = null; }
    if (cell.hidden) this.sentences(this.spans.filter(span => cell.keys.has(span.dataset.glue)).map(span => [span.dataset.glue, span.dataset.format, span.dataset.book]));
    else if (cell.place) cell.place.replaceChildren(...cell.first);
  }

  async reset(cell) {
    if (this.busy) return this.say("Still running. Stop it first, or wait.");
    cell.edit.source = cell.source = cell.original;
    await this.look();
    for (const other of this.cells) if (this.stale(other) && this.version(other) === other.book) this.restore(other);
    for (const other of this.seen) other.box.classList.toggle("live-stale", this.stale(other));
    this.rest.hidden = !this.seen.some(other => this.stale(other));
    this.backs();
    cell.edit.field.focus();
    this.say(`${cell.label} is as in the book.`.replace(/^c/, "C"));
  }

  // ---- controls ----
  /* Reset is offered where there is something to go back to. */
  backs() { for (const cell of this.seen) cell.back.hidden = cell.source === cell.original && !(cell.failed || cell.shown !== cell.book); }

  say(text) { this.status.textContent = text; }

  working(on) {
    this.busy = on;
    this.stop.hidden = !on;
    document.documentElement.classList.toggle("live-busy", on);
  }

  async halt() {
    this.worker.terminate();
    this.waiting.forEach(({ failed }) => failed(new Error("stopped")));
    this.waiting.clear();
    document.querySelectorAll(".live-running").forEach(e => e.classList.remove("live-running"));
    this.working(false);
    this.busy = true;                                     // until Python is there again
    await this.boot();
    this.busy = false;
    this.say("Stopped. Python has started anew; what a cell needs is run again.");
  }

  equip(cell) {
    const input = cell.box.querySelector(".cell_input"), pre = input.querySelector("pre");
    const [run, back] = [button("Run", `Run ${cell.label}`), button("Reset", `Reset ${cell.label}`)];
    cell.edit = editor(pre, `Code of ${cell.label}. Shift and Enter run it.`, {
      run: () => run.click(),
      changed: () => { cell.source = cell.edit.source; this.backs(); },
    });
    run.addEventListener("click", () => this.run([cell]));
    back.addEventListener("click", () => this.reset(cell));
    const tools = make("div", "live-tools");
    cell.back = back;
    back.hidden = true;
    tools.append(run, back);
    input.append(tools);
  }

  controls() {
    const bar = make("div", "live-bar");
    bar.setAttribute("role", "region");
    bar.setAttribute("aria-label", "Python in this page");
    this.status = make("p", "live-status");
    this.status.setAttribute("role", "status");
    this.rest = button("Run them");
    this.rest.hidden = true;
    this.rest.addEventListener("click", () => this.run(this.cells.filter(cell => this.stale(cell)), true));
    this.stop = button("Stop");
    this.stop.hidden = true;
    this.stop.addEventListener("click", () => this.halt());
    bar.append(this.status, this.rest, this.stop);
    document.body.append(bar);
  }
}

export async function start(offer) {
  const main = offer.querySelector("button"), words = offer.querySelector("span");
  const answer = await fetch(new URL(`pages/${offer.dataset.live}`, import.meta.url));
  const page = new Page(offer, await answer.json());
  page.controls();
  main.setAttribute("aria-disabled", "true");
  main.textContent = "Python is starting";
  try {
    const seconds = await page.boot();
    for (const cell of page.cells) cell.book = cell.shown = page.version(cell, true);
    page.seen.forEach(cell => page.equip(cell));
    main.textContent = "Run all cells";
    main.removeAttribute("aria-disabled");
    main.addEventListener("click", () => page.run(page.cells, true));
    words.textContent = "Every cell can be changed: Run below it, or Shift+Enter in it, runs it and all that it needs. Numbers in sentences follow.";
    page.say(`Python is ready (${seconds.toFixed(1)} s). Change a cell and run it.`);
    document.documentElement.classList.add("live");
    page.seconds = seconds;
  } catch (error) {
    page.say(`Python could not start: ${error.message}`);
    main.textContent = "Run this page";
  }
  window.livePage = page;                                   // for the tests
}
