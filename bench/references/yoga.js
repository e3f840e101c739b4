// graphql-yoga as its own documentation sets it up, with the answers in memory.
import { createServer } from "node:http";
import { createSchema, createYoga } from "graphql-yoga";
import { port, resolvers, typeDefs } from "./answers.js";

const yoga = createYoga({ schema: createSchema({ typeDefs, resolvers }), logging: false, graphiql: false });
createServer(yoga).listen(port, "127.0.0.1");
