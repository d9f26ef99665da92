/* What a cell shows, set as the book sets it: tables as book/_ext/tables.py makes them, figures as svg_figures.py. */

const make = (tag, className = "", text = "") => Object.assign(document.createElement(tag), { className, textContent: text });

// ---- tables ----
const NUMBER = /^([<>≤≥~]?\s*[-−+]?[\d,]*\.?\d+(e[-+]?\d+)?\s*%?|(NaN|nan|inf|-inf|True|False)?)$/;
const words = cell => cell ? cell.textContent.trim() : "";
const cellsOf = row => [...row.querySelectorAll("th, td")];

function rename(cell, tag) {
  const other = document.createElement(tag);
  for (const { name, value } of cell.attributes) other.setAttribute(name, value);
  other.append(...cell.childNodes);
  cell.replaceWith(other);
  return other;
}

/* The names of an index, which pandas writes into a row of their own, move into the row above. */
function oneHeader(table) {
  const rows = table.tHead ? [...table.tHead.rows] : [];
  if (rows.length < 2) return;
  const [above, below] = rows.slice(-2), upper = [...above.querySelectorAll("th")], lower = [...below.querySelectorAll("th")];
  const filled = lower.map(cell => words(cell) !== "");
  const k = filled.filter(Boolean).length;
  if (!k || !filled.slice(0, k).every(Boolean) || filled.slice(k).some(Boolean) || upper.length !== lower.length) return;
  const ofColumns = words(upper[k - 1]);
  for (let i = 0; i < k; i++) upper[i].textContent = words(lower[i]);
  below.remove();
  if (ofColumns && upper.slice(k).every(cell => NUMBER.test(words(cell)))) {
    const row = make("tr", "spanner"), corner = make("td"), head = make("th", "", ofColumns);
    corner.colSpan = k;
    head.colSpan = upper.length - k;
    head.scope = "colgroup";
    row.append(corner, head);
    above.before(row);
  }
}

export function setTable(table) {
  table.removeAttribute("border");
  table.removeAttribute("style");
  oneHeader(table);
  const head = table.tHead ? [...table.tHead.rows] : [], body = [...table.tBodies].flatMap(part => [...part.rows]);
  const width = Math.max(0, ...body.map(row => cellsOf(row).length)), inWords = new Set();
  for (let column = 0; column < width; column++) {
    const full = body.map(cellsOf).filter(cells => cells.length === width);
    if (!full.every(cells => NUMBER.test(words(cells[column])))) inWords.add(column);
  }
  for (const row of [...head, ...body]) {
    row.removeAttribute("style");
    const cells = cellsOf(row), missing = width - cells.length;
    cells.forEach((cell, i) => {
      cell.removeAttribute("valign");
      if (row.className === "spanner") return;
      if (inWords.has(i + missing)) cell.className = "w";
      if (cell.tagName === "TH") {
        if (!head.includes(row)) cell.scope = "row";
        else if (words(cell)) cell.scope = "col";
        else rename(cell, "td");
      } else if (!cell.children.length) cell.textContent = cell.textContent.replace(/^-(?=[\d.])/, "−");
    });
  }
  const index = body.map(row => row.querySelector("th"));
  if (index.length && head.length && index.every(cell => /^\d+$/.test(words(cell))) && !words(head.at(-1).querySelector("th, td"))) table.classList.add("counted");
}

// ---- figures ----
const SVG = "http://www.w3.org/2000/svg", FIXED = { "fill-opacity": "1", "stroke-opacity": "1", "stroke-miterlimit": "100000", "stroke-dashoffset": "0" };
const stylesOf = element => new Map((element.getAttribute("style") || "").split(";").filter(part => part.includes(":"))
  .map(part => [part.slice(0, part.indexOf(":")).trim(), part.slice(part.indexOf(":") + 1).trim()]).filter(([key, value]) => FIXED[key] !== value));
const setStyles = (element, style) => style.size ? element.setAttribute("style", [...style].map(pair => pair.join(":")).join(";")) : element.removeAttribute("style");

