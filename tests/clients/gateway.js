// The gateway as a real process over the database of this test, and logins as the platform mints them.
import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";

const greeting = /(http:\/\/\S+)\/graphql/;

/** Starts a gateway on a free port, or on this one; resolves when it takes traffic. */
export async function startGateway({ port = 0, ...settings } = {}) {
  const child = spawn("capacity-gateway", ["serve", "--port", String(port)], {
    env: { ...process.env, ...settings },
    stdio: ["ignore", "pipe", "pipe"],
  });
  process.on("exit", () => child.kill());
  const ended = new Promise((resolve) => child.on("exit", resolve));
  const url = await new Promise((resolve, reject) => {
    let words = "";
    const listen = (chunk) => {
      words += chunk;
      const greeted = greeting.exec(words);
      if (greeted) resolve(greeted[1]);
    };
    child.stdout.on("data", listen);
    child.stderr.on("data", listen);
    ended.then(() => reject(new Error(words)));
  });
  return { url, graphql: `${url}/graphql`, stop: () => (child.kill(), ended) };
}

/** The header of a login with these claims, signed as the platform does: HS256, for a day. */
export function login(claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ iat: now, exp: now + 86_400, ...claims })}`;
  const signature = createHmac("sha256", process.env.CAPACITY_JWT_SECRET).update(signed).digest("base64url");
  return { authorization: `Bearer ${signed}.${signature}` };
}

/** The data of an operation; fails on any error. */
export async function send(url, query, variables, headers = {}) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await response.json();
  if (errors) throw new Error(JSON.stringify(errors));
  return data;
}
