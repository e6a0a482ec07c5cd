// Rows of studies to choose from. Text enters the page as textContent only: it comes from an archive.

const shown = new WeakMap();

function element(name, className, text) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function box(label, className) {
  const node = element("input", className);
  node.type = "checkbox";
  node.setAttribute("aria-label", label);
  return node;
}

function row(cells, number) {
  const line = element("tr");
  const choose = element("td", "choose");
  choose.append(box(`Choose ${cells.filter(Boolean).join(", ")}`, "one"));
  const open = element("td");
  const button = element("button", "", "Series");
  button.type = "button";
  button.setAttribute("aria-label", `Series of ${cells.filter(Boolean).join(", ")}`);
  open.append(button);
  line.dataset.number = number;
  line.append(choose, ...cells.map((text) => element("td", "text", text)), open);
  for (const cell of line.querySelectorAll(".text")) cell.title = cell.textContent;
  return line;
}

function head(titles) {
  const line = element("tr");
  const choose = element("th", "choose");
  choose.append(box("Choose all studies", "all"));
  line.append(choose, ...titles.map((text) => element("th", "", text)), element("td"));
  return line;
}

function boxes(table) {
  return [...table.tBodies[0].querySelectorAll("input.one")];
}

function mark(table, opened) {
  const all = boxes(table);
  for (const one of all) one.closest("tr").classList.toggle("chosen", one.checked);
  for (const line of table.tBodies[0].rows) {
    const open = Number(line.dataset.number) === opened;
    line.classList.toggle("opened", open);
    line.querySelector("button").setAttribute("aria-pressed", String(open));
  }
  const every = table.querySelector("input.all");
  every.checked = all.length > 0 && all.every((one) => one.checked);
  every.indeterminate = !every.checked && all.some((one) => one.checked);
}

function listen(table, state, tell) {
  table.onchange = (event) => {
    if (event.target.matches("input.all")) {
      for (const one of boxes(table)) one.checked = event.target.checked;
    }
    mark(table, state.opened);
    const chosen = boxes(table).filter((one) => one.checked);
    tell("chosen", chosen.map((one) => Number(one.closest("tr").dataset.number)));
  };
  table.onclick = (event) => {
    const line = event.target.closest("tbody tr");
    if (!line || event.target.matches("input")) return;
    if (event.target.matches("button")) {
      state.opened = Number(line.dataset.number);
      mark(table, state.opened);
      tell("opened", state.opened);
    } else if (!String(window.getSelection())) {
      line.querySelector("input").click();
    }
  };
  table.onkeydown = (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by || !event.target.matches("input")) return;
    event.preventDefault();
    const all = [...table.querySelectorAll("input")];
    const to = all[all.indexOf(event.target) + by];
    to?.focus();
    to?.scrollIntoView({ block: "nearest" });
  };
}

// Streamlit calls this at every run of the page; a table that is the same keeps what is chosen, and the focus.
export default function ({ data, parentElement, setStateValue }) {
  const table = parentElement.querySelector(".choosing");
  const now = JSON.stringify(data);
  if (shown.get(table)?.now === now) return;
  const state = { now, opened: null };
  shown.set(table, state);
  table.tHead.replaceChildren(head(data.head));
  table.tBodies[0].replaceChildren(...data.rows.map(row));
  listen(table, state, setStateValue);
  mark(table, null);
}
