// Keys: from tile to tile, search, help, and the way back.

const ARROWS = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };

// `act.search()`, `act.help()` and `act.escape()`, which tells whether there was something to leave.
export function listen(board, act) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || document.querySelector("dialog[open]")) return;
    const typing = event.target.matches?.("input[type=search], select, textarea");
    if (event.key === "Escape") {
      if (act.escape(event.target)) event.preventDefault();
      return;
    }
    if (typing) return;
    if (event.key === "/") act.search();
    else if (event.key === "?") act.help();
    else if (event.target.matches?.(".tile") && move(board, event.target.dataset.task, event.key)) {
      // Moved.
    } else return;
    event.preventDefault();
  });
}

// Goes from the tile of `id` to the one that `key` points at.
function move(board, id, key) {
  const columns = board.visible();
  const at = columns.findIndex((column) => column.tiles.has(id));
  if (at < 0) return false;
  const { order } = columns[at];
  const index = order.indexOf(id);
  let next;
  if (key === "Home") next = order[0];
  else if (key === "End") next = order.at(-1);
  else if (!Object.hasOwn(ARROWS, key)) return false;
  else {
    const [across, down] = ARROWS[key];
    if (across !== 0) next = besides(columns[at + across]?.order, index);
    else next = order[index + down] ?? beyond(columns, at, down);
  }
  if (next !== undefined) board.tiles.get(next).button.focus();
  return true;
}

const besides = (order, index) => order?.[Math.min(index, order.length - 1)];

// Columns stand in rows: past the last tile comes the column below, past the first the one above.
function beyond(columns, at, down) {
  const { left, top } = columns[at].root.getBoundingClientRect();
  const step = down > 0 ? columns.slice(at + 1) : columns.slice(0, at).reverse();
  const next = step.find((column) => {
    const box = column.root.getBoundingClientRect();
    return Math.abs(box.left - left) < 2 && Math.abs(box.top - top) > 2;
  });
  return next && (down > 0 ? next.order[0] : next.order.at(-1));
}
