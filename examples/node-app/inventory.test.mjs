// `npm ci && npm test`, with `linklocal` on the PATH.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { names } from "./inventory.mjs";
import { start } from "./linklocal.mjs";

const EXCHANGE = "computeresource-token.request";
let linklocal;

before(async () => {
  linklocal = await start();
  const { api, instances } = linklocal.ready;
  process.env.VPC_URL = `${api}/v1`;
  process.env.VPC_AUTH_TYPE = "vpc";
  process.env.VPC_AUTH_URL = instances[0].metadata;
  await linklocal.checkpoint();
});
afterEach(() => linklocal.restore());
after(() => linklocal?.stop());

test("lists all instances", async () => {
  assert.deepEqual(await names(), ["demo"]);
});

test("waits as long as it is told", async () => {
  const waits = [];
  await linklocal.fault("429", { operation: EXCHANGE, retry_after: 7, count: 1 });

  assert.deepEqual(await names(async (seconds) => waits.push(seconds)), ["demo"]);
  assert.deepEqual(waits, [7]);
});

test("gets over an answer that ends too soon", async () => {
  await linklocal.fault("truncated-body", { instance: "demo", count: 1 });

  assert.deepEqual(await names(async () => {}), ["demo"]);
});

test("tells that no trusted profile is linked", async () => {
  await linklocal.fault("profile-unlinked");

  await assert.rejects(names(), (error) => error.status === 400);
});
