// Sentences → messages; pictures and results ← messages. What they mean is in eval/saying/page_server.py.
"use strict";

const at = (id) => document.getElementById(id);
let socket = null, over = false, seen = 0, now = { state: "connecting" };

function send(message) {
  if (socket && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ ...message, seen }));
}

at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (now.state === "ready") send({ say: at("sentence").value });
});
for (const what of ["stop", "new", "quit"]) at(what).addEventListener("click", () => { if (what === "quit") over = true; send({ do: what }); });

function cell(text, kind) {
  const one = document.createElement("td");
  one.textContent = text;
  if (kind) one.className = kind;
  return one;
}

function show(told) {
  now = told;
  at("task").textContent = `${told.task} · ${told.label}`;
  at("state").textContent = told.state === "running" ? `running: step ${told.steps} of ${told.horizon}` : told.state;
  at("state").className = `badge ${told.state}`;
  at("scene").replaceChildren();
  if (told.things.length) {
    at("scene").append(`${told.scene.split(":")[0]}: `);
    for (const thing of told.things) {  // a click puts the name where the cursor is
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = thing;
      button.addEventListener("click", () => { const field = at("sentence"); field.setRangeText(thing, field.selectionStart, field.selectionEnd, "end"); field.focus(); });
      at("scene").append(button);
    }
  } else at("scene").textContent = told.scene;
  at("sentence").placeholder = told.example;
  at("message").textContent = told.message;
  at("message").className = told.problem ? "problem" : "";
  at("start").disabled = told.state !== "ready";
  at("stop").disabled = told.state !== "running";
  const rows = told.results.map((result) => {
    const row = document.createElement("tr");
    row.append(cell(result.scene), cell(result.sentence), cell(result.outcome, result.success === null ? "" : result.success ? "yes" : "no"));
    row.append(cell(result.error_cm === null ? "–" : `${result.error_cm.toFixed(2)} cm`), cell(result.steps));
    return row;
  });
  at("results").tBodies[0].replaceChildren(...rows);
}

async function draw(buffer) {
  const canvas = at("picture"), bitmap = await createImageBitmap(new Blob([buffer.slice(5)], { type: "image/jpeg" }));
  seen = Math.max(seen, new DataView(buffer).getUint32(1));
  if (canvas.width !== bitmap.width) { canvas.width = bitmap.width; canvas.height = bitmap.height; }
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
  send({});
}

function lost(why) {
  now = { state: "connecting" };
  at("state").textContent = "no connection";
  at("state").className = "badge";
  at("message").textContent = why;
  for (const name of ["start", "stop", "new"]) at(name).disabled = true;
}

function connect() {
  const address = new URL("socket", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  socket = new WebSocket(address);
  socket.binaryType = "arraybuffer";
  seen = 0;
  socket.onopen = () => { at("new").disabled = false; send({}); };
  socket.onmessage = (event) => { typeof event.data === "string" ? show(JSON.parse(event.data)) : draw(event.data); };
  socket.onclose = (event) => {
    if (over || event.code === 1000 || event.code === 1001) { over = true; lost("The session has ended."); return; }
    lost(event.reason ? `Disconnected: ${event.reason}.` : "Disconnected. Trying again …");
    setTimeout(connect, event.code === 4001 ? 3000 : 1000);
  };
}

connect();
