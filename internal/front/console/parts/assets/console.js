// What scripts add: copying, the heading in focus after a page was exchanged, and
// choosing all rows. Every page works without.
"use strict";
(() => {
  const narrow = matchMedia("(max-width: 56rem)");
  const ready = () => {
    document.documentElement.classList.add("js");
    const menu = document.querySelector(".menu");
    if (menu) menu.open = !narrow.matches;
  };
  narrow.addEventListener("change", () => ready());
  ready();
  document.addEventListener("click", async (e) => {
    const b = e.target.closest("[data-copy]");
    if (!b) return;
    const said = b.textContent;
    try {
      await navigator.clipboard.writeText(b.dataset.copy);
      b.textContent = b.dataset.done;
    } catch {
      b.textContent = b.dataset.failed;
    }
    setTimeout(() => { b.textContent = said; }, 2000);
  });
  document.addEventListener("change", (e) => {
    if (!e.target.matches("[data-all]")) return;
    for (const c of e.target.form.querySelectorAll("input[type=checkbox][name]")) c.checked = e.target.checked;
  });
  let path = location.pathname;
  document.addEventListener("htmx:after:swap", () => {
    ready();
    if (path === location.pathname) return; // a filter, not a page
    path = location.pathname;
  });
  document.addEventListener("htmx:after:history:push", () => {
    if (path === location.pathname) return;
    path = location.pathname;
    requestAnimationFrame(() => {
      const h = document.querySelector("h1");
      if (h) { h.focus(); scrollTo(0, 0); }
    });
  });
})();
