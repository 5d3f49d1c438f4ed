(() => {
"use strict";
const NEAR = 24, SVG = "http://www.w3.org/2000/svg";
const tip = document.getElementById("tip"), said = document.getElementById("said");

/* light and dark: nothing is remembered beyond the page that is open */
const scheme = document.getElementById("scheme"), asked = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme || (asked.matches ? "dark" : "light")) === "dark";
const name = () => { scheme.setAttribute("aria-pressed", String(isDark())); };
scheme.hidden = false;
name();
asked.addEventListener("change", name);
scheme.addEventListener("click", () => { document.documentElement.dataset.theme = isDark() ? "light" : "dark"; name(); });

/* what points say: at the pointer, by touch, and by arrow keys */
const mark = (svg, tag, kind) => { const e = document.createElementNS(SVG, tag); e.setAttribute("class", `mark ${kind}`);
  svg.append(e); return e; };
const put = (element, places) => { for (const [key, value] of Object.entries(places)) element.setAttribute(key, value); };
const read = (item, of) => ({ x: Number(item.dataset[of ? "narrowX" : "x"]), y: Number(item.dataset[of ? "narrowY" : "y"]),
  text: item.textContent });
let shown = null;
const hide = () => { tip.hidden = true; if (shown) { shown.remove(); shown = null; } };
const show = (svg, point, text, scale) => {
  hide();
  shown = mark(svg, "circle", "ring");
  put(shown, { cx: point.x, cy: point.y, r: 8 / scale, "vector-effect": "non-scaling-stroke" });
  tip.textContent = text;
  tip.hidden = false;
  const at = new DOMPoint(point.x, point.y).matrixTransform(svg.getScreenCTM());
  const box = tip.getBoundingClientRect();
  const left = Math.min(Math.max(4, at.x - box.width / 2), document.documentElement.clientWidth - box.width - 4);
  const above = at.y - box.height - 14;
  tip.style.left = `${left}px`;
  tip.style.top = `${above > 4 ? above : at.y + 14}px`;
};
for (const plot of document.querySelectorAll("figure.picture .plot")) {
  const figure = plot.closest("figure"), svg = plot.querySelector("svg"), narrow = plot.classList.contains("narrow");
  const points = [...figure.querySelectorAll(".told li")].map((item) => read(item, narrow)).filter((p) => !Number.isNaN(p.x));
  if (!points.length) continue;
  const scaled = () => { const m = svg.getScreenCTM(); return { m, scale: Math.hypot(m.a, m.b) }; };
  /* all that is said within 3 pixels of a point, for marks that lie on each other */
  const texts = (point, scale) => {
    const same = [...new Set(points.filter((p) => Math.hypot(p.x - point.x, p.y - point.y) * scale < 3).map((p) => p.text))];
    return same.length > 4 ? [...same.slice(0, 4), `and ${same.length - 4} more here`].join("\n") : same.join("\n");
  };
  const find = (event) => {
    const { m, scale } = scaled(), at = new DOMPoint(event.clientX, event.clientY).matrixTransform(m.inverse());
    let best = null, least = NEAR / scale;
    for (const p of points) { const d = Math.hypot(p.x - at.x, p.y - at.y); if (d <= least) { best = p; least = d; } }
    if (best) show(svg, best, texts(best, scale), scale); else hide();
  };
  plot.addEventListener("pointermove", find);
  plot.addEventListener("pointerdown", find);
  plot.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") hide(); });
  plot.setAttribute("aria-label", `${plot.getAttribute("aria-label")}: arrow keys go through its ${points.length} points`);
  let now = -1;
  plot.addEventListener("keydown", (event) => {
    const last = points.length - 1;
    const to = { ArrowRight: now + 1, ArrowDown: now + 1, ArrowLeft: now < 0 ? last : now - 1, ArrowUp: now < 0 ? last : now - 1,
      PageDown: now + 10, PageUp: now - 10, Home: 0, End: last }[event.key];
    if (event.key === "Escape") { hide(); return; }
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    now = Math.min(Math.max(to, 0), last);
    const { scale } = scaled();
    const inside = points[now].x * scale, wide = plot.clientWidth;
    if (inside < plot.scrollLeft || inside > plot.scrollLeft + wide) plot.scrollLeft = inside - wide / 2;
    show(svg, points[now], points[now].text, scale);
    said.textContent = `${now + 1} of ${points.length}: ${points[now].text}`;
  });
  plot.addEventListener("blur", hide);
}
addEventListener("scroll", hide, { passive: true });
addEventListener("pointerdown", (event) => { if (!event.target.closest(".plot")) hide(); });

/* sliders over what was computed */
for (const slider of document.querySelectorAll(".slider")) {
  const figure = slider.closest("figure"), input = slider.querySelector("input"), out = slider.querySelector("output");
  const drawn = [...figure.querySelectorAll(".plot")].map((plot) => {
    const svg = plot.querySelector("svg"), narrow = plot.classList.contains("narrow"), { top, bottom, narrowTop, narrowBottom } = slider.dataset;
    const line = mark(svg, "line", "line"), dot = mark(svg, "circle", "dot");
    put(line, { y1: narrow ? narrowTop : top, y2: narrow ? narrowBottom : bottom });
    return { line, dot, stops: [...figure.querySelectorAll(".stops li")].map((item) => read(item, narrow)) };
  });
  const go = () => {
    for (const { line, dot, stops } of drawn) {
      const stop = stops[Number(input.value)];
      put(line, { x1: stop.x, x2: stop.x });
      dot.style.display = Number.isNaN(stop.y) ? "none" : "";
      if (!Number.isNaN(stop.y)) put(dot, { cx: stop.x, cy: stop.y, r: 4 });
    }
    out.textContent = drawn[0].stops[Number(input.value)].text;
    input.setAttribute("aria-valuetext", out.textContent);
  };
  slider.hidden = false;
  input.addEventListener("input", go);
  go();
}

/* tables sorted by the column whose head is pressed */
const number = (text) => {
  const plain = text.replace(/\u2212/g, "-").replace(/,(?=\d{3})/g, "").trim();
  if (/^(none|-|)$/.test(plain)) return NaN;
  if (/^[+-]?inf/.test(plain)) return plain.startsWith("-") ? -Infinity : Infinity;
  const found = /^[<>~\u2248|]*\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)/i.exec(plain);
  return found ? Number(found[1]) : undefined;
};
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  if (body.rows.length < 2) continue;
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const rows = [...body.rows].map((row) => ({ row, text: row.cells[column].textContent.trim() }));
      rows.forEach((r) => { r.value = number(r.text); });
      const numeric = rows.every((r) => r.value !== undefined);
      rows.sort((a, b) => {
        if (!numeric) return sign * a.text.localeCompare(b.text, "en", { numeric: true });
        if (Number.isNaN(a.value) || Number.isNaN(b.value)) return Number.isNaN(a.value) - Number.isNaN(b.value);
        return a.value === b.value ? 0 : sign * (a.value < b.value ? -1 : 1);
      });
      body.append(...rows.map((r) => r.row));
    });
  });
}

/* where the reader is; and all that is folded, on paper */
const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a, document.getElementById(a.hash.slice(1))]));
const where = () => {
  let current = null;
  for (const [, target] of links) if (target && target.getBoundingClientRect().top < innerHeight / 3) current = target;
  for (const [a, target] of links) if (target && target === current) a.setAttribute("aria-current", "location"); else a.removeAttribute("aria-current");
};
addEventListener("scroll", where, { passive: true });
where();
for (const menu of document.querySelectorAll("nav.top details")) {
  menu.addEventListener("click", (event) => { if (event.target.closest("a")) menu.open = false; });
}
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open]):not(.points, .theory, .numbers)")];
  folded.forEach((d) => { d.open = true; });
});
addEventListener("afterprint", () => folded.forEach((d) => { d.open = false; }));
})();
