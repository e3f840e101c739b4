// GraphQL over HTTP, by the letter: the audits of graphql-http, all of them.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { auditServer } from "graphql-http";
import { startGateway } from "./gateway.js";

let gateway;
before(async () => (gateway = await startGateway()));
after(() => gateway.stop());

test("every audit of GraphQL over HTTP passes", async (context) => {
  const results = await auditServer({ url: gateway.graphql });
  const failed = results.filter(({ status }) => status !== "ok").map(({ name, reason }) => `${name}: ${reason}`);

  context.diagnostic(`${results.length - failed.length}/${results.length}`);
  assert.deepEqual(failed, []);
  assert.equal(results.length, 61);
});
