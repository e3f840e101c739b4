// Apollo Client and urql send what the web and mobile apps send to the older service, and get the old shapes.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { ApolloClient, HttpLink, InMemoryCache } from "@apollo/client";
import { Client, cacheExchange, fetchExchange } from "@urql/core";
import { Kind, OperationTypeNode, parse } from "graphql";
import { login, send, startGateway } from "./gateway.js";

const { definitions } = parse(await readFile(new URL("documents.graphql", import.meta.url), "utf8"));
const isMutation = ({ definitions: [{ operation }] }) => operation === OperationTypeNode.MUTATION;

const clients = {
  apollo: (uri, headers) => {
    const client = new ApolloClient({
      link: new HttpLink({ uri, headers, credentials: "include" }),
      cache: new InMemoryCache(),
      defaultOptions: { query: { fetchPolicy: "network-only" } },
    });
    return (document, variables) =>
      isMutation(document)
        ? client.mutate({ mutation: document, variables })
        : client.query({ query: document, variables });
  },
  urql: (url, headers) => {
    const exchanges = [cacheExchange, fetchExchange];
    const client = new Client({ url, exchanges, fetchOptions: { headers }, requestPolicy: "network-only" });
    return async (document, variables) => {
      const { data, error } = await client[isMutation(document) ? "mutation" : "query"](document, variables);
      if (error) throw error.networkError ?? error;
      return { data };
    };
  },
};

/** A login as the platform makes it; olga organises for the organisation. */
const platform = (who) =>
  login({
    sub: `cmb${who.padStart(22, "0")}`,
    email: `${who}@example.org`,
    permissions: [],
    tier: "default",
    preferredLanguage: "en",
    ...(who === "olga" ? { orgId: "org_acme", role: "OWNER" } : { userType: "attendee" }),
  });

let gateway;
before(async () => (gateway = await startGateway({ CAPACITY_ALLOWED_ORIGINS: "https://*.example.org" })));
after(() => gateway.stop());

