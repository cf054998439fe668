// What all screens need: files that are dropped, tables in another order, progress that moves.

async function put(form, file) {
  const [alarm, status] = [form.querySelector("[role=alert]"), form.querySelector("[role=status]")];
  alarm.hidden = true;
  status.textContent = `${file.name} is read …`;
  const wishes = new URLSearchParams({ name: file.name });
  for (const input of form.querySelectorAll("input[name]")) if (input.value) wishes.set(input.name, input.value);
  const complain = (text) => { status.textContent = ""; alarm.textContent = text; alarm.hidden = false; };
  try {
    const answer = await fetch(`${form.dataset.put}?${wishes}`, { method: "PUT", body: file });
    const said = await answer.json();
    if (said.error) complain(`That did not work: ${said.error}.`);
    else location.assign(said.to);
  } catch {
    complain("The program does not answer. Is it still running? Start it again, then open the address that it prints.");
  }
}

for (const form of document.querySelectorAll("form.drop")) {
  const input = form.querySelector("input[type=file]");
  input.addEventListener("change", () => { if (input.files.length) put(form, input.files[0]).then(() => { input.value = ""; }); });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("dragover", (event) => { event.preventDefault(); form.classList.add("over"); });
  form.addEventListener("dragleave", () => form.classList.remove("over"));
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    form.classList.remove("over");
    if (event.dataTransfer.files.length) put(form, event.dataTransfer.files[0]);
  });
}
// A file that misses its place must not take the page's.
for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());

for (const select of document.querySelectorAll(".columns select")) {
  const period = select.parentElement.querySelector(".period");
  select.addEventListener("change", () => { period.hidden = select.value !== "circular"; });
}
const word = document.getElementById("unlabelled");
word?.addEventListener("input", () => { document.querySelector("[name=says-unlabelled]").checked = word.value !== ""; });

// Numbers by size and words by the alphabet, what is missing last.
export function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  const value = (line, i) => {
    const text = line.cells[i].textContent.trim();
    const number = Number(text.replace(/%$/, "").replaceAll(",", ""));
    return text === "" ? null : Number.isFinite(number) ? number : text;
  };
  const compare = (a, b) => typeof a === "number" && typeof b === "number" ? a - b
    : String(a).localeCompare(String(b), "en", { numeric: true });
  heads.forEach((head, i) => {
    if (head.querySelector(".hide")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const lines = [...table.tBodies[0].rows];
      lines.sort((x, y) => {
        const [a, b] = [value(x, i), value(y, i)];
        if (a === null || b === null) return (a === null) - (b === null);
        return (down ? -1 : 1) * compare(a, b);
      });
      table.tBodies[0].replaceChildren(...lines);
    });
  });
}
for (const table of document.querySelectorAll("table.sortable")) sortable(table);

const progress = document.getElementById("progress");
const moves = () => ["running", "waiting"].includes(progress?.dataset.word);
async function look() {
  try {
    const answer = await fetch(`${location.pathname}?part=1`);
    const [state, text] = [answer.headers.get("x-word"), await answer.text()];
    if (state === "done") return location.assign(location.pathname.replace(/run$/, "answer"));
    if (state !== progress.dataset.word) return location.reload();
    if (text !== look.last) { progress.innerHTML = text; look.last = text; }
  } catch { /* the program has ended, or is busy: asked again */ }
  setTimeout(look, 500);
}
if (moves()) look();
