// Keys, mouse, touch and gamepad → messages; pictures and status ← messages. What they mean is in envs/teleop/server.py.
"use strict";

const PERIOD_MS = 50;
const SLOWLY = 0.3;                 // of the speed, with Shift
const DRAG_FULL_PX = 90;            // a drag that long means full speed
const WHEEL_MS = 120;               // a notch of the wheel moves that long
const DEAD_ZONE = 0.15;             // of a gamepad's sticks
const KEYS = {                      // by place on the keyboard, so that they are together on every layout
  KeyW: ["move", 1, 1], KeyS: ["move", 1, -1], KeyA: ["move", 0, -1], KeyD: ["move", 0, 1], KeyR: ["move", 2, 1], KeyF: ["move", 2, -1],
  ArrowUp: ["move", 1, 1], ArrowDown: ["move", 1, -1], ArrowLeft: ["move", 0, -1], ArrowRight: ["move", 0, 1], PageUp: ["move", 2, 1], PageDown: ["move", 2, -1],
  KeyQ: ["turn", 2, 1], KeyE: ["turn", 2, -1], KeyI: ["turn", 0, -1], KeyK: ["turn", 0, 1], KeyJ: ["turn", 1, -1], KeyL: ["turn", 1, 1],
};
const ALLOWED = {                   // buttons by state of the session
  ready: ["start", "undo", "quit"], recording: ["save", "discard", "gripper", "drive", "quit"], review: ["save", "discard", "quit"],
  offer: ["save", "discard", "quit"], done: ["undo", "quit"],
};

const at = (id) => document.getElementById(id);
const held = new Map();             // what is held down → [kind, axis, sign]
let drag = null, wheelUntil = 0, wheelSign = 0, slowly = false, pressed = [], seen = 0;
let status = { state: "connecting" }, socket = null, over = false;
let padBefore = [];

// ---- sending

function clip(value) { return Math.max(-1, Math.min(1, value)); }

function wanted() {
  const command = { move: [0, 0, 0], turn: [0, 0, 0] };
  for (const [kind, axis, sign] of held.values()) command[kind][axis] += sign;
  if (drag) {
    command.move[0] += drag.dx / DRAG_FULL_PX;
    command.move[1] -= drag.dy / DRAG_FULL_PX;
  }
  if (performance.now() < wheelUntil) command.move[2] += wheelSign;
  addGamepad(command);
  command.move = command.move.map(clip);
  command.turn = command.turn.map(clip);
  return command;
}

function send() {
  if (!socket || socket.readyState !== WebSocket.OPEN) return;
  const visible = document.visibilityState === "visible";
  const speed = Number(at("speed").value) * (slowly ? SLOWLY : 1);
  socket.send(JSON.stringify({ ...wanted(), speed, buttons: pressed.splice(0), visible, seen }));
}

function press(button) {
  if ((ALLOWED[status.state] || []).includes(button)) { pressed.push(button); send(); }
}

function changeSpeed(by) {
  const slider = at("speed");
  slider.value = Number(slider.value) + by;
  showSpeed();
}

function showSpeed() { at("speed-now").textContent = `${Math.round(100 * at("speed").value)} %`; }

function release() { held.clear(); drag = null; wheelUntil = 0; slowly = false; document.querySelectorAll(".held").forEach((button) => button.classList.remove("held")); }

// ---- keys

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  slowly = event.shiftKey;
  if (event.code in KEYS) {
    if (!event.repeat) { held.set(event.code, KEYS[event.code]); send(); }
  } else if (event.repeat) {
    return event.code === "Space" ? event.preventDefault() : undefined;
  } else if (event.code === "Space") press("gripper");
  else if (event.code === "Enter") { if (status.state !== "recording") press(status.state === "ready" ? "start" : "save"); }
  else if (event.code === "KeyX") { if (status.state === "recording") press("save"); }
  else if (event.code === "Backspace") press("discard");
  else if (event.code === "KeyZ") press("undo");
  else if (event.code === "KeyB") press("drive");
  else if (event.key === "+" || event.key === "=") changeSpeed(0.05);
  else if (event.key === "-") changeSpeed(-0.05);
  else return;
  event.preventDefault();
});
document.addEventListener("keyup", (event) => { slowly = event.shiftKey; if (held.delete(event.code)) send(); });

// ---- buttons on the page; they never keep the focus, so that Space and Enter stay what they are

for (const button of document.querySelectorAll("button")) {
  button.addEventListener("mousedown", (event) => event.preventDefault());
  button.tabIndex = -1;
  if (button.dataset.button) button.addEventListener("click", () => press(button.dataset.button));
  if (button.dataset.hold) {
    const [kind, axis, sign] = button.dataset.hold.split(":");
    const end = () => { button.classList.remove("held"); if (held.delete(button)) send(); };
    button.addEventListener("pointerdown", (event) => {
      button.setPointerCapture(event.pointerId);
      button.classList.add("held");
      held.set(button, [kind, Number(axis), Number(sign)]);
      send();
    });
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) button.addEventListener(name, end);
  }
}
at("speed").addEventListener("input", showSpeed);
at("speed").addEventListener("change", () => at("speed").blur());

// ---- drag, wheel and double tap on a picture

