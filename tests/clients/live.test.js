// Subscriptions as clients of graphql-ws and graphql-sse have them: nothing is lost while a gateway restarts.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as sse from "graphql-sse";
import * as ws from "graphql-ws";
import { login, send, startGateway } from "./gateway.js";

const watch = `subscription Watch($after: Int) {
  capacityChanged(kind: EVENT, ref: "e", after: $after) { pool { version available } entry { version } coalesced }
}`;
const createEvent = `mutation { createEvent(input: { id: "e", name: "Event", quota: 100 }) { __typename } }`;
const register = `mutation ($holder: ID!) { register(input: { eventId: "e", holder: $holder }) { __typename } }`;

const olga = login({ sub: "olga", role: "organizer" });
const persistent = { retryAttempts: Infinity, shouldRetry: () => true };
const soon = () => new Promise((resolve) => setTimeout(resolve, 100));

const clients = {
  "graphql-ws": (url) =>
    ws.createClient({ ...persistent, url: url.replace("http", "ws"), connectionParams: olga, retryWait: soon }),
  "graphql-sse": (url) => sse.createClient({ ...persistent, url: `${url}/stream`, headers: olga, retry: soon }),
};

/** What a client sees of the event; after a restart it asks again, with the last version that it has seen. */
function subscribe(client) {
  const seen = [];
  const failed = [];
  const variables = {
    get after() {
      return seen.at(-1)?.pool.version;
    },
  };
  const stop = client.subscribe(
    { query: watch, variables },
    {
      next: ({ data, errors }) => (errors ? failed.push(errors) : seen.push(data.capacityChanged)),
      error: (error) => failed.push(error),
      complete: () => {},
    },
  );
  const until = async (version) => {
    while (seen.at(-1)?.pool.version !== version) {
      assert.deepEqual(failed, []);
      await soon();
    }
  };
  return { seen, until, stop };
}

let gateway, other;
before(async () => ([gateway, other] = await Promise.all([startGateway(), startGateway()])));
after(() => Promise.all([gateway.stop(), other.stop()]));

test("no change is lost over a restart, and none is seen twice", async (context) => {
  await send(other.graphql, createEvent, {}, olga);
  const crowd = async (from, to) => {
    for (let n = from; n <= to; n++) await send(other.graphql, register, { holder: `p${n}` }, olga);
  };
  const watching = Object.entries(clients).map(([name, connect]) => [name, subscribe(connect(gateway.graphql))]);
  const until = (version) => Promise.all(watching.map(([, watcher]) => watcher.until(version)));

  await until(0);
  await crowd(1, 5);
  await until(5);
  await gateway.stop();
  await crowd(6, 10);
  gateway = await startGateway({ port: new URL(gateway.url).port });
  await crowd(11, 15);
  await until(15);

  for (const [name, { seen, stop }] of watching)
    await context.test(name, () => {
      stop();
      const [beginning, ...changes] = seen;
      assert.partialDeepStrictEqual(beginning, { coalesced: 0, entry: null, pool: { version: 0, available: 100 } });
      let version = 0;
      for (const { pool, entry, coalesced } of changes) {
        version += coalesced;
        assert.deepEqual(pool, { version, available: 100 - version });
        assert.equal(entry.version, version);
      }
      assert.equal(version, 15);
      assert.ok(changes.every(({ coalesced }) => coalesced > 0));
    });
});
