// Keyboard control: moving between tiles, search, help and closing.

const ARROWS = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };

// Calls `act.search()`, `act.help()` and `act.escape()`, which returns whether it closed or cleared something.
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
    else if (event.target.matches?.(".tile") && move(board, event.target.dataset.tile, event.key)) {
      // Moved.
    } else return;
    event.preventDefault();
  });
}

// Moves the focus from the tile `id` in the direction of `key`.
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
    if (across !== 0) next = adjacent(columns[at + across]?.order, index);
    else next = order[index + down] ?? beyond(columns, at, down);
  }
  if (next !== undefined) board.tiles.get(next).button.focus();
  return true;
}

const adjacent = (order, index) => order?.[Math.min(index, order.length - 1)];

// Columns are laid out in rows: after the last tile comes the column below, before the first the one above.
function beyond(columns, at, down) {
  const { left, top } = columns[at].root.getBoundingClientRect();
  const candidates = down > 0 ? columns.slice(at + 1) : columns.slice(0, at).reverse();
  const next = candidates.find((column) => {
    const box = column.root.getBoundingClientRect();
    return Math.abs(box.left - left) < 2 && Math.abs(box.top - top) > 2;
  });
  return next && (down > 0 ? next.order[0] : next.order.at(-1));
}
