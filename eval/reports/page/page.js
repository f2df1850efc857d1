"use strict";
// Sorts a table by a column: numbers by their first one, texts by the alphabet, empty cells last; the same button again turns it round.
function key(row, column) {
  const text = row.cells[column].textContent.trim();
  const number = parseFloat(text.replace("−", "-").replace("<", ""));
  return { text, number: Number.isNaN(number) ? null : number };
}
function sort(button) {
  const head = button.closest("th"), table = button.closest("table"), body = table.tBodies[0];
  const falling = head.ariaSort === "ascending", sign = falling ? -1 : 1;
  const rows = [...body.rows].map((row) => ({ row, ...key(row, head.cellIndex) }));
  const numbers = rows.every(({ text, number }) => text === "" || number !== null);
  rows.sort((a, b) => {
    if (a.text === "" || b.text === "") return (a.text === "") - (b.text === "");
    return sign * (numbers ? a.number - b.number : a.text.localeCompare(b.text));
  });
  for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", falling ? "descending" : "ascending");
  body.append(...rows.map(({ row }) => row));
}
for (const button of document.querySelectorAll("table.sortable th button")) button.addEventListener("click", () => sort(button));
// One video plays at a time.
document.addEventListener("play", (event) => {
  for (const video of document.querySelectorAll("video")) if (video !== event.target) video.pause();
}, true);
