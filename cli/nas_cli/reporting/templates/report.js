"use strict";
// Points tell of themselves: to a mouse, a finger, or the arrow keys. Without this script all else is there.
for (const plot of document.querySelectorAll(".plot")) {
  const tips = JSON.parse(document.getElementById(plot.dataset.tips).textContent);
  if (!tips.length) continue;
  const mark = document.createElement("div");
  const tip = document.createElement("div");
  mark.className = "mark";
  tip.className = "tip";
  let current = -1;

  const hide = () => {
    mark.remove();
    tip.remove();
  };
  const show = (index) => {
    current = index;
    const [x, y, text] = tips[index];
    const width = plot.clientWidth;
    const left = (x / 1000) * width;
    const top = (y / 1000) * plot.clientHeight;
    mark.style.left = `${left}px`;
    mark.style.top = `${top}px`;
    tip.textContent = text;
    plot.append(mark, tip);
    tip.style.left = `${Math.max(0, Math.min(left - tip.offsetWidth / 2, width - tip.offsetWidth))}px`;
    tip.style.top = `${top > tip.offsetHeight + 12 ? top - tip.offsetHeight - 12 : top + 12}px`;
    plot.setAttribute("aria-valuenow", index + 1);
    plot.setAttribute("aria-valuetext", text);
  };
  const nearest = (event) => {
    const box = plot.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const distance = (t) => Math.hypot((t[0] / 1000) * box.width - x, (t[1] / 1000) * box.height - y);
    let found = 0;
    let least = Infinity;
    tips.forEach((t, index) => {
      const far = distance(t);
      if (far < least) [found, least] = [index, far];
    });
    return found;
  };

  plot.addEventListener("pointermove", (event) => show(nearest(event)));
  plot.addEventListener("pointerdown", (event) => show(nearest(event)));
  plot.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse") hide();
  });

  // What arrow keys move along is a slider: screen readers know it, and read its text.
  plot.tabIndex = 0;
  plot.setAttribute("role", "slider");
  plot.setAttribute("aria-valuemin", 1);
  plot.setAttribute("aria-valuemax", tips.length);
  plot.setAttribute("aria-valuenow", 1);
  plot.setAttribute("aria-valuetext", tips[0][2]);
  plot.addEventListener("keydown", (event) => {
    const last = tips.length - 1;
    const page = Math.max(1, Math.round(tips.length / 20));
    const target = {
      ArrowRight: current + 1, ArrowUp: current + 1, ArrowLeft: current - 1, ArrowDown: current - 1,
      PageUp: current + page, PageDown: current - page, Home: 0, End: last,
    }[event.key];
    if (event.key === "Escape") hide();
    if (target === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    show(Math.max(0, Math.min(target, last)));
  });
  plot.addEventListener("blur", hide);
}

// On paper nothing can be unfolded.
let unfolded = [];
addEventListener("beforeprint", () => {
  unfolded = [...document.querySelectorAll("details:not([open])")];
  for (const each of unfolded) each.open = true;
});
addEventListener("afterprint", () => {
  for (const each of unfolded) each.open = false;
});
