/* A cell's code becomes a text field: a transparent <textarea> over the colored text, in the same place and type. */

const WORDS = "and|as|assert|async|await|break|class|continue|def|del|elif|else|except|finally|for|from|global|if|import|in|is|lambda|match|nonlocal|not|or|pass|raise|return|try|while|with|yield|True|False|None";
const TOKEN = new RegExp([
  "(?<c>#[^\\n]*)",
  "(?<s>\\b[rbfuRBFU]{0,2}(?:\"\"\"[^]*?(?:\"\"\"|$)|'''[^]*?(?:'''|$)|\"(?:\\\\.|[^\"\\\\\\n])*\"?|'(?:\\\\.|[^'\\\\\\n])*'?)|\"\"\"[^]*?(?:\"\"\"|$)|'''[^]*?(?:'''|$)|\"(?:\\\\.|[^\"\\\\\\n])*\"?|'(?:\\\\.|[^'\\\\\\n])*'?)",
  `(?<k>\\b(?:${WORDS})\\b)`,
  "(?<mi>\\b(?:0[xob])?\\d[\\d_]*(?:\\.\\d*)?(?:[eE][-+]?\\d+)?|\\.\\d+(?:[eE][-+]?\\d+)?)",
  "(?<n>[A-Za-z_]\\w*)",
].join("|"), "g");

/* The tokens of some Python, with Pygments' classes, as nodes. */
export function colored(source) {
  const made = document.createDocumentFragment();
  let at = 0;
  for (const match of source.matchAll(TOKEN)) {
    const kind = Object.keys(match.groups).find(key => match.groups[key] !== undefined);
    if (kind === "n") continue;
    made.append(source.slice(at, match.index));
    made.append(Object.assign(document.createElement("span"), { className: kind, textContent: match[0] }));
    at = match.index + match[0].length;
  }
  made.append(source.slice(at));
  return made;
}

/* What a new line starts with: the indentation of the one before it, and four spaces more after a colon. */
export function indent(before) {
  const line = before.slice(before.lastIndexOf("\n") + 1);
  return line.match(/^ */)[0] + (/:\s*(#.*)?$/.test(line) ? "    " : "");
}

/* Make the code of a cell editable; `name` is what a screen reader says. */
export function editor(pre, name, { run, changed }) {
  const field = document.createElement("textarea"), box = pre.parentElement;
  const source = pre.textContent.replace(/\n$/, "");
  Object.assign(field, { value: source, spellcheck: false, className: "live-code", autocapitalize: "off", autocomplete: "off" });
  field.setAttribute("aria-label", name);
  field.setAttribute("autocorrect", "off");
  pre.removeAttribute("tabindex");
  const paint = () => pre.replaceChildren(colored(field.value), "\n");
  field.addEventListener("input", () => { paint(); changed(); });
  field.addEventListener("keydown", event => {
    if (event.key !== "Enter" || event.isComposing) return;
    if (event.shiftKey || event.ctrlKey || event.metaKey) { event.preventDefault(); run(); return; }
    const more = indent(field.value.slice(0, field.selectionStart));
    if (more) { event.preventDefault(); document.execCommand("insertText", false, "\n" + more); }
  });
  const frame = Object.assign(document.createElement("div"), { className: "live-frame" });
  pre.before(frame);
  frame.append(pre, field);
  box.classList.add("live-box");
  paint();
  return {
    field,
    get source() { return field.value; },
    set source(text) { field.value = text; paint(); },
  };
}
