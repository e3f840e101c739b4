// What the servers of JavaScript answer: from memory, without login, limits or a database.
import { readFileSync } from "node:fs";

export const port = Number(process.argv[2]);
export const typeDefs = readFileSync(new URL("schema.graphql", import.meta.url), "utf8");

const pool = { id: "event:hot", available: 999_900, version: 100 };
const registration = { id: "5f0c1b7e-50f0-4a3c-9a55-1f0a64a0b9d1", status: "CONFIRMED", ticketCode: "ZWILPV2BYV" };
const entries = Array.from({ length: 100 }, (_, number) => ({
  id: `event:hot/${100 - number}`,
  version: 100 - number,
  change: -1,
  quotaChange: 0,
  heldChange: 0,
  confirmedChange: 1,
  availableAfter: 999_900 + number,
  reason: "JOIN",
  subject: registration.id,
  actor: "bench",
  effectiveAt: "2026-11-24T11:13:21.068741+00:00",
  recordedAt: "2026-11-24T11:13:21.068741+00:00",
  hash: "77cdfac464ff65bf141e913c2591e86b287ac9c76262019cfafef7ffe1064233",
}));
const edges = entries.map((node) => ({ cursor: String(node.version), node }));

function ledger({ first }) {
  return { edges: edges.slice(0, first), pageInfo: { hasNextPage: false, endCursor: "1" } };
}

export const resolvers = {
  Query: { capacity: () => ({ ...pool, ledger }) },
  Mutation: {
    register: () => ({
      __typename: "RegistrationSuccess", replayed: false, registration, pool, entries: entries.slice(0, 1),
    }),
  },
};
