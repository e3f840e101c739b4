// Pools as they change, over one WebSocket (graphql-transport-ws). After a break each is told exactly what was missed.

import { documents, signOut, token } from "./api.js";

const PAUSE_MS = 1000;
const watched = new Map(); // by id of the operation: what is watched, and the last version that is known
let socket = null;
let ready = false; // has the socket's login been acknowledged?
let operations = 0;

const status = (text) => {
  document.getElementById("live").textContent = text;
};

function subscribe(id) {
  const { kind, ref, after } = watched.get(id);
  const payload = { query: documents.Changed, variables: { kind, ref, after } };
  socket.send(JSON.stringify({ type: "subscribe", id, payload }));
}

function connect() {
  const url = new URL("/graphql", location);
  url.protocol = url.protocol.replace("http", "ws");
  const own = (socket = new WebSocket(url, "graphql-transport-ws"));
  ready = false;
  socket.onopen = () =>
    socket.send(JSON.stringify({ type: "connection_init", payload: { authorization: `Bearer ${token()}` } }));
  socket.onmessage = ({ data }) => {
    const { type, id, payload } = JSON.parse(data);
    const pool = watched.get(id);
    if (type === "connection_ack") {
      ready = true;
      status("Live");
      for (const each of watched.keys()) subscribe(each);
    } else if (type === "ping") {
      socket.send(JSON.stringify({ type: "pong" }));
    } else if (type === "next" && pool) {
      const now = payload.data.capacityChanged.pool;
      pool.after = now.version;
      pool.tell(now);
    } else if (type === "error" && pool?.after !== undefined) {
      pool.after = undefined; // a version that this ledger has never had: begin with the pool as it is
      subscribe(id);
    }
  };
  socket.onclose = ({ code }) => {
    if (socket !== own) return;
    socket = null;
    if (code === 4403) signOut();
    else if (watched.size) {
      status(ready ? "Reconnecting …" : "Not connected");
      setTimeout(() => watched.size && !socket && connect(), PAUSE_MS);
    }
  };
}

/** Call `tell` with a pool after each of its changes. A socket takes 50 of these at a time. */
export function watch(pool, tell) {
  const id = String((operations += 1));
  watched.set(id, { kind: pool.kind, ref: pool.ref, after: pool.version, tell });
  if (!socket) connect();
  else if (ready) subscribe(id);
}

/** Watch nothing any more. */
export function watchNothing() {
  watched.clear();
  status("");
  socket?.close(1000);
  socket = null;
}
