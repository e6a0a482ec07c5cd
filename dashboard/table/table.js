// The worklist's rows. Text enters the page as textContent only: reasons and scanners come from files.

const shown = new WeakMap();

function element(name, className, text) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

// A real link, so that a study can be opened in a tab of its own, too.
function link(id, slice, text) {
  const node = element("a", "", text);
  node.href = slice ? `?study=${id}&slice=${slice}` : `?study=${id}`;
  return node;
}

function row({ id, slice, cells }) {
  const line = element("tr");
  line.dataset.study = id;
  line.dataset.slice = slice ?? "";
  line.append(
    ...cells.map(({ text, kind, title }) => {
      const cell = element("td", kind);
      cell.append(kind === "study" ? link(id, slice, text) : element("span", "", text));
      if (title) cell.title = title;
      return cell;
    }),
  );
  return line;
}

function step(table, from, by) {
  const links = [...table.querySelectorAll("a")];
  const to = links[links.indexOf(from) + by];
  to?.focus();
  to?.scrollIntoView({ block: "nearest" });
}

function listen(table, open) {
  table.onclick = (event) => {
    const line = event.target.closest("tr[data-study]");
    // With a modifier the browser opens the link in another tab or window.
    if (!line || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    // Someone who marks a key to copy it does not want to go there.
    if (event.target.closest("a") || !String(window.getSelection())) {
      open({ study: Number(line.dataset.study), slice: Number(line.dataset.slice) || null });
    }
  };
  table.onkeydown = (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by || !event.target.matches("a")) return;
    event.preventDefault();
    step(table, event.target, by);
  };
}

// Streamlit calls this at every run of the page; rows that are the same stay, and keep the focus.
export default function ({ data, parentElement, setTriggerValue }) {
  const table = parentElement.querySelector(".studies");
  listen(table, (place) => setTriggerValue("open", place));
  const now = JSON.stringify(data);
  if (shown.get(table) === now) return;
  shown.set(table, now);
  const head = element("tr");
  head.append(...data.head.map((text) => element("th", text.toLowerCase(), text)));
  table.tHead.replaceChildren(head);
  table.tBodies[0].replaceChildren(...data.rows.map(row));
  const first = table.querySelector(`tr[data-study="${data.last}"] a`) ?? table.querySelector("a");
  if (focusIsFree()) first?.focus({ preventScroll: data.last === null });
}
