// Answers that are chosen on the page, saved as a file that `--answers` reads.
const asked = [...document.querySelectorAll("[data-question]")];
const answerOf = (question) => {
  const known = question.querySelector("select").value;
  return known ? `known:${known}` : question.querySelector("input:checked")?.value;
};
const quoted = (cell) => /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
const given = () => asked.map((question) => [question.dataset.question, answerOf(question)]).filter(([, answer]) => answer);

for (const question of asked) {
  const choice = question.querySelector("select");
  const settle = () => {
    const n = given().length;
    document.getElementById("save-answers").disabled = n === 0;
    document.getElementById("answers-count").textContent = n === 0 ? "no answer yet" : n === 1 ? "1 answer" : `${n} answers`;
    question.classList.toggle("answered", answerOf(question) !== undefined);
  };
  // A second click takes an answer back; the known class and the other answers exclude each other.
  for (const input of question.querySelectorAll("input")) input.addEventListener("click", () => {
    const again = input.dataset.chosen === "yes";
    for (const other of question.querySelectorAll("input")) {
      other.checked = other === input && !again;
      other.dataset.chosen = other.checked ? "yes" : "";
    }
    choice.value = "";
    settle();
  });
  question.querySelector(".all-columns")?.addEventListener("click", (event) => {
    for (const line of question.querySelectorAll("tr[hidden]")) line.hidden = false;
    event.target.parentElement.remove();
  });
  choice.addEventListener("change", () => {
    for (const input of question.querySelectorAll("input")) { input.checked = false; input.dataset.chosen = ""; }
    settle();
  });
}
document.getElementById("save-answers")?.addEventListener("click", () => {
  const lines = [["question", "answer"], ...given()].map((line) => line.map(quoted).join(","));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
  link.download = "answers.csv";
  link.click();
  URL.revokeObjectURL(link.href);
});
