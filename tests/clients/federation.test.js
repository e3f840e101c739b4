// The gateway behind an Apollo gateway, beside the older service as it is.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { composeServices } from "@apollo/composition";
import { ApolloGateway, IntrospectAndCompose, RemoteGraphQLDataSource } from "@apollo/gateway";
import { ApolloServer } from "@apollo/server";
import { startStandaloneServer } from "@apollo/server/standalone";
import { parse } from "graphql";
import { login, send, startGateway } from "./gateway.js";
import { olderSdl, startMagazine, startOlderService } from "./subgraphs.js";

const OLDER = "event-lifecycle"; // as the platform calls it

/** Hands over the login, and like the platform's nothing else. */
class Forwarding extends RemoteGraphQLDataSource {
  willSendRequest({ request, context }) {
    if (context.authorization) request.http.headers.set("authorization", context.authorization);
  }
}

let gateway, older, magazine, server, url;
before(async () => {
  [gateway, older, magazine] = await Promise.all([startGateway(), startOlderService(), startMagazine(["e", "f"])]);
  const subgraphs = [
    { name: OLDER, url: older.url },
    { name: "capacity", url: gateway.graphql },
    { name: "magazine", url: magazine.url },
  ];
  const supergraphSdl = new IntrospectAndCompose({ subgraphs, subgraphHealthCheck: true });
  server = new ApolloServer({ gateway: new ApolloGateway({ supergraphSdl, buildService: (of) => new Forwarding(of) }) });
  ({ url } = await startStandaloneServer(server, {
    listen: { port: 0, host: "127.0.0.1" },
    context: async ({ req }) => ({ authorization: req.headers.authorization }),
  }));
});
after(() => Promise.all([server, gateway, older, magazine].map((started) => started?.stop())));

describe("through the Apollo gateway", () => {
  const ids = { eventId: "e", sessionId: "s" };
  const input = { sessionId: "s" };
  const [ann, bob] = ["clann", "clbob"].map((sub) => login({ sub, userType: "attendee", permissions: [] }));
  const ask = async (query, variables, headers) => Object.values(await send(url, query, variables, headers))[0];

  before(async () => {
    const ada = login({ sub: "ada", role: "admin" });
    for (const made of [
      `createEvent(input: { id: "e", name: "Event", streamQuota: 1 })`,
      `createSession(input: { id: "s", eventId: "e", title: "Session", quota: 1, requiresRegistration: false })`,
    ])
      await send(gateway.graphql, `mutation { ${made} { __typename } }`, {}, ada);
    for (const headers of [ann, bob])
      await send(gateway.graphql, `mutation { register(input: { eventId: "e" }) { __typename } }`, {}, headers);
  });

  test("RSVPs and the waitlist reach this gateway", async () => {
    const rsvp = "mutation ($input: RsvpToSessionInput!) { rsvpToSession(input: $input) { success rsvp { userId } } }";
    const join = `mutation ($input: JoinWaitlistInput!) {
      joinWaitlist(input: $input) { position success entry { userId status } }
    }`;
    const waitlist = `query ($sessionId: ID!) {
      sessionCapacity(sessionId: $sessionId) { maximumCapacity currentAttendance waitlistCount }
    }`;

    assert.deepEqual(await ask(rsvp, { input }, ann), { success: true, rsvp: { userId: "clann" } });
    assert.deepEqual(await ask(rsvp, { input }, bob), { success: false, rsvp: null });
    const entry = { userId: "clbob", status: "WAITING" };
    assert.deepEqual(await ask(join, { input }, bob), { position: 1, success: true, entry });
    const full = { maximumCapacity: 1, currentAttendance: 1, waitlistCount: 1 };
    assert.deepEqual(await ask(waitlist, ids), full);
    assert.deepEqual(older.asked, []);
  });

  test("virtual sessions reach this gateway", async () => {
    const join = `mutation ($sessionId: String!) {
      joinVirtualSession(sessionId: $sessionId) { success message attendance { userId sessionId } }
    }`;
    const stats = "query ($sessionId: ID!) { virtualAttendanceStats(sessionId: $sessionId) { currentViewers } }";

    const joined = await ask(join, { sessionId: "s" }, ann);
    assert.deepEqual(joined.attendance, { userId: "clann", sessionId: "s" });
    assert.equal((await ask(join, { sessionId: "s" }, bob)).success, false);
    assert.deepEqual(await ask(stats, { sessionId: "s" }), { currentViewers: 1 });
    assert.deepEqual(older.asked, []);
  });

  test("an error keeps the old words", async () => {
    const rsvp = "mutation ($input: RsvpToSessionInput!) { rsvpToSession(input: $input) { success } }";

    await assert.rejects(ask(rsvp, { input }), /401: Authentication required/);
  });

  test("the rest still reaches the older service", async () => {
    const register = `mutation { createRegistration(eventId: "e", registrationIn: {}) { id ticketCode } }`;
    const session = `query ($sessionId: ID!) { session(id: $sessionId) { id title speakers { id } } }`;
    const tickets = "query ($eventId: ID!) { eventTicketTypes(eventId: $eventId) { id price { amount } } }";

    assert.deepEqual(await ask(register, {}, ann), { id: "made up", ticketCode: "made up" });
    assert.deepEqual(await ask(session, ids), { id: "made up", title: "made up", speakers: [] });
    assert.deepEqual(await ask(tickets, ids), []);
    assert.deepEqual(older.asked, ["createRegistration", "session", "eventTicketTypes"]);
  });

  test("what others refer to is found here", async () => {
    const featured = await ask("{ featured { id name pool { available } } }");

    assert.deepEqual(featured, [{ id: "e", name: "Event", pool: { available: null } }, null]);
  });

  test("one document may ask both", async () => {
    const both = `query ($sessionId: ID!) {
      session(id: $sessionId) { title }
      sessionCapacity(sessionId: $sessionId) { maximumCapacity }
      capacity(kind: SESSION, ref: "s") { available }
    }`;

    assert.deepEqual(await send(url, both, ids), {
      session: { title: "made up" },
      sessionCapacity: { maximumCapacity: 1 },
      capacity: { available: 0 },
    });
  });
});

// The last: it takes this process so long that connections that wait meanwhile would have been closed.
test("it composes with the older service", async () => {
  const { _service: service } = await send(gateway.graphql, "{ _service { sdl } }");
  const { errors, supergraphSdl } = composeServices([
    { name: OLDER, typeDefs: parse(olderSdl) },
    { name: "capacity", typeDefs: parse(service.sdl) },
  ]);

  assert.equal(errors, undefined);
  assert.match(supergraphSdl, /CAPACITY @join__graph/);
});