// The twin of a color on dark paper, as book/_ext/ink.py has it: grays are mirrored, hues are lifted.
const linear = c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const encoded = c => { c = Math.min(Math.max(c, 0), 1); return c <= 0.0031308 ? 12.92 * c : 1.055 * c ** (1 / 2.4) - 0.055; };
export function inTheDark(color) {
  const [r, g, b] = [1, 3, 5].map(i => linear(parseInt(color.slice(i, i + 2), 16) / 255));
  const [l, m, s] = [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566], [0.0883024619, 0.2817188376, 0.6299787005]]
    .map(([x, y, z]) => Math.cbrt(x * r + y * g + z * b));
  let L = 0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s, A = 1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s, B = 0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s;
  if (Math.hypot(A, B) < 0.035) L = 0.3 + 0.86 * (1 - L);
  else { L = Math.max(L, 0.72 + 0.1 * (L - 0.5)); A *= 0.9; B *= 0.9; }
  const [x, y, z] = [(L + 0.3963377774 * A + 0.2158037573 * B) ** 3, (L - 0.1055613458 * A - 0.0638541728 * B) ** 3, (L - 0.0894841775 * A - 1.291485548 * B) ** 3];
  return "#" + [4.0767416621 * x - 3.3077115913 * y + 0.2309699292 * z, -1.2684380046 * x + 2.6097574011 * y - 0.3413193965 * z, -0.0041960863 * x - 0.7034186147 * y + 1.707614701 * z]
    .map(c => Math.round(255 * encoded(c)).toString(16).padStart(2, "0")).join("");
}