function listen(canvas) {
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    drag = { id: event.pointerId, x: event.clientX, y: event.clientY, dx: 0, dy: 0 };
    event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (drag && drag.id === event.pointerId) { drag.dx = event.clientX - drag.x; drag.dy = event.clientY - drag.y; }
  });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) canvas.addEventListener(name, () => { if (drag) { drag = null; send(); } });
  canvas.addEventListener("wheel", (event) => { wheelSign = event.deltaY < 0 ? 1 : -1; wheelUntil = performance.now() + WHEEL_MS; event.preventDefault(); }, { passive: false });
  canvas.addEventListener("dblclick", () => press("gripper"));
}

// ---- gamepad, in the browser's standard layout

function addGamepad(command) {
  const pad = [...(navigator.getGamepads ? navigator.getGamepads() : [])].find((found) => found && found.connected);
  at("pad").textContent = pad ? pad.id.slice(0, 24) : "none";
  if (!pad) { padBefore = []; return; }
  const axis = (index) => { const value = pad.axes[index] || 0; return Math.abs(value) < DEAD_ZONE ? 0 : value; };
  command.move[0] += axis(0);
  command.move[1] -= axis(1);
  command.move[2] -= axis(3);
  command.turn[2] -= axis(2);
  const down = pad.buttons.map((button) => button.pressed), before = padBefore;
  const fresh = (index) => down[index] && !before[index];
  padBefore = down;  // first: a press sends, and so comes back here
  if (fresh(0)) press("gripper");
  if (fresh(1)) press("drive");
  if (fresh(9) && status.state !== "recording") press(status.state === "ready" ? "start" : "save");
  if (fresh(8)) press("discard");
  if (fresh(4)) changeSpeed(-0.1);
  if (fresh(5)) changeSpeed(0.1);
}

// ---- what comes

const canvases = [];

function show(now) {
  status = now;
  if (canvases.length !== now.cameras.length) {
    at("views").replaceChildren();
    canvases.length = 0;
    for (const name of now.cameras) {
      const figure = document.createElement("figure"), canvas = document.createElement("canvas"), caption = document.createElement("figcaption");
      caption.textContent = name;
      listen(canvas);
      figure.append(canvas, caption);
      at("views").append(figure);
      canvases.push(canvas);
    }
  }
  at("instruction").textContent = now.instruction;
  at("task").textContent = now.task;
  at("state").textContent = now.waiting ? "recording: waits for you" : now.state;
  at("state").className = `badge ${now.state} ${now.waiting ? "waiting" : ""}`;
  at("message").textContent = now.message;
  at("message").className = now.problem ? "problem" : "";
  at("episode").textContent = `${now.saved} of ${now.wanted} saved` + (now.failed ? `, ${now.failed} failed` : "") + (now.start === null ? "" : ` · start ${now.start}`);
  at("error").textContent = now.error_cm === null ? "–" : `${now.error_cm.toFixed(1)} cm`;
  at("success").textContent = now.success ? "yes" : "not yet";
  at("success").className = now.success ? "yes" : "";
  at("steps").textContent = `${now.steps} of ${now.horizon}`;
  at("rate").textContent = now.rate.hz ? `${now.rate.hz} Hz, ${now.rate.late} late, longest ${now.rate.longest_ms} ms` : "–";
  at("gripper").textContent = now.closed ? "closed" : "open";
  at("drives").textContent = now.drives;
  at("save").innerHTML = now.state === "recording" ? "Stop <kbd>X</kbd>" : now.state === "offer" ? "Go on <kbd>Enter</kbd>" : "Save <kbd>Enter</kbd>";
  at("save").classList.toggle("go", now.state !== "recording");
  for (const item of document.querySelectorAll(".mobile")) item.classList.toggle("absent", !now.mobile);
  for (const button of document.querySelectorAll("[data-button]")) button.disabled = !(ALLOWED[now.state] || []).includes(button.dataset.button);
}

async function draw(buffer) {
  const view = new DataView(buffer), canvas = canvases[view.getUint8(0)];
  const bitmap = await createImageBitmap(new Blob([buffer.slice(5)], { type: "image/jpeg" }));
  seen = Math.max(seen, view.getUint32(1));
  if (!canvas) return;
  if (canvas.width !== bitmap.width) { canvas.width = bitmap.width; canvas.height = bitmap.height; }
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
}

function lost(why) {
  status = { state: "connecting" };
  at("state").textContent = "no connection";
  at("state").className = "badge";
  at("message").textContent = why;
  for (const button of document.querySelectorAll("[data-button]")) button.disabled = true;
}

function connect() {
  const address = new URL("socket", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  socket = new WebSocket(address);
  socket.binaryType = "arraybuffer";
  seen = 0;
  release();
  socket.onopen = send;
  socket.onmessage = (event) => { typeof event.data === "string" ? show(JSON.parse(event.data)) : draw(event.data); };
  socket.onclose = (event) => {
    if (event.code === 1000 || event.code === 1001) { over = true; lost("The session has ended."); return; }
    lost(event.reason ? `Disconnected: ${event.reason}.` : "Disconnected; the robot stands still. Trying again …");
    if (!over) setTimeout(connect, event.code === 4001 ? 3000 : 1000);
  };
}

setInterval(send, PERIOD_MS);
for (const name of ["blur", "pagehide"]) window.addEventListener(name, () => { release(); send(); });
document.addEventListener("visibilitychange", () => { release(); send(); });
window.addEventListener("gamepadconnected", send);
showSpeed();
connect();
