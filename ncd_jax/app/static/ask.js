// Asking: a key is an answer; question, counts and map move without the page being loaded again.
import { loadMap } from "./map.js";

const [place, plot] = ["question", "plot"].map((id) => document.getElementById(id));
const said = (id) => JSON.parse(place.querySelector(`#${id}`).textContent);
const KEYS = { y: "yes", n: "no", m: "mixed", u: "unknown", k: "known", b: "back" };
let [map, busy] = [null, false];

function move() {
  if (!map) return;
  Object.assign(map.data, said("moving"));
  map.marked = said("sides");
  map.draw();
}

async function answer(value) {
  const form = place.querySelector("form");
  const button = form.querySelector(`button[value=${value}]`);
  if (busy || !button) return;
  busy = true;
  const body = new URLSearchParams({ question: form.elements.question?.value ?? "", answer: value, known: form.elements.known?.value ?? "" });
  for (const each of form.querySelectorAll("button")) each.disabled = true;
  try {
    const reply = await fetch(form.getAttribute("action"), { method: "POST", body, headers: { "x-part": "yes" } });
    place.innerHTML = await reply.text();
    (place.querySelector(`button[value=${value}]`) ?? place.querySelector("button"))?.focus({ preventScroll: true });
    move();
  } catch {
    for (const each of place.querySelectorAll("button")) each.disabled = false;
    document.querySelector("main").prepend(Object.assign(document.createElement("p"), {
      className: "warning", role: "alert",
      textContent: "The program does not answer. Is it still running? Start it again, then open the address that it prints." }));
  } finally { busy = false; }
  more();
}

// Confidence, and what the vote of neighbours moves, come behind.
async function more() {
  const from = place.querySelector("#so-far")?.dataset.more;
  if (!from) return;
  const asked = ++more.asked;
  const reply = await fetch(from, { headers: { "x-part": "yes" } });
  const whole = new DOMParser().parseFromString(await reply.text(), "text/html");
  if (asked !== more.asked || busy) return;  // another answer was given
  for (const id of ["so-far", "moving"]) place.querySelector(`#${id}`).replaceWith(whole.getElementById(id));
  move();
}
more.asked = 0;

place?.addEventListener("submit", (event) => {
  event.preventDefault();
  answer(event.submitter.value);
});
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  const value = KEYS[event.key.toLowerCase()];
  if (value) answer(value);
});
if (plot) {
  plot.dataset.height = 420;
  loadMap(plot).then((loaded) => { map = loaded; move(); document.body.dataset.ready = "yes"; });
}
