// graphql-codegen's client preset types every document and every union of the schema.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { generate } from "@graphql-codegen/cli";

test("documents get types, and a switch narrows a union", async () => {
  const files = await generate({
    schema: "../../schema.graphql",
    documents: ["documents.graphql", "typed/*.graphql"],
    generates: { "generated/": { preset: "client", config: { useTypeImports: true, scalars: { DateTime: "string" } } } },
    silent: true,
  });
  assert.ok(files.length > 0);

  const strict = ["--noEmit", "--strict", "--module", "preserve", "--target", "es2022", "--skipLibCheck"];
  await promisify(execFile)(process.execPath, ["node_modules/typescript/bin/tsc", ...strict, "typed/narrowing.ts"]).catch(({ stdout }) =>
    assert.fail(stdout),
  );
});