function ink(color) {
  color = color.toLowerCase();
  if (color.length === 4) color = "#" + [...color.slice(1)].map(c => c + c).join("");
  return color === "#000000" ? "currentColor" : color === "#ffffff" ? "var(--paper,#fff)" : `var(--f${color.slice(1)},${color})`;
}
const colored = value => value.replace(/#[0-9a-fA-F]{6}\b|#[0-9a-fA-F]{3}\b/g, ink);

/* Dark twins of the colors that a figure uses and the page has not got yet. */
function darkRules(svg) {
  const found = new Set([...svg.outerHTML.matchAll(/var\(--f([0-9a-f]{6}),/g)].map(match => match[1]));
  const sheet = document.getElementById("live-dark") || document.head.appendChild(Object.assign(make("style"), { id: "live-dark" }));
  for (const color of found) if (!sheet.textContent.includes(`--f${color}:`)) sheet.textContent += `html[data-theme=dark]{--f${color}:${inTheDark("#" + color)}}`;
}

/* Where a point of an element stands, after the shifts and scales written on the element. */
function corner(element, x, y) {
  for (const [, kind, numbers] of [...(element.getAttribute("transform") || "").matchAll(/(translate|scale)\(([^)]*)\)/g)].reverse()) {
    const [a, b = kind === "scale" ? a : 0] = numbers.trim().split(/[ ,]+/).map(Number);
    [x, y] = kind === "translate" ? [x + a, y + b] : [x * a, y * b];
  }
  return [x, y];
}

/* A pixel image in a figure: where it stands, and whether it covers the paper around a point. */
async function pixels(image) {
  const [x, y, w, h] = ["x", "y", "width", "height"].map(key => parseFloat(image.getAttribute(key)) || 0);
  const first = corner(image, x, y), last = corner(image, x + w, y + h);
  const picture = await createImageBitmap(await (await fetch(image.getAttribute("xlink:href") || image.getAttribute("href"))).blob());
  const size = [picture.width, picture.height], canvas = Object.assign(make("canvas"), { width: size[0], height: size[1] });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  return (point, reach) => {
    const [[left, right], [top, bottom]] = [0, 1].map(k => [-reach, reach]
      .map(r => Math.max(0, Math.min(size[k], Math.round((point[k] + r - first[k]) / (last[k] - first[k]) * size[k])))).sort((a, b) => a - b));
    if (left === right || top === bottom) return false;
    const { data } = context.getImageData(left, top, right - left, bottom - top);
    let opaque = 0;
    for (let k = 3; k < data.length; k += 4) opaque += data[k] > 127;
    return opaque > 0.9 * data.length / 4;
  };
}

/* Texts on a heat map keep their color in the dark; not those among the dots of a cloud that is drawn in pixels. */
async function onImages(svg) {
  const covers = await Promise.all([...svg.querySelectorAll("image")].map(pixels)), fixed = new Set();
  if (covers.length) for (const text of svg.querySelectorAll("text")) {
    const at = text.hasAttribute("x") ? [+text.getAttribute("x"), +text.getAttribute("y")] : corner(text, 0, 0);
    if (covers.some(cover => cover(at, 5))) [text, ...text.querySelectorAll("tspan")].forEach(e => fixed.add(e));
  }
  return fixed;
}

let drawings = 0;
export async function drawn(text, label) {
  const svg = document.importNode(new DOMParser().parseFromString(text, "image/svg+xml").documentElement, true), name = `live${++drawings}`;
  svg.querySelectorAll("metadata, style").forEach(e => e.remove());
  const fixed = await onImages(svg), sizes = new Map();
  for (const element of svg.querySelectorAll("*")) {
    const style = stylesOf(element);
    if (fixed.has(element)) { if (element.tagName === "text" && !style.has("fill")) style.set("fill", "#000000"); }
    else {
      for (const [key, value] of style) style.set(key, colored(value));
      for (const key of ["fill", "stroke"]) if (element.getAttribute(key)) { if (!style.has(key)) style.set(key, colored(element.getAttribute(key))); element.removeAttribute(key); }
    }
    if (element.tagName === "text" || element.tagName === "tspan") {
      const font = style.get("font") || "", size = style.get("font-size") || (font.match(/([\d.]+)px/) || [])[0];
      const weight = style.get("font-weight") || (/\b(bold|[6-9]00)\b/.test(font) ? "600" : "400");
      ["font", "font-size", "font-weight", "font-family"].forEach(key => style.delete(key));
      if (weight !== "400") style.set("font-weight", "600");
      if (font.includes("italic")) style.set("font-style", "italic");
      if (size) { const px = `${parseFloat(size)}px`; style.set("--s", px); sizes.set(px, (sizes.get(px) || 0) + 1); }
      if ((element.getAttribute("transform") || "").includes("rotate(-0 ")) element.removeAttribute("transform");
    }
    setStyles(element, style);
  }
  for (const line of svg.querySelectorAll("text")) {                // letters of a formula follow each other
    let last = null;
    for (const letter of line.querySelectorAll(":scope > tspan")) {
      const at = letter.getAttribute("x");
      if (at === null || at.includes(" ")) { last = null; continue; }
      const [x, y] = [+at, +(letter.getAttribute("y") || 0)];
      if (last && x > last[0]) {
        letter.removeAttribute("x");
        letter.removeAttribute("y");
        if (y !== last[1]) letter.setAttribute("dy", +(y - last[1]).toFixed(2));
      }
      last = [x, y];
    }
  }
  for (const element of svg.querySelectorAll("*")) for (const { name: key, value } of [...element.attributes]) {
    if (key === "id") element.id = `${name}-${value}`;
    else if (key.endsWith("href")) { element.removeAttribute(key); element.setAttribute("href", value.startsWith("#") ? `#${name}-${value.slice(1)}` : value); }
    else if (value.includes("url(#")) element.setAttribute(key, value.replace(/url\(#/g, `url(#${name}-`));
  }
  const width = parseFloat(svg.getAttribute("width")), height = parseFloat(svg.getAttribute("height")), unit = /pt$/.test(svg.getAttribute("width")) ? 4 / 3 : 1;
  const view = svg.getAttribute("viewBox") || `0 0 ${width} ${height}`, common = [...sizes].sort((a, b) => b[1] - a[1])[0];
  for (const { name: key } of [...svg.attributes]) svg.removeAttribute(key);
  for (const [key, value] of Object.entries({ viewBox: view, class: "drawn", width: Math.round(width * unit), height: Math.round(height * unit), role: "img", "aria-label": label || "Figure drawn by this cell" })) svg.setAttribute(key, value);
  if (common) {                                                     // the size that most texts have is said once
    svg.setAttribute("style", `--s:${common[0]}`);
    for (const line of svg.querySelectorAll("text")) {
      const style = stylesOf(line);
      if (style.get("--s") === common[0]) { style.delete("--s"); setStyles(line, style); }
    }
  }
  darkRules(svg);
  return svg;
}

// ---- formulas and Markdown ----
let temml;
const formulas = () => temml ||= new Promise((done, failed) => {
  const script = Object.assign(make("script"), { src: new URL("temml.min.js", import.meta.url), onload: () => done(window.temml), onerror: failed });
  document.head.append(script);
});

async function formula(text) {
  const outer = make("div", "math"), inner = make("div", "formula");
  inner.innerHTML = (await formulas()).renderToString(text.replace(/^\s*\$+|\$+\s*$/g, ""), { displayMode: true, wrap: "tex" });
  outer.append(inner);
  return outer;
}

const escaped = text => text.replace(/[&<>]/g, c => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[c]);
/* Quotation marks that bend, as the book sets them. */
const curly = text => text.replace(/(^|[\s(\[])"(?=\S)/g, "$1“").replace(/"/g, "”").replace(/(^|[\s(\[“])'(?=\S)/g, "$1‘").replace(/'/g, "’");
const inline = text => escaped(text).split(/`([^`]+)`/).map((part, i) => i % 2 ? `<code>${part}</code>`
  : curly(part).replace(/\*\*([^*]+)\*\*/g, "<strong>$1</strong>").replace(/\*([^*]+)\*/g, "<em>$1</em>")).join("");

/* Paragraphs, lists and quotations, which is what cells of the book write. */
function blocks(text) {
  return text.trim().split(/\n\s*\n/).map(part => {
    if (part.startsWith(">")) return `<blockquote>${blocks(part.replace(/^> ?/gm, ""))}</blockquote>`;
    if (/^[-*] /.test(part)) return `<ul>${part.split(/\n(?=[-*] )/).map(item => `<li><p>${inline(item.slice(2))}</p></li>`).join("")}</ul>`;
    return `<p>${inline(part)}</p>`;
  }).join("");
}

function markdown(text) {
  const box = make("div", "output text_markdown");
  box.innerHTML = blocks(text);
  return box;
}

// ---- all that a cell shows ----
function printed(kind, text) {
  const outer = make("div", `output ${kind} highlight-myst-ansi notranslate`), inner = make("div", "highlight");
  inner.append(make("pre", "", text.split("\n").map(line => line.slice(line.lastIndexOf("\r") + 1)).join("\n")));
  outer.append(inner);
  return outer;
}

/* One thing that a cell showed, as an element. */
export async function element({ kind, text }, label) {
  if (kind === "html") {
    const box = make("div", "output text_html");
    box.innerHTML = text;
    box.querySelectorAll("style, script").forEach(e => e.remove());
    box.querySelectorAll("table").forEach(setTable);
    return box;
  }
  if (kind === "svg") return drawn(text, label);
  if (kind === "latex") return formula(text);
  if (kind === "markdown") return markdown(text);
  if (kind === "note") { const box = printed("stderr", text); box.classList.add("live-note"); return box; }
  return printed(kind === "stream" ? "stream" : "text_plain", text);
}

/* An error: where, in the reader's own lines, then what Python says. */
export function mistake({ steps, text }, number) {
  const box = make("div", "live-error");
  for (const { cell, line, code } of steps) {
    const place = make("p", "", cell === String(number) ? `In line ${line} of this cell: ` : `In line ${line} of an earlier cell: `);
    place.append(make("code", "", code));
    box.append(place);
  }
  box.append(make("pre", "", text));
  return box;
}

/* What is wider than its place can be scrolled by keyboard. */
export function reachable(box) {
  box.querySelectorAll(".output.text_html, .output pre, div.formula").forEach(e => { if (e.scrollWidth > e.clientWidth + 1) e.tabIndex = 0; });
}
