// Tests of the page's pure modules, run in the page; returns [{ name, failed }].
(async () => {
  const sse = await import("/sse.js");
  const { Clock } = await import("/clock.js");
  const { backoff, Connection } = await import("/connection.js");
  const filter = await import("/filter.js");
  const format = await import("/format.js");
  const { ordered, first } = await import("/causes.js");
  const { colour } = await import("/colours.js");
  const { Groups } = await import("/groups.js");
  const model = await import("/model.js");
  const { Parts } = await import("/parts.js");
  const { Store } = await import("/store.js");

  const report = [];
  const equal = (got, wanted) => {
    const [a, b] = [JSON.stringify(got), JSON.stringify(wanted)];
    if (a !== b) throw new Error(`${a} is not ${b}`);
  };
  const test = async (name, run) => {
    try {
      await run();
      report.push({ name, failed: null });
    } catch (error) {
      report.push({ name, failed: String(error) });
    }
  };
  const plain = (text) => text.replaceAll("\u00a0", " ").replaceAll("\u202f", " ");

  const events = (pieces) => {
    const seen = [];
    const feed = sse.parser((event) => seen.push(event));
    for (const piece of pieces) feed(piece);
    return seen;
  };
  const stream = "\uFEFFretry: 50\r\n\r\n: a comment\nid: a-1\nevent: delta\ndata: {\ndata:}\n\ndata\n\nevent: x\n\nid:2\rdata: last\r\rdata: half";
  const wanted = [
    { event: "message", data: "", retry: 50 },
    { event: "delta", data: "{\n}", id: "a-1" },
    { event: "message", data: "", id: "a-1" },
    { event: "message", data: "last", id: "2" },
  ];
  await test("a stream is parsed as the standard requires", () => equal(events([stream]), wanted));
  await test("a stream is parsed wherever it is split", () => {
    for (let cut = 0; cut <= stream.length; cut += 1) equal(events([stream.slice(0, cut), stream.slice(cut)]), wanted);
    equal(events([...stream]), wanted);
  });

  await test("the clock follows the fastest beat", () => {
    let local = 1_000;
    const clock = new Clock(() => local);
    equal(clock.now(), 1_000);
    clock.beat(5_000 - 300);
    clock.beat(5_000 - 20);
    clock.beat(5_000 - 900);
    equal(clock.now(), 4_980);
    local += 10_000;
    equal(clock.now(), 14_980);
    clock.beat(NaN);
    equal(clock.now(), 14_980);
    // After the browser's clock was set, eight beats replace the earlier ones.
    for (let beat = 0; beat < 8; beat += 1) clock.beat(local - 100);
    equal(clock.now(), local - 100);
  });

  await test("the backoff grows, varies and is bounded", () => {
    equal([0, 1, 2, 3, 9, 99].map((tries) => backoff(tries, 1_000, 0.5)), [1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
    equal(backoff(0, 1_000, 0), 700);
  });

  // Runs a connection against the responses `answers` until a condition; returns its requests, events and states.
  const connected = async (answers, until) => {
    const asked = [];
    const states = [];
    const got = [];
    let done;
    const end = new Promise((resolve) => (done = resolve));
    const connection = new Connection("/x", {
      event: (name, data) => got.push([name, data]),
      state: (status) => {
        states.push(status);
        if (until(states, got)) done();
      },
    }, {
      random: () => 0.5,
      fetch: async (url, options) => {
        asked.push(options.headers["last-event-id"]);
        const answer = answers.shift();
        if (!answer) return new Promise((_, reject) => options.signal.addEventListener("abort", () => reject(options.signal.reason)));
        return answer();
      },
    });
    connection.start();
    await end;
    clearTimeout(connection.timer);
    clearTimeout(connection.watchdog);
    return { asked, got, states: states.map(({ state }) => state), last: states.at(-1), connection };
  };
  const stop = (states) => states.filter(({ state }) => state === "connecting").length > 1;

  await test("it reconnects with the id of the last event", async () => {
    const { asked, got, states } = await connected([
      () => new Response("retry: 100\nid: i-7\nevent: snapshot\ndata: {\"a\":1}\n\n"),
      () => new Response("event: beat\ndata: {\"now\":1}\n\n"),
    ], (_, got) => got.length > 0 && got.at(-1)[0] === "beat" || got.length > 1);
    equal(asked[0], undefined);
    equal(asked[1], "i-7");
    equal(got[0], ["snapshot", { a: 1 }]);
    equal(states.slice(0, 4), ["connecting", "live", "waiting", "connecting"]);
  });
  await test("retry-after of a busy server is honoured", async () => {
    const before = Date.now();
    const { last } = await connected([() => new Response("", { status: 503, headers: { "retry-after": "9" } })],
      (states) => states.at(-1).state === "waiting");
    const after = Date.now();
    equal(last.why, "the server is busy");
    // Nine seconds after a moment in between, however long that took.
    if (last.until < before + 9_000 || last.until > after + 9_000) throw new Error(`${before} ${last.until} ${after}`);
  });
  await test("it does not reconnect if access is denied", async () => {
    const { last } = await connected([() => new Response("", { status: 401 })], (states) => states.at(-1).state === "refused");
    equal(last.why, "not signed in: reload the page");
  });
  await test("after a truncated event it starts again from a snapshot", async () => {
    const { asked, got } = await connected([
      () => new Response("retry: 100\nid: i-7\nevent: snapshot\ndata: {\"a\":\n\n"),
    ], (states) => stop(states));
    equal(got, []);
    equal(asked[1], undefined);
  });

  await test("a filter survives the address", () => {
    for (const fields of [
      {}, { service: "a b&c=d", node: "ü#", state: "trouble", q: "x  y+z", open: "task:1:2", stopped: true }, { stopped: true },
    ]) {
      const whole = { ...filter.NOTHING, ...fields };
      equal(filter.parse(filter.format(whole)), whole);
    }
    equal(filter.format(filter.NOTHING), "");
    equal(filter.parse("#state=nonsense&unknown=1"), { ...filter.NOTHING });
    // The properties of every object are not states.
    for (const state of ["__proto__", "constructor", "toString"]) {
      equal(filter.parse(`#state=${state}`), { ...filter.NOTHING });
      equal(filter.matcher({ ...filter.NOTHING, state }, { tasks: new Map([["t", { state: "running", desired: "running", image: {} }]]), services: new Map(), nodes: new Map() })("t"), true);
    }
  });

  await test("durations and sizes are short", () => {
    equal([0, 999, 59_999, 60_000, 3_599_000, 3_600_000, 86_400_000 * 61, -5].map((value) => plain(format.duration(value))),
      ["0 s", "0 s", "59 s", "1 min", "59 min", "1 h", "61 d", "0 s"]);
    equal([0, 61_000, 3_661_000, 90_000_000, 86_400_000].map((value) => plain(format.span(value))),
      ["0 s", "1 min 1 s", "1 h 1 min", "1 d 1 h", "1 d"]);
    equal([0, 999, 1_000, 2_140, 9_990, 71e9, 120e9, null].map((value) => plain(format.bytes(value))),
      ["0 B", "999 B", "1 kB", "2.1 kB", "10 kB", "71 GB", "120 GB", "–"]);
    equal([2 ** 30, 2 ** 34, 512 * 2 ** 20, 1.5 * 2 ** 30].map((value) => plain(format.memory(value))),
      ["1 GiB", "16 GiB", "512 MiB", "1.5 GiB"]);
    equal([1e9, 5e8, 4e9].map((value) => plain(format.cpus(value))), ["1 CPU", "0.5 CPUs", "4 CPUs"]);
    equal(plain(format.plural(1, "task")), "1 task");
    equal(plain(format.plural(2000, "task")), "2,000 tasks");
  });
  await test("an image is shown with its name, and a change as short as distinguishes them", () => {
    const image = (tag, digest, name = "r:5000/x/a") => ({ name, tag, digest });
    equal([image("1"), image(null, "aaaaaaaaaaaa"), image("1", "aaaaaaaaaaaa"), image("1", null, "redis"), image(null, null, "")].map(format.short),
      ["a:1", "a@aaaaaaa", "a:1", "redis:1", "–"]);
    equal(format.change(image("1", null), image("2", null)), "a:1 → 2");
    equal(format.change(image("l", "aaaaaaaaaaaa"), image("l", "bbbbbbbbbbbb")), "a@aaaaaaa → bbbbbbb");
    equal(format.change(image("1", null), image(null, "bbbbbbbbbbbb")), "a:1 → @bbbbbbb");
    equal(format.change(image("1", null), image("1", null, "x/b")), "a:1 → b:1");
    equal(format.change(image("1", null, "x/a"), image("1", null, "y/a")), "x/a:1 → y/a:1");
    equal(model.sameImage(image("1", "aa"), image("2", "aa")), true);
    equal(model.sameImage(image("1", "aa"), image("1", "bb")), false);
  });

  await test("the colour of a service depends on its name only, and varies", () => {
    // Values that must not change with a release: operators recognize services by them.
    equal(["stackdemo_web", "stackdemo_edge", "stackdemo_redis-1"].map(colour), [{ hue: 218, tone: 1 }, { hue: 83, tone: 0 }, { hue: 8, tone: 0 }]);
    const of = (name) => JSON.stringify(colour(name));
    const ours = ["web", "edge", "watch", "redis-1", "redis-2", "redis-3", "sentinel-1", "sentinel-2", "sentinel-3"];
    equal(new Set(ours.map((name) => of(`stackdemo_${name}`))).size, ours.length);
    equal(new Set(Array.from({ length: 1000 }, (_, index) => of(`s${index}`))).size, 48);
  });

  const alert = (rule, fields = {}) => ({ rule, severity: "critical", state: "firing", since: 0, summary: rule, inhibited_by: null, silenced_until: null, service: null, ...fields });
  const order = (alerts, services = {}) => ordered({ alerts: new Map(Object.entries(alerts)), services: new Map(Object.entries(services)) })
    .map(({ id, depth }) => `${"-".repeat(depth)}${id}`);
  await test("causes of alerts come before their consequences, whichever was noticed first", () => {
    const warning = { severity: "warning" };
    equal(order({
      "edge_pool/n/web": alert("edge_pool", { since: 1 }),
      redis: alert("redis_master", { since: 2 }),
      below: alert("service_below", { service: "s", since: 3, ...warning }),
      crash: alert("crash_loop", { service: "s", since: 4, ...warning }),
      other: alert("service_below", { service: "t", since: 5, inhibited_by: "down" }),
      risk: alert("quorum_at_risk", { since: 6, inhibited_by: "down", ...warning }),
      down: alert("node_down", { since: 9 }),
    }, { s: { name: "stack_web" }, t: { name: "web2" } }),
    ["down", "-other", "-risk", "crash", "-below", "--edge_pool/n/web", "redis"]);
    // A pool whose name two services have belongs to neither.
    equal(order({ "edge_pool/n/web": alert("edge_pool"), below: alert("service_below", { service: "s", ...warning }) },
      { s: { name: "a_web" }, t: { name: "b_web" } }), ["edge_pool/n/web", "below"]);
  });
  await test("alerts that fire come first, then pending, quiet and resolved ones, worst first", () => {
    equal(order({
      resolved: alert("node_down", { state: "resolved" }),
      silent: alert("node_down", { silenced_until: 9 }),
      orphan: alert("edge_down", { inhibited_by: "gone" }),
      pending: alert("node_down", { state: "pending" }),
      warning: alert("node_down", { severity: "warning" }),
      future: alert("a_rule_of_tomorrow"),
      certificate: alert("certificate"),
    }), ["certificate", "future", "warning", "pending", "silent", "orphan", "resolved"]);
    // While a resolved cause still inhibits, its consequences keep it among the quiet ones.
    equal(order({ old: alert("redis_master", { state: "resolved" }), down: alert("node_down", { state: "resolved" }), edge: alert("edge_down", { inhibited_by: "down" }) }),
      ["down", "-edge", "old"]);
  });
  await test("alerts that claim to cause each other are all shown", () => {
    equal(order({ a: alert("disk", { inhibited_by: "b" }), b: alert("disk", { inhibited_by: "a" }), c: alert("disk", { inhibited_by: "a" }), d: alert("disk", { inhibited_by: "d" }) }).length, 4);
  });
  await test("of many alerts, the worst are shown with what leads to them", () => {
    const alerts = { down: alert("node_down"), pending: alert("disk", { state: "pending" }), crash: alert("crash_loop", { service: "s", severity: "warning" }), below: alert("service_below", { service: "s" }) };
    for (let index = 0; index < 9; index += 1) alerts[`quiet${index}`] = alert("service_below", { severity: "warning", inhibited_by: "down" });
    const rows = ordered({ alerts: new Map(Object.entries(alerts)), services: new Map() });
    const shown = (room) => first(rows, room).map(({ id }) => id);
    equal(shown(2), ["down", "crash"]);
    equal(shown(4), ["down", "crash", "below", "pending"]);
    equal(shown(5), ["down", "quiet0", "crash", "below", "pending"]);
    equal(shown(99).length, rows.length);
  });

  await test("a task is in one tile at a time, and a tile without tasks is forgotten", () => {
    const groups = new Groups();
    equal(groups.move("a", "a"), undefined);
    equal(groups.tasksOf("a"), ["a"]);
    equal(groups.move("a", "g"), "a");
    equal(groups.move("b", "g"), undefined);
    equal([groups.tasksOf("a"), groups.tasksOf("g")], [[], ["a", "b"]]);
    groups.move("a", undefined);
    groups.move("b", "b");
    equal([groups.tasksOf("g"), groups.tasksOf("b"), groups.tiles.size, groups.members.size], [[], ["b"], 1, 0]);
  });

  const task = (fields) => ({
    name: "a.1", service: "s", slot: 1, node: "n", state: "running", desired: "running", health: "none",
    image: { name: "a", tag: "1", digest: null }, created_at: 1, since: 1, restarts: 0, error: null, ...fields,
  });
  await test("states map to kinds, and to past or not", () => {
    const kinds = {
      new: "waiting", pending: "waiting", assigned: "starting", preparing: "starting", running: "running",
      complete: "stopped", shutdown: "stopped", failed: "failed", rejected: "failed", orphaned: "stopped", unknown: "unknown",
    };
    for (const [state, kind] of Object.entries(kinds)) equal(model.kind(task({ state })), kind);
    equal(model.kind(task({ desired: "shutdown" })), "stopping");
    equal(model.isPast(task({ state: "failed", desired: "shutdown" })), true);
    equal(model.isPast(task({ state: "failed" })), false);
    equal(model.wanted(task({ state: "running", desired: "complete" })), null);
    equal(model.wanted(task({ state: "running", desired: "shutdown" })), "shutdown");
  });
  await test("tasks that ended or wait for a node are grouped by service and node", () => {
    const store = new Store();
    const failed = { state: "failed", desired: "shutdown" };
    store.snapshot({ nodes: { n: {} }, services: {}, tasks: {
      a: task({ ...failed, created_at: 1 }), b: task({ ...failed, slot: 2, state: "rejected", created_at: 2 }), c: task({ ...failed, node: "gone" }),
      d: task({ ...failed, state: "shutdown" }), e: task({ ...failed, service: "t" }), f: task({ state: "failed" }), g: task({}),
      h: task({ state: "pending", node: null }), i: task({ state: "pending", node: "n" }),
    } });
    const of = (id) => model.groupOf(store, store.tasks.get(id));
    equal(["a", "b", "c", "d", "e", "f", "g", "h", "i"].map(of),
      ["n/s/failed", "n/s/failed", "/s/failed", "n/s/stopped", "n/t/failed", undefined, undefined, "/s/waiting", undefined]);
    equal(model.group(store, store.tasks.get("a")).map(([id]) => id), ["b", "a"]);
    equal(model.group(store, store.tasks.get("g")), []);
  });
  await test("a service needs attention if tasks are missing, an update is stuck or an alert fires", () => {
    const store = new Store();
    const service = (fields) => ({ name: "x", running: 1, desired: 1, job: null, update: null, problem: null, ...fields });
    store.snapshot({
      services: {
        well: service({}), short: service({ running: 0, problem: "no suitable node" }), job: service({ job: { failed: 1 } }), loops: service({}),
        stuck: service({ update: { state: "paused", message: "paused" } }), zero: service({ running: 0, desired: 0 }),
      },
      alerts: {
        a: alert("crash_loop", { service: "loops", summary: "ended 3 times" }), b: alert("crash_loop", { service: "well", state: "resolved" }),
        c: alert("service_below", { service: "job", summary: "0 of 1" }), d: alert("crash_loop", { service: "gone" }),
      },
    });
    equal([...model.failing(store)].sort(), [["job", ""], ["loops", "ended 3 times"], ["short", "no suitable node"], ["stuck", "paused"]]);
  });
  await test("the progress of an update counts tasks that match the service", () => {
    const store = new Store();
    const service = { name: "a", desired: 3, running: 3, image: { name: "a", tag: "2", digest: null }, update: { state: "updating", started_at: 50 } };
    const fresh = { image: service.image, created_at: 60 };
    store.snapshot({
      services: { s: service },
      tasks: {
        a: task({ state: "shutdown", desired: "shutdown" }), b: task(fresh), c: task({ slot: 2, state: "starting", ...fresh }), d: task({ slot: 3 }),
      },
    });
    equal(model.progress(store, "s"), { done: 1, total: 3, change: "a:1 → 2" });
    // The same image with other settings: the new tasks are those created since the start of the update.
    const tag = service.image;
    store.snapshot({ services: { s: service }, tasks: { a: task({ image: tag, created_at: 10 }), b: task({ slot: 2, image: tag, created_at: 60 }) } });
    equal(model.progress(store, "s"), { done: 1, total: 3, change: null });
  });
  await test("a job counts completed tasks, and is short only when it failed", () => {
    const job = (failed) => ({ running: 0, desired: 0, job: { total: 3, completed: 1, failed } });
    equal(model.count(job(0)), [1, 3]);
    equal(model.count({ running: 1, desired: 2, job: null }), [1, 2]);
    equal([model.isShort(job(0)), model.isShort(job(1)), model.isShort({ running: 1, desired: 2, job: null })], [false, true, true]);
  });
  await test("a successor shows the error of the task before", () => {
    const store = new Store();
    store.snapshot({ tasks: {
      old: task({ state: "failed", desired: "shutdown", error: "first", created_at: 1 }),
      newer: task({ state: "failed", desired: "shutdown", error: "second", created_at: 2 }),
      now: task({ created_at: 3 }),
      other: task({ slot: 2, created_at: 3 }),
    } });
    equal(model.lastError(store, "now"), { text: "second", own: false });
    equal(model.lastError(store, "old"), { text: "first", own: true });
    equal(model.lastError(store, "other"), null);
  });
  await test("a snapshot marks only what differs", () => {
    const store = new Store();
    const state = { nodes: { a: { hostname: "x" } }, tasks: { t: task({}) }, redis: { count: 1 } };
    store.snapshot(state);
    equal(store.taken().first, true);
    store.snapshot(JSON.parse(JSON.stringify({ ...state, tasks: {} })));
    const changes = store.taken();
    equal([changes.first, changes.nodes.size, [...changes.tasks], changes.redis], [false, 0, ["t"], false]);
    equal(store.byService.size, 0);
  });
  await test("a part is drawn when its needs change, in the order of registration", () => {
    const store = new Store();
    const parts = new Parts();
    let drawn = [];
    const add = (name, ...needs) => parts.add({ needs, update: () => drawn.push(name) });
    add("board", "nodes", "filter");
    add("count", "redis");
    add("events", "timeline");
    const after = (change) => {
      change();
      drawn = [];
      parts.draw({}, store.taken());
      return drawn;
    };
    equal(after(() => {}), []);
    equal(after(() => store.snapshot({ nodes: {} })), ["board", "count", "events"]);
    equal(after(() => store.delta({ nodes: { a: {} } })), ["board"]);
    equal(after(() => store.delta({ nodes: { a: {} } })), []);
    equal(after(() => store.delta({ redis: { count: 1 }, tasks: { t: task({}) } })), ["count"]);
    equal(after(() => store.delta({ timeline: [{ id: 1 }] })), ["events"]);
    equal(after(() => store.mark("filter")), ["board"]);
    equal(after(() => store.mark("clock")), []);
  });
  return report;
})()