for (const [name, createClient] of Object.entries(clients))
  test(`${name} gets the old shapes`, async () => {
    const [eventId, sessionId, ticketTypeId] = ["e", "s", "t"].map((id) => `${name}-${id}`);
    await made("createEvent", { id: eventId, name: "Event", organizationId: "org_acme", streamQuota: 2 });
    await made("createSession", { id: sessionId, eventId, title: "Session", quota: 2 });
    await made("createTicketType", { id: ticketTypeId, eventId, name: "Early bird", quota: 10, price: 1250 });

    const sent = new Set();
    /** What an operation answers to somebody, as its only or first root field; its error as the client throws it. */
    const ask = async (who, operation, variables) => {
      const definition = definitions.find((definition) => definition.name.value === operation);
      const browser = { origin: "https://app.example.org", "x-csrf-token": "1", authorization: "" };
      const client = createClient(gateway.graphql, { ...browser, ...(who && platform(who)) });
      sent.add(operation);
      const { data } = await client({ kind: Kind.DOCUMENT, definitions: [definition] }, variables);
      return data;
    };
    const expect = async (who, operation, variables, expected) => {
      const [root] = Object.values(await ask(who, operation, variables));
      assert.partialDeepStrictEqual(root, expected, operation);
      return root;
    };
    const refuse = (who, operation, variables, message) =>
      assert.rejects(ask(who, operation, variables), (error) => error.message.includes(message));
    const of = (who) => `cmb${who.padStart(22, "0")}`;
    const input = { sessionId };

    // Registrations
    for (const who of ["ann", "bob", "cleo", "dan", "eve", "olga"]) {
      const variables = { registrationIn: { userId: of(who) }, eventId };
      await expect(who, "CreateRegistration", variables, { status: "confirmed" });
    }
    await refuse("ann", "CreateRegistration", { registrationIn: {}, eventId }, "409: A registration already exists");
    await expect("ann", "CheckExistingRegistration", { eventId }, { status: "confirmed", checkedInAt: null });

    // RSVPs
    for (const who of ["ann", "bob"])
      await expect(who, "RsvpToSession", { input }, { success: true, rsvp: { userId: of(who), status: "CONFIRMED" } });
    const full = "Session is full. Join the waitlist for a chance to get a spot.";
    await expect("cleo", "RsvpToSession", { input }, { success: false, message: full, rsvp: null });
    await refuse(null, "RsvpToSession", { input }, "401: Authentication required");
    await expect("ann", "GetMySchedule", { eventId }, [{ sessionId, rsvpStatus: "CONFIRMED", title: "Session" }]);

    // Waitlist: an offer is accepted, one is declined, one is sent by hand
    await expect("cleo", "JoinWaitlist", { input }, { sessionId, position: 1, priorityTier: "STANDARD" });
    const vip = { ...input, priorityTierOverride: "VIP" };
    await expect("olga", "ManuallyAddToWaitlist", { input: vip }, { success: true, entry: { position: 1 } });
    await expect("olga", "LeaveWaitlist", { input }, { success: true });
    await expect("dan", "JoinWaitlist", { input }, { position: 2 });
    await expect("dan", "MyWaitlistPosition", { sessionId }, { position: 2, total: 2, status: "WAITING" });
    await expect("bob", "CancelSessionRsvp", { input }, { success: true });
    const { joinToken } = await expect("cleo", "MyWaitlistEntry", { sessionId }, { status: "OFFERED", sessionId });
    await expect("cleo", "AcceptWaitlistOffer", { input: { sessionId, joinToken } }, { success: true, sessionId });
    await expect(
      "olga",
      "UpdateSessionCapacity",
      { input: { sessionId, capacity: 3 } },
      { maximumCapacity: 3, currentAttendance: 2, availableSpots: 0, offersAutomaticallySent: 1 },
    );
    await expect("dan", "DeclineWaitlistOffer", { input }, { success: true });
    await made("joinSession", { sessionId, holder: of("eve"), quantity: 2, orWait: true }, "SessionWaiting");
    await expect("dan", "JoinWaitlist", { input }, { position: 2 });
    const dan = { sessionId, userId: of("dan") };
    await expect("olga", "SendWaitlistOffer", { input: dan }, { ...dan, status: "OFFERED" });
    await expect("olga", "BulkSendWaitlistOffers", { input: { sessionId, count: 5 } }, { offersSent: 0 });
    await expect("olga", "RemoveFromWaitlist", { input: { sessionId, userId: of("eve") } }, { success: true });
    const seen = await ask("olga", "GetSessionWaitlist", { sessionId });
    assert.partialDeepStrictEqual(seen.sessionCapacity, { maximumCapacity: 3, availableSpots: 0, isAvailable: false });
    assert.ok(seen.sessionWaitlist.some(({ userId, status }) => userId === of("dan") && status === "OFFERED"));
    await expect("olga", "GetSessionWaitlistStats", { sessionId }, { totalOffered: 1, totalAccepted: 1 });
    const analytics = { totalOffersAccepted: 1, bySession: [{ sessionId, sessionTitle: "Session" }] };
    await expect("olga", "GetEventWaitlistAnalytics", { eventId }, analytics);

    // Virtual sessions
    const tab = { sessionId, deviceType: "desktop", userAgent: "Mozilla/5.0" };
    const attendance = { userId: of("ann"), sessionId, eventId, leftAt: null, deviceType: "desktop" };
    await expect("ann", "JoinVirtualSession", tab, { success: true, attendance });
    await expect("ann", "JoinVirtualSession", tab, { success: true, message: "Already joined", attendance });
    await expect("ann", "GetVirtualAttendanceStats", { sessionId }, { currentViewers: 1, uniqueViewers: 1 });
    await expect("olga", "GetEventVirtualAttendanceStats", { eventId }, { eventId, currentViewers: 1 });
    await expect("ann", "LeaveVirtualSession", { sessionId }, { success: true, attendance: { userId: of("ann") } });
    await expect("ann", "GetMyVirtualAttendance", { eventId }, [{ sessionId }]);

    // Checkout
    const price = { amount: 1250, currency: "USD", formatted: "$12.50" };
    await expect(null, "GetEventTicketTypes", { eventId }, [{ id: ticketTypeId, price, quantityAvailable: 10 }]);
    const order = { eventId, items: [{ ticketTypeId, quantity: 2 }] };
    const totalAmount = { amount: 2500, currency: "USD" };
    const held = { order: { status: "PENDING", totalAmount, items: [{ quantity: 2 }] }, paymentIntent: null };
    const checkout = await expect("ann", "CreateCheckoutSession", { input: order }, held);
    await expect("ann", "CancelOrder", { orderId: checkout.order.id }, { status: "CANCELLED" });

    assert.deepEqual(definitions.map(({ name }) => name.value).filter((name) => !sent.has(name)), []);
  });

/** Something of an event is made, or asked for, by an operation of the gateway's own. */
async function made(operation, input, typename = "PoolSuccess") {
  const type = `${operation[0].toUpperCase()}${operation.slice(1)}Input`;
  const document = `mutation ($input: ${type}!) { ${operation}(input: $input) { __typename } }`;
  const answer = await send(gateway.graphql, document, { input }, login({ sub: "ada", role: "admin" }));
  assert.equal(answer[operation].__typename, typename);
}
