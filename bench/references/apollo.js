// Apollo Server as its own documentation sets it up, with the answers in memory.
import { ApolloServer } from "@apollo/server";
import { startStandaloneServer } from "@apollo/server/standalone";
import { port, resolvers, typeDefs } from "./answers.js";

const server = new ApolloServer({ typeDefs, resolvers, introspection: false });
await startStandaloneServer(server, { listen: { port, host: "127.0.0.1" } });
