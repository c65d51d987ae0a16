// Sorts a table by the column whose heading is pressed, saves the figure, and opens everything for paper.
for (const heading of document.querySelectorAll("th button")) {
  heading.addEventListener("click", () => {
    const cell = heading.closest("th"), body = cell.closest("table").tBodies[0], column = cell.cellIndex;
    const isUp = cell.getAttribute("aria-sort") !== "ascending", way = isUp ? 1 : -1;
    const worth = (row) => row.cells[column].dataset.worth ?? "";
    const compare = (a, b) => {
      if (a === "" || b === "") return (a === "") - (b === "");
      const [x, y] = [Number(a), Number(b)];
      return way * (Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x < y ? -1 : x > y ? 1 : 0);
    };
    for (const other of cell.parentElement.cells) other.removeAttribute("aria-sort");
    cell.setAttribute("aria-sort", isUp ? "ascending" : "descending");
    body.append(...[...body.rows].sort((a, b) => compare(worth(a), worth(b))));
  });
}
document.getElementById("save-figure").href = document.getElementById("figure").src;
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => (part.open = true)));
