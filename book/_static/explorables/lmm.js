/* lmm.js: what the explorables of the book share: chance, exact distributions, balanced REML, pictures as strings of SVG,
   and the page around them. No dependencies, no requests; works from file://. The build runs the same file, without a
   document, to write the markup and the picture for readers without script (book/_ext/explorable.py). */
"use strict";
const lmm = (() => {
  /* ---- chance -------------------------------------------------------------------------------------------------- */

  /** Standard normal draws: sfc32 for uniform numbers in (0, 1), then Box and Muller. */
  function normals(seed) {
    let a = 0, b = seed | 0, c = 0, count = 1, spare = null;
    const uniform = () => {
      const t = (((a + b) | 0) + count) | 0;
      count = (count + 1) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = (((c << 21) | (c >>> 11)) + t) | 0;
      return ((t >>> 0) + 0.5) / 4294967296;
    };
    for (let i = 0; i < 15; i++) uniform();         // forget the seed
    return () => {
      if (spare !== null) { const z = spare; spare = null; return z; }
      const radius = Math.sqrt(-2 * Math.log(uniform())), angle = 2 * Math.PI * uniform();
      spare = radius * Math.sin(angle);
      return radius * Math.cos(angle);
    };
  }

  /* ---- distributions ------------------------------------------------------------------------------------------- */

  function logGamma(x) {                            // Lanczos, 9 terms
    const c = [0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
      12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7];
    let sum = c[0];
    for (let i = 1; i < 9; i++) sum += c[i] / (x - 1 + i);
    const t = x + 6.5;
    return 0.9189385332046727 + (x - 0.5) * Math.log(t) - t + Math.log(sum);
  }

  /** P(gamma variable of shape a < x). */
  function gammaCdf(a, x) {
    if (x <= 0) return 0;
    const front = Math.exp(a * Math.log(x) - x - logGamma(a));
    if (x < a + 1) {                                // series
      let term = 1 / a, sum = term;
      for (let n = a + 1; term > sum * 1e-15; n++) { term *= x / n; sum += term; }
      return sum * front;
    }
    let b = x + 1 - a, c = 1e300, d = 1 / b, h = d; // continued fraction (Lentz)
    for (let i = 1; i < 500; i++) {
      const an = -i * (i - a);
      b += 2; d = 1 / (an * d + b); c = b + an / c; h *= d * c;
      if (Math.abs(d * c - 1) < 1e-15) break;
    }
    return 1 - front * h;
  }

  /** P(beta variable < x). */
  function betaCdf(x, a, b) {
    if (x <= 0) return 0;
    if (x >= 1) return 1;
    if (x > (a + 1) / (a + b + 2)) return 1 - betaCdf(1 - x, b, a);
    let c = 1, d = 1 / (1 - (a + b) * x / (a + 1)), h = d;
    for (let i = 1; i < 500; i++) {                 // continued fraction (Lentz)
      let n = i * (b - i) * x / ((a + 2 * i - 1) * (a + 2 * i));
      d = 1 / (1 + n * d); c = 1 + n / c; h *= d * c;
      n = -(a + i) * (a + b + i) * x / ((a + 2 * i) * (a + 2 * i + 1));
      d = 1 / (1 + n * d); c = 1 + n / c; h *= d * c;
      if (Math.abs(d * c - 1) < 1e-14) break;
    }
    return h / a * Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x));
  }

  const normalCdf = z => { const half = gammaCdf(0.5, z * z / 2) / 2; return z < 0 ? 0.5 - half : 0.5 + half; };
  /** P(normal variable > z), to 1e-7: quick, for integrals. */
  function normalTail(z) {
    const x = Math.abs(z) / Math.SQRT2, t = 1 / (1 + x / 2);
    const tail = t / 2 * Math.exp(-x * x - 1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806 + t * (0.27886807 +
      t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277)))))))));
    return z < 0 ? 1 - tail : tail;
  }
  const fCdf = (f, a, b) => betaCdf(a * f / (a * f + b), a / 2, b / 2);

  /** P(|t| > t): the two-sided p-value. */
  const tTails = (t, df) => betaCdf(df / (df + t * t), df / 2, 0.5);

  /** The t that leaves `alpha` in both tails together (Newton, from the left). */
  function tCritical(df, alpha = 0.05) {
    const norm = logGamma((df + 1) / 2) - logGamma(df / 2) - Math.log(df * Math.PI) / 2;
    let t = 1.5;
    for (let i = 0; i < 60; i++) {
      const step = (tTails(t, df) - alpha) / (2 * Math.exp(norm - (df + 1) / 2 * Math.log1p(t * t / df)));
      t += step;
      if (Math.abs(step) < 1e-12) break;
    }
    return t;
  }

  /** P(|t| > critical) where t is noncentral: Gauss and Legendre over the root of the mean square. */
  const roots = new Map();
  function tPower(critical, df, shift) {
    if (!shift) return tTails(critical, df);
    if (!roots.has(df)) {                            // s = √(χ²/df): nodes and probabilities
      const spread = 5.5 / Math.sqrt(2 * df), low = Math.max(1e-9, 1 - spread), high = 1 + spread * (df < 8 ? 1.6 : 1.05);
      const weights = panels => Array.from({ length: panels }, (_, k) => gauss.map(([x, w]) => {
        const half = (high - low) / panels / 2, s = low + (2 * k + 1 + x) * half;
        return [s, w * half * Math.exp((df - 1) * Math.log(s) - df * (s * s - 1) / 2)];
      })).flat();
      const nodes = weights(df < 30 ? 3 : 1), mass = nodes.reduce((sum, [, w]) => sum + w, 0);
      roots.set(df, nodes.map(([s, w]) => [s, w / mass]));
    }
    let sum = 0;
    for (const [s, w] of roots.get(df)) sum += w * (normalTail(critical * s - shift) + normalTail(critical * s + shift));
    return sum;
  }

  /** Turns a standard normal z into the chi-square value with the same probability below it. The cube root is nearly
      linear in z (Wilson and Hilferty), so a table with straight lines between its entries does; above 100 df their
      approximation is right to 4 digits (|z| < 2.5). */
  const tables = new Map();
  function chiSquareFromNormal(df) {
    if (df === 0) return () => 0;
    const v = 2 / (9 * df), start = z => Math.max(1 - v + z * Math.sqrt(v), 0.001);
    if (df > 100) return z => df * start(z) ** 3;
    if (!tables.has(df)) {
      tables.set(df, Array.from({ length: 101 }, (_, i) => {
        const z = i / 10 - 5, p = normalCdf(z);
        let x = df === 2 ? -2 * Math.log(1 - p) : df * start(z) ** 3;
        for (let k = 0; k < 40 && df !== 2; k++) {  // Newton on the logarithm
          const slope = Math.exp(df / 2 * Math.log(x / 2) - x / 2 - logGamma(df / 2));
          const step = clamp((gammaCdf(df / 2, x / 2) - p) / slope, -1, 1);
          x *= Math.exp(-step);
          if (Math.abs(step) < 1e-8) break;
        }
        return Math.cbrt(x);
      }));
    }
    const roots = tables.get(df);
    return z => {
      const at = clamp((z + 5) * 10, 0, 99.999), i = at | 0;
      return (roots[i] + (at - i) * (roots[i + 1] - roots[i])) ** 3;
    };
  }

  /** The normal draw with the same probability below it as this chi-square value. */
  function normalFromChiSquare(chi, df) {
    const value = chiSquareFromNormal(df);
    let low = -5, high = 5;
    for (let k = 0; k < 40; k++) { const z = (low + high) / 2; value(z) < chi ? low = z : high = z; }
    return low;
  }

  /** Nodes and weights of Gauss and Legendre on (-1, 1). */
  const gauss = (n => Array.from({ length: n }, (_, i) => {
    let x = Math.cos(Math.PI * (i + 0.75) / (n + 0.5)), slope = 1;
    for (let k = 0; k < 9; k++) {
      let p = 1, q = 0;
      for (let j = 0; j < n; j++) [p, q] = [((2 * j + 1) * x * p - j * q) / (j + 1), p];
      slope = n * (x * p - q) / (x * x - 1);
      x -= p / slope;
    }
    return [x, 2 / ((1 - x * x) * slope * slope)];
  }))(16);

  /** Integral of f from a to b, in panels that end at the given points. */
  function integral(f, a, b, points = [], panels = 4) {
    const ends = [a, ...points.filter(x => x > a && x < b), b].sort((x, y) => x - y);
    let sum = 0;
    for (let e = 1; e < ends.length; e++) for (let k = 0; k < panels; k++) {
      const half = (ends[e] - ends[e - 1]) / panels / 2, middle = ends[e - 1] + (2 * k + 1) * half;
      for (const [x, w] of gauss) sum += w * half * f(middle + half * x);
    }
    return sum;
  }

  /** Mean of f(B), B a beta(a, b) variable; `kink` is where f is not smooth. B = sin² of an angle. */
  function betaMean(f, a, b, kink, panels = 4) {
    const peak = Math.asin(Math.sqrt(a / (a + b))), reach = 5.5 / Math.sqrt(a + b), points = [peak];
    if (kink > 0 && kink < 1) points.push(Math.asin(Math.sqrt(kink)));
    const log = angle => (2 * a - 1) * Math.log(Math.sin(angle)) + (2 * b - 1) * Math.log(Math.cos(angle)), top = log(peak);
    const low = Math.max(0, peak - reach), high = Math.min(Math.PI / 2, peak + reach);
    const weight = angle => Math.exp(log(angle) - top), mean = angle => { const w = weight(angle); return w < 1e-15 ? 0 : w * f(Math.sin(angle) ** 2); };
    return integral(mean, low, high, points, panels) / integral(weight, low, high, points, panels);
  }

  /* ---- estimates ----------------------------------------------------------------------------------------------- */

  /** Exact REML of a balanced one-way layout from its sums of squares: a variance is never negative. */
  function oneWay({ between, within, groups, size, terms = 1 }) {
    const n = groups * size, msb = between / (groups - terms), msw = n > groups ? within / (n - groups) : 0;
    const zero = msb <= msw;
    const sigma2 = zero ? (between + within) / (n - terms) : msw;
    return { zero, sigma: Math.sqrt(sigma2), tau: zero ? 0 : Math.sqrt((msb - msw) / size), scale: zero ? sigma2 : msb, df: (zero ? n : groups) - terms };
  }

  /* ---- words --------------------------------------------------------------------------------------------------- */

  const clamp = (x, low, high) => Math.max(low, Math.min(high, x));
  /** 1,234.5 with a true minus; never a negative zero. */
  function number(x, digits = 0) {
    const [whole, part] = Math.abs(x).toFixed(digits).split(".");
    const text = whole.replace(/\B(?=(\d{3})+$)/g, ",") + (part ? "." + part : "");
    return (x < 0 && /[1-9]/.test(text) ? "\u2212" : "") + text;
  }
  const percent = p => `${p < 0.0995 || p > 0.9905 ? number(100 * p, 1) : number(100 * p)}%`.replace(".0%", "%");
  const pValue = p => p < 0.001 ? "p < .001" : `p = ${p.toFixed(p < 0.0995 ? 3 : 2).replace(/^0/, "")}`;
  const plain = html => html.replace(/<[^>]+>/g, "").replace(/\s+/g, " ").trim();

  /* ---- pictures: strings of SVG; a class gives the color, text, lines, dots and bars take it ------------------------ */

  const scale = (d0, d1, r0, r1) => x => r0 + (x - d0) / (d1 - d0) * (r1 - r0);
  const r = x => String(Math.round(10 * x) / 10);
  const text = (x, y, words, kind = "") => `<text x="${r(x)}" y="${r(y)}" class="${kind}">${words}</text>`;
  const path = (d, kind = "") => `<path d="${d}" class="${kind}"/>`;
  const line = (points, kind = "") => path(points.map(([x, y], i) => `${i ? "L" : "M"}${r(x)} ${r(y)}`).join(""), kind);
  const rect = (x, y, width, height, kind = "") => `<rect x="${r(x)}" y="${r(y)}" width="${r(Math.max(width, 0))}" height="${r(Math.max(height, 0))}" class="${kind}"/>`;
  const circle = (x, y, radius, kind = "") => `<circle cx="${r(x)}" cy="${r(y)}" r="${r(radius)}" class="${kind}"/>`;
  const dots = (points, radius, kind = "", opacity = 1) =>
    `<path d="${points.map(([x, y]) => `M${r(x)} ${r(y)}h0`).join("")}" class="dots ${kind}" stroke-width="${r(2 * radius)}" opacity="${opacity}"/>`;
  const bell = (middle, base, sd, height, reach, kind) =>
    line(Array.from({ length: 81 }, (_, i) => (i / 40 - 1) * reach).map(v => [middle + v, base - height * Math.exp(-v * v / (2 * sd * sd))]), kind);

  /** Places for labels: as near as possible to where they belong, and `gap` apart. */
  function spread(places, gap) {
    const order = places.map((_, i) => i).sort((a, b) => places[a] - places[b]), out = [...places];
    for (let round = 0; round < 30; round++) for (let k = 1; k < order.length; k++) {
      const [a, b] = [order[k - 1], order[k]], lack = gap - (out[b] - out[a]);
      if (lack > 0.01) { out[a] -= lack / 2; out[b] += lack / 2; }
    }
    return out;
  }

  /** Repeated studies piled up along x, `kinds` from below: a dot for each while they are few, bars when they are many.
      The piles of all studies together cover `area` square pixels. Returns [svg, how many of each kind]. */
  function pile({ n, at, kind, kinds, left, right, base, area, bins = 2 * Math.floor((right - left) / 18) + 1 }) {
    const w = (right - left) / bins, tally = new Uint32Array(bins * kinds.length), counts = kinds.map(() => 0);
    for (let i = 0; i < n; i++) {
      const k = kind(i), bin = Math.floor((at(i) - left) / w);
      counts[k]++;
      if (bin >= 0 && bin < bins) tally[bin * kinds.length + k]++;
    }
    const h = Math.min(w, area / (Math.max(n, 1) * w)), points = kinds.map(() => []), bars = kinds.map(() => "");
    for (let bin = 0; bin < bins; bin++) {
      let y = base;
      kinds.forEach((_, k) => {
        const some = tally[bin * kinds.length + k], x = left + bin * w;
        if (some && h > w * 0.7) for (let i = 0; i < some; i++) points[k].push([x + w / 2, y - (i + 0.5) * h]);
        else if (some) bars[k] += `M${r(x + 0.5)} ${r(y)}v${r(-some * h)}h${r(w - 1)}v${r(some * h)}z`;
        y -= some * h;
      });
    }
    return [kinds.map((name, k) => (points[k].length ? dots(points[k], h / 2 - 0.4, name) : "") + (bars[k] ? path(bars[k], "area " + name) : "")).join(""), counts];
  }

  /** Rates of repeated studies, one row each: theory as a bar, simulation as a point with twice its Monte-Carlo error,
      the reader's guess, the nominal level as a dotted line. A row is { name, kind, truth, known, count, n, guess }. */
  function rates(rows, { W, top, level, most = 1, step = 0.25 }) {
    const left = 6, right = W - 10, x = scale(0, most, left, right), at = p => x(clamp(p, 0, most)), end = top + 42 * rows.length;
    let out = "";
    for (let v = 0; v < most + 1e-9; v += step) if (!level || Math.abs(v - level) > 0.09 * most) out += text(x(v), end + 17, `${number(100 * v)}${v ? "%" : ""}`, `soft ${v ? v > most - 1e-9 ? "end" : "middle" : ""}`);
    rows.forEach((row, k) => {
      const y = top + 42 * k + 20, p = row.count / row.n, error = Math.sqrt(p * (1 - p) / row.n);
      out += text(left, y - 7, `${row.name} ${row.known === false ? "?" : percent(row.truth)}`, "strong " + row.kind);
      if (row.aside && !row.n) out += text(W, y - 7, row.aside, "soft end");
      if (row.n) out += text(W, y - 7, error ? `${number(100 * p, 1)} ± ${number(100 * error, 1)}% of ${number(row.n)}` : `${number(row.count)} of ${number(row.n)}`, "soft end");
      if (row.known !== false) out += rect(left, y, at(row.truth) - left, 9, row.kind);
      if (row.n) out += path(`M${r(at(p - 2 * error))} ${y + 4.5}H${r(at(p + 2 * error))}`, "thick") + dots([[at(p), y + 4.5]], 4);
      if (level) out += path(`M${r(x(level))} ${y - 3}v15`, "dotted");
      if (row.guess != null) {
        const g = at(row.guess), late = row.guess > most / 2;
        out += path(`M${r(g)} ${y + 11}l-4 8h8z`, "area ink") + text(g + (late ? -8 : 8), y + 21, `you said ${number(100 * row.guess)}%`, late ? "end" : "");
      }
    });
    if (level) out += text(x(level), end + 17, percent(level), "soft middle");
    return out + path(`M${left} ${end + 0.5}H${right}`, "axis");
  }

  /* ---- the page around a picture ------------------------------------------------------------------------------------ */

  const MOST = 50000, all = {};

  /** What changes: the controls' values s, the facts f of the design, the draws and the facts d of the data on view,
      the repeated studies (`store`: one array of standard normals for each thing that a study is summed up in). */
  function world(spec, data) {
    const draws = spec.draws ? spec.draws(data) : {};
    const view = { s: {}, data, first: draws, draws, count: 0, landed: 0, store: [], seed: 1, revealed: !spec.predict, guess: null, falling: null };
    for (const control of spec.controls) view.s[control.name] = control.value;
    for (let k = 0; k < (spec.repeat?.arrays ?? 0); k++) view.store.push(new Float32Array(MOST));
    if (spec.repeat?.start) view.landed = repeat(spec, view, spec.repeat.start);
    return think(spec, view);
  }
  function think(spec, view) {
    view.f = spec.facts(view.s, view);
    view.d = spec.look ? spec.look(view.s, view.draws, view.f, view) : {};
    return view;
  }
  function repeat(spec, view, count) {
    const normal = normals(view.seed++), more = Math.min(count, MOST - view.count);
    for (let i = view.count; i < view.count + more; i++) for (const array of view.store) array[i] = normal();
    view.count += more;
    return more;
  }

  const shown = (control, s) => control.options ? control.options.find(o => o[0] === s[control.name])[1] : (control.show ? control.show(s[control.name], s) : number(s[control.name], control.digits ?? 0)) + (control.unit ?? "");

  /** The controls and empty places of an explorable; the build writes this into the page, so that nothing shifts. */
  function shell(name, data) {
    const spec = all[name], view = world(spec, data), id = part => `${name}-${part}`;
    const row = c => c.options
      ? `<fieldset class="row choice"><legend>${c.label}</legend>${c.options.map(([value, words]) => `<label><input type="radio" name="${id(c.name)}" value="${value}" data-control="${c.name}"${value === c.value ? " checked" : ""}> ${words}</label>`).join("")}<code data-code="${c.name}">${c.code(view.s)}</code></fieldset>`
      : `<div class="row"><label for="${id(c.name)}">${c.label}</label><output for="${id(c.name)}" data-value="${c.name}">${shown(c, view.s)}</output>` +
        `<input type="range" id="${id(c.name)}" data-control="${c.name}" min="${c.min}" max="${c.max}" step="${c.step ?? 1}" value="${c.value}"><code data-code="${c.name}">${c.code(view.s)}</code></div>`;
    const p = spec.predict, prompt = p ? `<form class="prompt" data-part="prompt"><p><strong>Predict before you look.</strong> <label for="${id("guess")}">${typeof p.ask === "function" ? p.ask(view) : p.ask}</label></p>` +
      `<div class="buttons"><input type="number" id="${id("guess")}" data-part="guess" min="${p.min}" max="${p.max}" step="any"${p.min < 0 ? "" : ' inputmode="decimal"'} required><span>${p.unit}</span>` +
      `<button class="main">Show</button><button type="button" class="plain" data-part="skip">Skip</button></div></form>` : "";
    const again = spec.repeat ? `<div class="buttons" role="group" aria-label="Repeat the ${spec.repeat.noun}"><span>Repeat the ${spec.repeat.noun}:</span>` +
      `${[1, 100, 10000].map(n => `<button type="button" data-repeat="${n}">${number(n)}</button>`).join("")}<button type="button" class="plain" data-part="again">Start over</button></div>` : "";
    const turn = p || spec.repeat ? `<div class="turn">${prompt}<div class="after" data-part="after"${p ? " inert" : ""}><p data-part="verdict">&nbsp;</p>${again}</div></div>` : "";
    return `<svg class="stage" data-part="stage" role="img" aria-label="${plain(spec.describe(view))}"></svg>${turn}` +
      `<p class="sentence" data-part="sentence" aria-hidden="true">${spec.sentence(view)}</p><p class="spoken" role="status" data-part="status"></p>` +
      `<div class="dock${spec.controls.length > 3 || spec.loose ? " loose" : ""}" role="group" aria-label="Controls">${spec.controls.map(row).join("")}</div>` +
      `<details class="python"><summary>The same in Python</summary><pre tabindex="0" aria-label="Python"><code data-part="python">${spec.python(view.s, view)}</code></pre><button type="button" data-part="copy">Copy</button></details>` +
      (spec.note ? `<p class="note" data-part="note">${spec.note(view)}</p>` : "");
  }

  /** The picture for readers without script, and for paper: the first state, its answer, and 10,000 repetitions. */
  function twin(name, data, W, label) {
    const spec = all[name], view = world(spec, data), H = spec.height(W);
    view.revealed = true;
    if (spec.answer) { spec.answer(view); think(spec, view); }
    if (spec.repeat) view.landed = view.count + repeat(spec, view, 10000 - view.count);
    return `<svg viewBox="0 0 ${W} ${H}" role="img" aria-label="${label}">${spec.picture({ ...view, W, H })}</svg><p>${spec.sentence(view)}</p>`;
  }

  const heights = name => [620, 358].map(all[name].height);

  function explorable(name, spec) {
    all[name] = spec;
    if (typeof document === "undefined") return;
    const near = new IntersectionObserver(seen => {     // a page is drawn before what stands further down is brought to life
      for (const { target, isIntersecting } of seen) if (isIntersecting) { near.unobserve(target); mount(target, spec); }
    }, { rootMargin: "1000px 0px" });
    for (const root of document.querySelectorAll(`[data-explorable="${name}"]`)) near.observe(root);
  }

  function mount(root, spec) {
    const part = name => root.querySelector(`[data-part="${name}"]`), stage = part("stage");
    const view = world(spec, JSON.parse(root.querySelector("script[type='application/json']").textContent));
    const still = matchMedia("(prefers-reduced-motion: reduce)");
    let stop = () => {}, timer = 0;

    function measure() {                            // the width is asked for only when it may have changed
      const W = stage.clientWidth, H = spec.height(W);
      if (!W || W === view.W) return false;         // not on view, or as it was
      Object.assign(view, { W, H });
      stage.setAttribute("viewBox", `0 0 ${W} ${H}`);
      stage.style.height = `${H}px`;
      return true;
    }
    const draw = () => { if (view.W) stage.innerHTML = spec.picture(view); };
    function write() {
      const sentence = spec.sentence(view), say = plain(sentence), status = part("status");
      part("sentence").innerHTML = sentence;
      clearTimeout(timer);
      if (!status.textContent) status.textContent = say;            // at loading: there to be read, not said
      else timer = setTimeout(() => { if (status.textContent !== say) status.textContent = say; }, 600);
      stage.setAttribute("aria-label", plain(spec.describe(view)));
      for (const c of spec.controls) {
        root.querySelector(`[data-code="${c.name}"]`).innerHTML = c.code(view.s);
        const value = root.querySelector(`[data-value="${c.name}"]`);
        if (value) { value.textContent = shown(c, view.s); root.querySelector(`[data-control="${c.name}"]`).setAttribute("aria-valuetext", value.textContent); }
      }
      part("python").innerHTML = spec.python(view.s, view);
      if (part("note")) part("note").innerHTML = spec.note(view);
      if (part("verdict") && view.revealed) part("verdict").innerHTML = spec.verdict(view);
      if (part("again")) {
        part("again").disabled = view.count === (spec.repeat.start ?? 0) && !view.touched;
        for (const button of root.querySelectorAll("[data-repeat]")) button.disabled = view.count + Number(button.dataset.repeat) > MOST;
      }
    }
    function update() { think(spec, view); draw(); write(); }
    function sync() {                                // the controls say what the state says
      for (const c of spec.controls) for (const input of root.querySelectorAll(`[data-control="${c.name}"]`)) c.options ? input.checked = input.value === String(view.s[c.name]) : input.value = view.s[c.name];
    }
    function reveal(focus) {
      if (view.revealed) return;
      view.revealed = true;
      root.classList.add("revealed");
      part("prompt").inert = true;
      part("after").inert = false;
      if (focus && spec.answer) { spec.answer(view); sync(); }      // the controls go where the answer is
      update();
      if (focus) (part("after").querySelector("button") ?? root.querySelector("[data-control]:checked, [type=range][data-control]")).focus({ preventScroll: true });
    }
    /** Call frame(0 … 1) for `ms` milliseconds; at once when the reader wants no motion. */
    function animate(ms, frame) {
      stop();
      if (still.matches) { frame(1); return; }
      let begin = null, stopped = false;
      stop = () => { if (!stopped) { stopped = true; frame(1); } };
      requestAnimationFrame(function step(now) {
        if (stopped) return;
        begin ??= now;
        const t = Math.min(1, (now - begin) / ms);
        if (t === 1) stopped = true;
        frame(t);
        if (t < 1) requestAnimationFrame(step);
      });
    }
    /** New draws glide into the place of the old ones. */
    function glide(to, done) {
      const from = view.draws, mix = t => Object.fromEntries(Object.keys(to).map(k => [k, to[k].map((z, i) => from[k][i] + (z - from[k][i]) * t)]));
      animate(450, t => { view.draws = t === 1 ? to : mix(t * t * (3 - 2 * t)); think(spec, view); if (t === 1) done(); draw(); if (t === 1) write(); });
    }

    root.addEventListener("input", event => {
      const name = event.target.dataset.control;
      if (!name) return;
      const control = spec.controls.find(c => c.name === name);
      view.s[name] = control.options ? control.options.find(o => String(o[0]) === event.target.value)[0] : Number(event.target.value);
      if (spec.moved) { spec.moved(name, view); sync(); }
      stop();
      view.touched = true;
      if (!control.free) reveal();                  // to move a control is to skip the prediction, unless it tells nothing about it
      update();
    });
    part("prompt")?.addEventListener("submit", event => { event.preventDefault(); view.guess = Number(part("guess").value); reveal(true); });
    part("skip")?.addEventListener("click", () => reveal(true));
    for (const button of root.querySelectorAll("[data-repeat]")) button.addEventListener("click", () => {
      stop();
      const start = view.count, count = Number(button.dataset.repeat);
      if (count === 1 && spec.repeat.values) {      // a study in full: its data glide into place, then its estimate lands
        const normal = normals(1e6 + view.seed++), to = Object.fromEntries(Object.entries(view.first).map(([k, z]) => [k, Array.from(z, normal)]));
        glide(to, () => {
          spec.repeat.values(view, normal).forEach((z, k) => { view.store[k][view.count] = z; });
          view.landed = ++view.count;
        });
      } else {
        const more = repeat(spec, view, count);
        animate(count > 1 ? 700 : 0.1, t => { view.landed = start + Math.round(more * t); draw(); if (t === 1) write(); });
      }
    });
    part("again")?.addEventListener("click", () => {
      stop();
      view.touched = false;
      view.count = view.landed = 0; view.seed = 1; view.draws = view.first;
      if (spec.repeat.start) view.landed = repeat(spec, view, spec.repeat.start);
      for (const c of spec.controls) view.s[c.name] = c.value;
      sync();
      update();
      root.querySelector("[data-repeat]").focus({ preventScroll: true });
    });
    part("copy").addEventListener("click", async () => {
      const words = part("python").textContent, button = part("copy");
      try { await navigator.clipboard.writeText(words); } catch {   // file:// has no clipboard of its own in some browsers
        const area = document.body.appendChild(document.createElement("textarea"));
        area.value = words; area.select(); document.execCommand("copy"); area.remove(); button.focus();
      }
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    if (spec.point) for (const kind of ["pointermove", "pointerdown"]) stage.addEventListener(kind, event => {
      const box = stage.getBoundingClientRect(), change = spec.point(event.clientX - box.left, event.clientY - box.top, view);
      if (!change || view.s[change[0]] === change[1]) return;
      view.s[change[0]] = change[1];
      sync();
      update();
    });
    new ResizeObserver(() => { if (measure()) draw(); }).observe(stage);
    root.state = () => ({ s: view.s, f: view.f, d: view.d, count: view.count, landed: view.landed, tally: spec.tally?.(view) });
    if (view.revealed) root.classList.add("revealed");
    measure();
    update();
  }

  return { normals, logGamma, gammaCdf, betaCdf, normalCdf, fCdf, tTails, tCritical, tPower, chiSquareFromNormal, normalFromChiSquare, integral, betaMean,
    oneWay, clamp, number, percent, pValue, plain, scale, text, path, line, rect, circle, dots, bell, spread, pile, rates, explorable, shell, twin, heights };
})();
