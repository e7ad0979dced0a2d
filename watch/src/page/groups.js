// Which tile shows which tasks: a task has a tile of its own, whose id is the task's, or shares one with its group.

export class Groups {
  constructor() {
    // Id of the tile of each task that is shown.
    this.tiles = new Map();
    // Ids of the tasks of each shared tile.
    this.members = new Map();
  }

  // Shows a task in a tile, or with undefined in none. Returns the tile that showed it before.
  move(task, tile) {
    const before = this.tiles.get(task);
    if (before === tile) return before;
    const members = this.members.get(before);
    members?.delete(task);
    if (members?.size === 0) this.members.delete(before);
    if (tile === undefined) this.tiles.delete(task);
    else this.tiles.set(task, tile);
    if (tile !== undefined && tile !== task) {
      if (!this.members.has(tile)) this.members.set(tile, new Set());
      this.members.get(tile).add(task);
    }
    return before;
  }

  // Ids of the tasks in a tile.
  tasksOf(tile) {
    const members = this.members.get(tile);
    if (members) return [...members];
    return this.tiles.get(tile) === tile ? [tile] : [];
  }
}
