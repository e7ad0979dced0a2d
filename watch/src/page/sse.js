// A parser of server-sent events (HTML standard, section 9.2.6) that arrive in chunks of text.
//
// The browser's EventSource gives up on a 503, ignores Retry-After, and does not expose the status.

// Returns a function that takes the next chunk; `emit` is called with { event, data, id, retry } for each complete
// event.
export function parser(emit) {
  let rest = "";
  let started = false;
  let event = "";
  let data = [];
  let id;
  let retry;

  const line = (text) => {
    if (text === "") {
      if (data.length > 0 || retry !== undefined) {
        emit({ event: event || "message", data: data.join("\n"), id, retry });
      }
      event = "";
      data = [];
      retry = undefined;
      return;
    }
    const colon = text.indexOf(":");
    const field = colon < 0 ? text : text.slice(0, colon);
    let value = colon < 0 ? "" : text.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (field === "event") event = value;
    else if (field === "data") data.push(value);
    else if (field === "id" && !value.includes("\0")) id = value;
    else if (field === "retry" && /^\d+$/.test(value)) retry = Number(value);
    // Other lines, such as comments, which begin with a colon, are ignored.
  };

  return (chunk) => {
    let text = rest + chunk;
    if (!started && text.length > 0) {
      started = true;
      if (text.startsWith("\uFEFF")) text = text.slice(1);
    }
    let from = 0;
    for (;;) {
      let end = from;
      while (end < text.length && text[end] !== "\n" && text[end] !== "\r") end += 1;
      // A CR at the very end may be half of a CRLF.
      if (end === text.length || (text[end] === "\r" && end + 1 === text.length)) break;
      line(text.slice(from, end));
      from = end + (text[end] === "\r" && text[end + 1] === "\n" ? 2 : 1);
    }
    rest = text.slice(from);
  };
}
