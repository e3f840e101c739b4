// The GraphQL API: the page's only source. The token is kept in this tab alone, until the tab is closed.

const given = JSON.parse(document.getElementById("given").textContent);

export const documents = given.documents;
export const offered = given.tokens;

export const token = () => sessionStorage.getItem("token");

export function signIn(text) {
  sessionStorage.setItem("token", text.trim().replace(/^bearer\s+/i, ""));
}

export function signOut() {
  sessionStorage.removeItem("token");
  dispatchEvent(new Event("signedout"));
}

/** Who a token says it is; the gateway alone decides whether that holds. */
export function who() {
  try {
    const [, payload] = token().split(".");
    const bytes = Uint8Array.from(atob(payload.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return {};
  }
}

/** What went wrong, in words for whoever looks at the page. */
export class Refusal extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

const PLAIN = {
  FORBIDDEN: "This login may not see that.",
  BUSY: "The gateway is busy at the moment. Try again.",
  UNAUTHENTICATED: "The login does not hold any more. Sign in again.",
};

async function fetched(address, options, read) {
  try {
    const headers = { ...options.headers, authorization: `Bearer ${token()}` };
    return await read(await fetch(address, { ...options, headers }));
  } catch {
    throw new Refusal("UNREACHABLE", "The gateway cannot be reached. Try again.");
  }
}

function refuse({ message, extensions: { code } = {} }) {
  if (code === "UNAUTHENTICATED") signOut();
  throw new Refusal(code, PLAIN[code] ?? `${message}.`);
}

/** The value of the only root field of one of the documents. */
export async function ask(name, variables) {
  const asked = {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ query: documents[name], variables }),
  };
  const { data, errors } = await fetched("/graphql", asked, (response) => response.json());
  if (errors) refuse(errors[0]);
  return Object.values(data)[0];
}

/** A pool's whole ledger as a file: csv or jsonl. */
export async function ledgerFile({ kind, ref }, format) {
  const address = `/ledgers/${kind}/${encodeURIComponent(ref)}?format=${format}`;
  const file = await fetched(address, {}, (response) => (response.ok ? response.blob() : response.json()));
  if (file.errors) refuse(file.errors[0]);
  return file;
}

/** The same for a change: what is refused is thrown, in its own words; what is in doubt is sent again as the same. */
export async function change(name, input) {
  for (let tries = 3; ; tries -= 1) {
    const outcome = await ask(name, { input });
    if (!outcome.code) return outcome;
    if (outcome.retry !== "SAME_KEY" || tries === 1) throw new Refusal(outcome.code, `${outcome.message}.`);
    await new Promise((done) => setTimeout(done, 250));
  }
}

/** An idempotency key: what is sent again with it is done once. */
export const newKey = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** One page of a connection, as `paged` wants it. */
export const page = (connection) => ({
  rows: connection.edges.map((edge) => edge.node),
  next: connection.pageInfo.hasNextPage ? connection.pageInfo.endCursor : null,
});

/** All rows of a connection, at most `most` of them. */
export async function all(read, most = 500) {
  const rows = [];
  for (let after = null; rows.length < most;) {
    const { rows: more, next } = await read(after);
    rows.push(...more);
    if (!next) break;
    after = next;
  }
  return rows;
}
