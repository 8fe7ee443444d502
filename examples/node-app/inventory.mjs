// Prints the names of the account's instances: a program that runs on an instance, as what the instance is.
// IBM's SDK reads from the environment where things are (VPC_URL, VPC_AUTH_TYPE, VPC_AUTH_URL).

import { pathToFileURL } from "node:url";
import core from "ibm-cloud-sdk-core";

const { BaseService, getAuthenticatorFromEnvironment } = core;
const ATTEMPTS = 3;

/** The names of all instances, sorted. `wait` takes seconds. */
export async function names(wait = seconds) {
  for (let left = ATTEMPTS - 1; ; left--) {
    try {
      return await ask();
    } catch (error) {
      // 401: the identity token has run out on the way; the next attempt gets a new one.
      const refused = error.status >= 400 && error.status < 500;
      if (left === 0 || (refused && error.status !== 401 && error.status !== 429)) throw error;
      const pause = error.status === 429 ? Number(header(error, "retry-after")) : 1;
      await wait(pause);
    }
  }
}

async function ask() {
  const vpc = new BaseService({ authenticator: getAuthenticatorFromEnvironment("vpc") });
  vpc.configureService("vpc");
  const { result } = await vpc.createRequest({
    options: { url: "/instances", method: "GET", qs: { version: "2025-08-26", generation: 2 } },
    defaultOptions: { serviceUrl: process.env.VPC_URL, headers: { Accept: "application/json" } },
  });
  return result.instances.map((instance) => instance.name).sort();
}

// Headers are an object or a map of axios, as the SDK's version has it.
const header = ({ headers }, name) => headers.get?.(name) ?? headers[name];
const seconds = (number) => new Promise((resolve) => setTimeout(resolve, number * 1000));

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  console.log((await names()).join("\n"));
}
