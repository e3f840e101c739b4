// The other subgraphs: the older service with the contract's schema as it is, and one that refers to our events.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { buildSubgraphSchema } from "@apollo/subgraph";
import { getNullableType, isEnumType, isListType, isObjectType, parse } from "graphql";
import { createHandler } from "graphql-http/lib/use/http";

/** The older service's schema. */
export const olderSdl = await readFile(new URL("../contract/existing-service.graphql", import.meta.url), "utf8");

const magazineSdl = `
  extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"])
  type Event @key(fields: "id", resolvable: false) { id: ID! }
  type Query { featured: [Event]! }
`;

/** The older service, with made up values that say so; `asked` lists the root fields that have reached it. */
export async function startOlderService() {
  const asked = [];
  const schema = buildSubgraphSchema(parse(olderSdl));
  for (const root of [schema.getQueryType(), schema.getMutationType()])
    for (const field of Object.values(root.getFields()))
      if (!field.name.startsWith("_"))
        field.resolve = () => {
          asked.push(field.name);
          return madeUp(field.type);
        };
  return { ...(await serve(schema)), asked };
}

/** A magazine that features the events of these ids. */
export function startMagazine(ids) {
  const resolvers = { Query: { featured: () => ids.map((id) => ({ id })) } };
  return serve(buildSubgraphSchema({ typeDefs: parse(magazineSdl), resolvers }));
}

async function serve(schema) {
  const server = createServer(createHandler({ schema })).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.on("listening", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    stop: () => (server.closeAllConnections(), new Promise((resolve) => server.close(resolve))),
  };
}

function madeUp(given) {
  const type = getNullableType(given);
  if (isListType(type)) return [];
  if (isEnumType(type)) return type.getValues()[0].value;
  if (isObjectType(type))
    return new Proxy({}, { get: (_, field) => type.getFields()[field] && madeUp(type.getFields()[field].type) });
  return { Boolean: false, Int: 0, Float: 0, DateTime: "2026-01-01T00:00:00Z" }[type.name] ?? "made up";
}
