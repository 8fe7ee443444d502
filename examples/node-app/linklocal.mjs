// A `linklocal dev` for tests: started with a ready file, asked for faults over HTTP.

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

const START_SECONDS = 60;

/** A running server: `ready` is its ready file, `fault` puts a fault into force, `stop` ends it. */
export async function start() {
  const folder = mkdtempSync(join(tmpdir(), "linklocal-"));
  const file = join(folder, "ready.json");
  const dev = ["dev", "--port", "0", "--state-dir", join(folder, "state"), "--ready-file", file];
  const server = spawn("linklocal", dev, { stdio: ["ignore", "ignore", "inherit"] });
  const ended = new Promise((resolve) => server.once("exit", resolve).once("error", resolve));
  const deadline = Date.now() + START_SECONDS * 1000;
  while (!existsSync(file)) {
    const late = Date.now() > deadline;
    if (late) server.kill();
    if (late || (await Promise.race([ended.then(() => true), pause(20, false)]))) {
      throw new Error("linklocal dev did not start: see its messages above");
    }
  }
  const ready = JSON.parse(readFileSync(file, "utf8"));
  const token = await login(ready);

  async function call(method, path, body) {
    const answer = await fetch(`${ready.api}/linklocal/v1${path}`, {
      method,
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
      body: body && JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(await answer.text());
    return answer.status === 204 ? undefined : answer.json();
  }

  return {
    ready,
    fault: (kind, members = {}) => call("POST", "/faults", { kind, ...members }),
    checkpoint: () => call("PUT", "/checkpoint"),
    restore: () => call("POST", "/checkpoint/restore"),
    async stop() {
      server.kill();
      await ended;
      rmSync(folder, { recursive: true });
    },
  };
}

async function login(ready) {
  const answer = await fetch(`${ready.iam}/identity/token`, {
    method: "POST",
    body: new URLSearchParams({
      grant_type: "urn:ibm:params:oauth:grant-type:apikey",
      apikey: ready.api_key,
    }),
  });
  return (await answer.json()).access_token;
}
